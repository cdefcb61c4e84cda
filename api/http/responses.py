"""What a handler returns, and how it becomes an HTTP response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import azure.functions as func
import orjson

JSON: Final = "application/json"

Body = Mapping[str, object] | Sequence[object] | bytes
"""A JSON object or array, or encoded bytes."""


class Response(NamedTuple):
    """The result of a handler. With `render=`, `body` is the value that this function turns into bytes.

    `subjects` are the ids of the users whose personal data it contains: stored under an idempotency key, it is erased
    with any of them.
    """

    body: Any
    status: int = 200
    media_type: str = JSON
    headers: Mapping[str, str] = MappingProxyType({})
    subjects: Sequence[str] = ()


class Returns(NamedTuple):
    """The declaration of a response: its JSON type, a description, and descriptions of headers by name.

    `media` maps further media types to their types; `bytes` means binary content, `str` means text.
    """

    type: Any = None
    description: str = ""
    media: Mapping[str, Any] = MappingProxyType({})
    headers: Mapping[str, str] = MappingProxyType({})


def encode(body: Body) -> bytes:
    """Returns a body as bytes: JSON unless it is encoded already."""
    return body if isinstance(body, bytes) else orjson.dumps(body)


def http_response(response: Response) -> func.HttpResponse:
    """Returns a response as Azure Functions expects it. Caches must not store it: most contain personal data."""
    return func.HttpResponse(
        encode(response.body),
        status_code=response.status,
        headers={"Cache-Control": "no-store", **response.headers},
        mimetype=response.media_type,
    )


def encode_array(batches: Iterable[list[Any]]) -> bytes:
    """Returns the JSON array with the elements of all batches, encoded batch by batch."""
    return _join(b"[", batches, b"]")


def encode_list(key: str, batches: Iterable[list[Any]]) -> bytes:
    """Returns the JSON object `{key: [...]}` with the elements of all batches, encoded batch by batch."""
    return _join(b'{"' + key.encode() + b'":[', batches, b"]}")


def _join(begin: bytes, batches: Iterable[list[Any]], end: bytes) -> bytes:
    # A growing buffer holds the response once; joining parts would hold it twice and block every other thread.
    buffer = BytesIO()
    buffer.write(begin)
    separator = b""
    for batch in batches:
        buffer.write(separator)
        buffer.write(memoryview(orjson.dumps(batch))[1:-1])
        separator = b","
    buffer.write(end)
    return buffer.getvalue()


def next_link(path: str, **query: str | int) -> Mapping[str, str]:
    """Returns the header `Link` (RFC 8288) to the next page: a path without host, which proxies may have renamed."""
    return {"Link": f'<{path}?{urlencode(query)}>; rel="next"'}
