"""The calls of the users service that `tools.users_csv` needs: users created, found by number, and listed in pages.

A call is repeated while the service is unavailable, a creation with the same Idempotency-Key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import httpx
import orjson

from tools.http_calls import UNAVAILABLE, CallError, Report, connect, describe, parse, read_object, repeat

PAGE: Final = 1_000

_REPEATED: Final = UNAVAILABLE | {HTTPStatus.TOO_MANY_REQUESTS}
_OF_A_USER: Final = re.compile(r"/users/([0-9]+)(?:/([^/]*))?")

Record = dict[str, Any]


class Service(NamedTuple):
    """The service at a URL. `report` gets a line for each wait."""

    http: httpx.Client
    report: Report


class Created(NamedTuple):
    """All users were created; by an earlier run if `earlier`, or would be created if it was a dry run."""

    earlier: bool


class Erased(NamedTuple):
    """An earlier run created these users, and one of them was deleted since."""

    detail: str


class Violation(NamedTuple):
    """What the service says of one of the users."""

    position: int
    field: str
    code: str
    detail: str


def open_service(url: str, key: str, report: Report) -> Service:
    """Returns the service at a URL, to be called with a function key unless it is empty.

    The header: https://learn.microsoft.com/azure/azure-functions/function-keys-how-to. Raises `CallError`.
    """
    if not (key.isascii() and key.isprintable()):
        raise CallError("the function key has characters that no key has")
    http = connect(url)
    if key:
        http.headers["x-functions-key"] = key
    return Service(http, report)


def create_users(
    service: Service, users: Sequence[Mapping[str, str]], options: Mapping[str, object]
) -> Created | Erased | list[Violation]:
    """Creates all of the users, or none and returns why. `options` are the other keys of the body.

    The Idempotency-Key is a hash of the body, so a body that is sent again, also by another run, has no second effect
    while the service keeps the key. Raises `CallError`.
    """
    body = orjson.dumps({**options, "users": users}, option=orjson.OPT_SORT_KEYS)
    is_dry = bool(options.get("dry_run"))
    headers = {} if is_dry else {"Idempotency-Key": hashlib.sha256(body).hexdigest()}
    attempts = 0

    def call() -> httpx.Response:
        nonlocal attempts
        attempts += 1
        return _post(service, "/create_users", body, headers)

    response = repeat(call, service.report, _REPEATED)
    if response.status_code == HTTPStatus.GONE:
        return Erased(str(read_object(response).get("detail", "")))
    if violations := [*_violations(response, len(users))]:
        return violations
    created = _parse(response, HTTPStatus.OK if is_dry else HTTPStatus.CREATED, "users")
    if len(created) != len(users):
        raise CallError("the response is not that of create_users; check the URL")
    return Created(attempts == 1 and response.headers.get("Idempotency-Replayed") == "true")


def _violations(response: httpx.Response, users: int) -> Iterator[Violation]:
    """Yields the violations of single users; none if the error is not theirs alone."""
    if response.status_code not in {HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT}:
        return
    for error in read_object(response).get("errors", []):
        match error:
            case {"pointer": str(pointer), "code": str(code), "detail": str(detail)}:
                place = _OF_A_USER.fullmatch(pointer)
                if place and int(place[1]) < users:
                    yield Violation(int(place[1]), place[2] or "", code, detail)


def find_users(service: Service, mob_nums: Sequence[str]) -> dict[str, Record]:
    """Returns the current records of the users who have these numbers, by number. Raises `CallError`."""
    if not mob_nums:
        return {}
    content = {"mob_nums": mob_nums, "is_active": True, "limit": PAGE}
    records = _parse(_call(service, "/get_users", content), HTTPStatus.OK, "users")
    return {record["mob_num"]: record for record in records}


def list_users(service: Service, *, masked: bool, as_of: str | None) -> Iterator[list[Record]]:
    """Yields the records that are current, or were current at a time, in pages. Raises `CallError`."""
    path = "/get_users_masked" if masked else "/get_users"
    content: dict[str, object] = {"limit": PAGE, **({"as_of": as_of} if as_of else {"is_active": True})}
    while True:
        response = _call(service, path, content)
        yield _parse(response, HTTPStatus.OK, "users")
        content["cursor"] = read_object(response).get("next_cursor")
        if not content["cursor"]:
            return


def _call(service: Service, path: str, content: Mapping[str, object]) -> httpx.Response:
    body = orjson.dumps(content)
    return repeat(lambda: _post(service, path, body, {}), service.report, _REPEATED)


def _post(service: Service, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    return service.http.post(path, content=body, headers={"Content-Type": "application/json", **headers})


def _parse(response: httpx.Response, status: HTTPStatus, member: str) -> list[Record]:
    """Returns a list in a response. Raises `CallError`, which for some statuses says what to check."""
    hints = {
        HTTPStatus.UNAUTHORIZED: "check the function key",
        HTTPStatus.FORBIDDEN: "check the function key",
        HTTPStatus.NOT_FOUND: "check the URL",
    }
    if response.status_code in hints:
        raise CallError(f"{describe(response)}; {hints[HTTPStatus(response.status_code)]}")
    content = parse(response, status, member)
    if not isinstance(content, list):
        raise CallError(f"the response has no list of {member}; check the URL")
    return content
