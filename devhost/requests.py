"""Requests: from ASGI messages to the request of a function, as the real host passes it on."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from io import BytesIO
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import azure.functions as func

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

BODY_BYTES_MAX: Final = 100 * 1024 * 1024
"""Maximum size of a body, in bytes: the real host's default (FUNCTIONS_REQUEST_BODY_SIZE_LIMIT)."""


class DisconnectedError(Exception):
    """The client disconnected before the end of its request."""


def read_headers(scope: Scope) -> dict[str, str]:
    """Returns the headers by lower-case name; repeated headers are joined by commas."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:  # ASGI lower-cases the names
        text = value.decode("latin-1")
        key = name.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


async def read_body(receive: Receive) -> bytes | None:
    """Returns the whole body, chunked or not; None if it is larger than `BODY_BYTES_MAX`.

    Raises `DisconnectedError` if the client disconnects early: a partial body must not reach a function.
    """
    body = BytesIO()  # grows in place: parts and their sum would be the body twice
    more_body = True
    while more_body:
        message = await receive()
        if message["type"] != "http.request":
            raise DisconnectedError
        body.write(message.get("body", b""))
        if body.tell() > BODY_BYTES_MAX:
            return None
        more_body = message.get("more_body", False)
    return body.getvalue()


def build_request(scope: Scope, headers: dict[str, str], route_params: dict[str, str], body: bytes) -> func.HttpRequest:
    """Returns the request for a function."""
    query = scope["query_string"].decode("latin-1")
    path = scope["raw_path"].decode("latin-1") if scope.get("raw_path") else scope["path"]
    return func.HttpRequest(
        scope["method"],
        f"{scope['scheme']}://{headers['host']}{path}{'?' + query if query else ''}",
        headers=headers,
        params=_query_params(query) if query else {},
        route_params=route_params,
        body=body,
    )


def decode_path(scope: Scope) -> str:
    """Returns the decoded path. An encoded slash stays encoded, as on the real host."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%" not in raw:
        return str(scope["path"])
    return unquote(re.sub("%2f", "%252F", raw.decode("latin-1"), flags=re.IGNORECASE))


def _query_params(query: str) -> dict[str, str]:
    """Returns the parameters of a query. Repeated ones are joined by commas and empty ones dropped, as by ASP.NET."""
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return {name: ",".join(given) for name, given in values.items() if given != [""]}
