"""Idempotency keys: a repeated request has its effect once, and its response is returned again.

A key belongs to a caller and an operation. Its response is stored in the transaction of the effect, so both are stored
or neither is. Errors are not stored. A response with personal data of users is erased with them; its key stays used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import azure.functions as func
import orjson
from pydantic import BaseModel

from api.http.problems import GoneError
from api.http.responses import Response, encode
from domain.errors import ConflictError, InvalidError, RollbookError
from domain.timestamps import format_timestamp
from persistence.database.connections import Connection
from persistence.database.idempotency import Key, StoredResponse, claim_key, find_response, store_response

REPLAYED: Final = "Idempotency-Replayed"
"""The header of a replay; its value is `true`."""

KEY_PATTERN: Final = r"[!-~](?:[ -~]{0,253}[!-~])?"
"""An idempotency key: 1 to 255 printable ASCII characters without leading or trailing blanks."""


class IdempotencyKeyInvalidError(InvalidError):
    """The header is not a valid key."""

    code = "idempotency-key-invalid"
    detail = "Idempotency-Key must be 1 to 255 printable ASCII characters."


class IdempotencyKeyUnsupportedError(InvalidError):
    """The endpoint takes no key. Without this error the caller would rely on it."""

    code = "idempotency-key-unsupported"
    detail = "This endpoint does not support Idempotency-Key. Nothing was changed."


class IdempotencyKeyReusedError(ConflictError):
    """The key was used for a different request."""

    code = "idempotency-key-reused"
    detail = "This Idempotency-Key was used for another request."


class ResponseErasedError(GoneError):
    """The response to the first call with this key had personal data of a user who was deleted."""

    code = "response-erased"
    detail = "The request had its effect, but its response was erased with a user who was deleted. Nothing was changed."


def read_key(req: func.HttpRequest, *, supported: bool) -> str | None:
    """Returns the idempotency key of a request, or None.

    Raises `IdempotencyKeyUnsupportedError`, `IdempotencyKeyInvalidError`.
    """
    given = req.headers.get("idempotency-key")
    if given is None:
        return None
    if not supported:
        raise IdempotencyKeyUnsupportedError
    key = str(given).strip(" \t")
    if not re.fullmatch(KEY_PATTERN, key):
        raise IdempotencyKeyInvalidError
    return key


def call_hash(operation: str, parts: Mapping[str, Any]) -> str:
    """Returns a hash (SHA-256, hex) of the operation and the parsed parts: equal for equivalent requests.

    Only the keys that were sent are hashed, so a release with another optional key still recognises the request. A body
    with `parse=` is hashed as raw bytes.
    """
    content = [operation, *([name, _canonical(value)] for name, value in sorted(parts.items()))]
    return hashlib.sha256(orjson.dumps(content)).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump_json(exclude_unset=True, warnings=False)  # a warning would print the value
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return [_canonical(element) for element in value] if isinstance(value, list | tuple) else value


class Keyed(NamedTuple):
    """A call with an idempotency key, the hash of the call, and for how many hours its response is stored."""

    key: Key
    call_hash: str
    hours: int


def find_stored(connection: Connection, keyed: Keyed) -> tuple[Response | None, bool]:
    """Returns the response to an earlier call with this key, or None, and whether any key has expired.

    Raises `IdempotencyKeyReusedError`, `ResponseErasedError`.
    """
    _, expired_at = _times(keyed.hours)
    stored, has_expired = find_response(connection, keyed.key, expired_at=expired_at)
    found = None if stored is None else _replay(stored, keyed)
    if isinstance(found, RollbookError):
        raise found
    return found, has_expired


def run_idempotent(
    connection: Connection, keyed: Keyed, work: Callable[[], Response], *, sweeps: bool = True
) -> Response | RollbookError:
    """Returns the result of `work`, or the stored response.

    `IdempotencyKeyReusedError` and `ResponseErasedError` are returned: raised after the commit, they keep the purge of
    expired keys, which it does if it `sweeps`. Raises `LostRaceError`, and every error of `work`.
    """
    now, expired_at = _times(keyed.hours)
    stored = claim_key(connection, keyed.key, call_hash=keyed.call_hash, now=now, expired_at=expired_at, sweeps=sweeps)
    if stored is not None:
        return _replay(stored, keyed)
    response = work()
    body = encode(response.body)
    headers = orjson.dumps(dict(response.headers)).decode() if response.headers else None
    kept = StoredResponse(keyed.call_hash, response.status, body, response.media_type, headers)
    store_response(connection, keyed.key, kept, response.subjects)
    return response._replace(body=body)


def _replay(stored: StoredResponse, keyed: Keyed) -> Response | RollbookError:
    if stored.body is None:  # whatever the request is: its hash was erased, too
        return ResponseErasedError()
    if stored.call_hash != keyed.call_hash:  # None, which release 0.1.0 stored, equals no hash
        return IdempotencyKeyReusedError()
    headers = orjson.loads(stored.headers) if stored.headers else {}
    return Response(stored.body, stored.status, stored.media_type, {**headers, REPLAYED: "true"})


def _times(hours: int) -> tuple[str, str]:
    now = datetime.now(UTC)
    return format_timestamp(now), format_timestamp(now - timedelta(hours=hours))
