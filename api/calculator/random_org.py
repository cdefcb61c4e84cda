"""Random strings: a client for random.org, and the operating system's source.

The protocol is JSON-RPC 2.0 over HTTP: https://api.random.org/json-rpc/4/basic (generateStrings) and …/4/error-codes.
httpx is imported at first use, because its import takes 70 ms. No database is used here.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import secrets
import string
import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Final, NamedTuple

import orjson

from api.http.client import tls_context
from persistence.database.errors import UnavailableError

ALPHABET: Final = string.ascii_uppercase + string.ascii_lowercase + string.digits

DEADLINE_SECONDS: Final = 5
"""The time limit of one call of random.org: name resolution, connect, send and read together."""

RESPONSE_LIMIT: Final = 64 * 1024
"""Maximum size of a response in bytes; one with a string of 32 characters has about 250."""

logger = logging.getLogger("rollbook")


class RandomSourceUnavailableError(UnavailableError):
    """random.org failed, was too slow or sent anything but the requested string, or too many calls wait for it."""

    code = "random-source-unavailable"
    detail = "random.org did not provide a random string. Nothing was charged; retry later."


class RandomOrg(NamedTuple):
    """The access to random.org. `most_waiting` limits the calls that wait for it at the same time in this process."""

    url: str
    api_key: str
    most_waiting: int


class _UnusableError(Exception):
    """The response has no usable string. The text says why, without data of the response."""


def local_string(length: int) -> str:
    """Returns a random string of the operating system's source."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def fetch_string(source: RandomOrg, length: int) -> str:
    """Returns a random string of random.org. Raises `RandomSourceUnavailableError` within the deadline.

    The request runs in a thread of its own, because name resolution has no time limit: the caller does not wait for it
    longer than for the rest. Such a thread counts as waiting until it ends.
    """
    waiting, threads = _waiting(source.most_waiting)
    if not waiting.acquire(blocking=False):
        raise RandomSourceUnavailableError
    fetched = threads.submit(_fetch, source, length)
    fetched.add_done_callback(lambda _: waiting.release())
    try:
        return fetched.result(DEADLINE_SECONDS)
    except _UnusableError as error:
        reason = str(error)
    except _transport_errors() as error:
        reason = type(error).__name__
    logger.warning("random.org: %s", reason)
    raise RandomSourceUnavailableError


@functools.cache
def _waiting(most: int) -> tuple[BoundedSemaphore, ThreadPoolExecutor]:
    return BoundedSemaphore(most), ThreadPoolExecutor(most, "random-org")


def _transport_errors() -> tuple[type[Exception], ...]:
    import httpx  # noqa: PLC0415 - see above

    # OSError includes TimeoutError; UnicodeError is a host name that IDNA rejects.
    return httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError


def _fetch(source: RandomOrg, length: int) -> str:
    call_id = uuid.uuid4().hex
    request = {
        "jsonrpc": "2.0",
        "method": "generateStrings",
        "params": {"apiKey": source.api_key, "n": 1, "length": length, "characters": ALPHABET},
        "id": call_id,
    }
    sending = _send(source.url, orjson.dumps(request))
    # httpx limits each read, not their sum (encode/httpx#1450): asyncio does.
    return _parse(asyncio.run(asyncio.wait_for(sending, DEADLINE_SECONDS)), call_id, length)


async def _send(url: str, content: bytes) -> bytes:
    import httpx  # noqa: PLC0415 - see above

    headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
    received = b""
    async with (
        httpx.AsyncClient(verify=tls_context(), timeout=DEADLINE_SECONDS, follow_redirects=False) as client,
        client.stream("POST", url, content=content, headers=headers) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise _UnusableError(f"status {response.status_code}")
        async for chunk in response.aiter_raw():
            received += chunk
            if len(received) > RESPONSE_LIMIT:
                raise _UnusableError("the response is too large")
    return received


def _parse(content: bytes, call_id: str, length: int) -> str:
    try:
        response = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise _UnusableError("the response is not JSON") from None
    match response:
        case {"error": {"code": int(code)}}:  # 400: no such key; 402, 403: the quota is used up
            raise _UnusableError(f"error {code}")
        case {"error": _}:
            raise _UnusableError("an error without a code")
        case {"id": str(response_id), "result": {"random": {"data": [str(text)]}}} if (
            response_id == call_id and re.fullmatch(f"[A-Za-z0-9]{{{length}}}", text)
        ):
            return text
    raise _UnusableError("the response is not the requested string")
