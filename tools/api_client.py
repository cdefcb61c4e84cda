"""The calls of the API that the tools need: a session, and ECGs.

A call is repeated while the service is unavailable, an upload with the same Idempotency-Key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import httpx

from tools.http_calls import CallError, Report, connect, parse, repeat

_CHUNK_BYTES: Final = 128 * 1024


class Session(NamedTuple):
    """A signed-in account. `report` gets a line for each wait."""

    http: httpx.Client
    username: str
    password: str
    report: Report


@contextmanager
def signed_in(url: str, username: str, password: str, report: Report) -> Iterator[Session]:
    """Yields a session, and ends it. Raises `CallError` if the account cannot sign in."""
    with connect(url) as http:
        session = Session(http, username, password, report)
        _sign_in(session)
        try:
            yield session
        finally:
            _sign_out(session)


def _sign_in(session: Session) -> None:
    credentials = {"username": session.username, "password": session.password}
    session.http.headers.pop("Authorization", None)
    response = repeat(lambda: session.http.post("/api/v1/sign-in", json=credentials), session.report)
    token = parse(response, HTTPStatus.OK, "token")
    session.http.headers["Authorization"] = f"Bearer {token}"


def _sign_out(session: Session) -> None:
    try:
        status = session.http.post("/api/v1/sign-out", timeout=5).status_code
    except httpx.HTTPError:
        status = None
    if status not in {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}:  # 401: it has ended before
        session.report("Could not sign out: the token stays valid for at most an hour.")


def upload(session: Session, body: bytes, advance: Callable[[int], None]) -> str:
    """Uploads an ECG and returns its id. `advance` gets the number of bytes sent so far.

    The key is a hash of the body, so a body that is sent again, also by another run, is stored once while the service
    keeps the key. Raises `CallError`.
    """
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Idempotency-Key": hashlib.sha256(body).hexdigest(),
    }
    response = _send(session, lambda: session.http.post("/ecgs", content=_chunks(body, advance), headers=headers))
    return str(parse(response, HTTPStatus.CREATED, "ecg_id"))


def read_insights(session: Session, ecg_id: str) -> list[dict[str, Any]]:
    """Returns the insights of an ECG, one object per lead. Raises `CallError`."""
    response = _send(session, lambda: session.http.get(f"/ecgs/{ecg_id}/insights"))
    if response.status_code == HTTPStatus.NOT_FOUND:
        raise CallError("it was uploaded before and then deleted; retry when its Idempotency-Key has expired")
    return list(parse(response, HTTPStatus.OK, "leads"))


def _chunks(body: bytes, advance: Callable[[int], None]) -> Iterator[bytes]:
    view = memoryview(body)
    for begin in range(0, len(body), _CHUNK_BYTES):
        advance(begin)
        yield bytes(view[begin : begin + _CHUNK_BYTES])
    advance(len(body))


def _send(session: Session, call: Callable[[], httpx.Response]) -> httpx.Response:
    """Returns the response of a call with the token, which lasts an hour: signs in again when it has expired."""
    response = repeat(call, session.report)
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        _sign_in(session)
        response = repeat(call, session.report)
    return response
