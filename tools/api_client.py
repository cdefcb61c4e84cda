"""The calls of the API that the tools need: a session, and ECGs.

A call is repeated while the service is unavailable, an upload with the same Idempotency-Key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

ATTEMPTS: Final = 5
LONGEST_WAIT_SECONDS: Final = 60
TIMEOUT: Final = httpx.Timeout(connect=10, read=240, write=60, pool=10)
"""Seconds. Reading takes longer than the 230 s after which Azure's load balancer ends a request itself:
https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout."""

_CHUNK_BYTES: Final = 128 * 1024
_VIOLATIONS: Final = 3  # that an error lists
_UNAVAILABLE: Final = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}


class CallError(Exception):
    """A call failed; the text says why."""


class _UnavailableError(CallError):
    """The call may succeed later. `wait` is the time until then in seconds, if the response had one."""

    wait: int | None = None


class Session(NamedTuple):
    """A signed-in account. `report` gets a line for each wait."""

    http: httpx.Client
    username: str
    password: str
    report: Callable[[str], None]


def is_loopback(host: str) -> bool:
    """Returns whether what is sent to this host stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def signed_in(url: str, username: str, password: str, report: Callable[[str], None]) -> Iterator[Session]:
    """Yields a session, and ends it. Raises `CallError` if the account cannot sign in.

    Redirects are not followed: they would send the token somewhere else. A proxy of the environment is not used for
    this machine.
    """
    trust_env = not is_loopback(httpx.URL(url).host)
    with httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=trust_env, follow_redirects=False) as http:
        session = Session(http, username, password, report)
        _sign_in(session)
        try:
            yield session
        finally:
            _sign_out(session)


def _sign_in(session: Session) -> None:
    credentials = {"username": session.username, "password": session.password}
    session.http.headers.pop("Authorization", None)
    response = _repeat(session, lambda: session.http.post("/api/v1/sign-in", json=credentials))
    token = _parse(response, HTTPStatus.OK, "token")
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
    return str(_parse(response, HTTPStatus.CREATED, "ecg_id"))


def read_insights(session: Session, ecg_id: str) -> list[dict[str, Any]]:
    """Returns the insights of an ECG, one object per lead. Raises `CallError`."""
    response = _send(session, lambda: session.http.get(f"/ecgs/{ecg_id}/insights"))
    if response.status_code == HTTPStatus.NOT_FOUND:
        raise CallError("it was uploaded before and then deleted; retry when its Idempotency-Key has expired")
    return list(_parse(response, HTTPStatus.OK, "leads"))


def _chunks(body: bytes, advance: Callable[[int], None]) -> Iterator[bytes]:
    view = memoryview(body)
    for begin in range(0, len(body), _CHUNK_BYTES):
        advance(begin)
        yield bytes(view[begin : begin + _CHUNK_BYTES])
    advance(len(body))


def _send(session: Session, call: Callable[[], httpx.Response]) -> httpx.Response:
    """Returns the response of a call with the token, which lasts an hour: signs in again when it has expired."""
    response = _repeat(session, call)
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        _sign_in(session)
        response = _repeat(session, call)
    return response


def _repeat(session: Session, call: Callable[[], httpx.Response]) -> httpx.Response:
    """Returns the response of the first attempt that reaches an available service. Raises `CallError`."""

    def report(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        session.report(f"{error}; attempt {state.attempt_number + 1} of {ATTEMPTS} in {state.upcoming_sleep:.0f} s")

    attempts = Retrying(
        retry=retry_if_exception_type(_UnavailableError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=_wait,
        before_sleep=report,
        reraise=True,
    )
    return attempts(_attempt, call)


def _attempt(call: Callable[[], httpx.Response]) -> httpx.Response:
    try:
        response = call()
    except httpx.RequestError as error:
        raise _UnavailableError(f"no response ({type(error).__name__}: {error})") from None
    if response.status_code in _UNAVAILABLE:
        unavailable = _UnavailableError(describe(response))
        seconds = response.headers.get("Retry-After", "")  # a date, its other form, counts as absent
        unavailable.wait = int(seconds) if seconds.isascii() and seconds.isdigit() else None
        raise unavailable
    return response


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wait = error.wait if isinstance(error, _UnavailableError) else None
    return min(2.0 ** (state.attempt_number - 1) if wait is None else wait, LONGEST_WAIT_SECONDS)


def _parse(response: httpx.Response, status: HTTPStatus, member: str) -> Any:
    """Returns a member of the JSON object in a response that must have this status. Raises `CallError`."""
    if response.status_code != status:
        raise CallError(describe(response))
    content = _json(response)
    if member not in content:
        raise CallError(f"the response has no {member}; check the URL")
    return content[member]


def _json(response: httpx.Response) -> dict[str, Any]:
    """Returns the JSON object in a response; an empty one if it has none."""
    try:
        content = response.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def describe(response: httpx.Response) -> str:
    """Returns what the problem in a response says, in one line."""
    match _json(response):
        case {"type": str(kind), "detail": str(detail), "errors": [*errors]}:
            text = f"{kind.removeprefix('/problems/')}: {' | '.join([detail, *_places(errors[:_VIOLATIONS])])}"
        case _:
            text = response.reason_phrase
    return f"{response.status_code} {text}"


def _places(errors: list[object]) -> Iterator[str]:
    for error in errors:
        match error:
            case {"pointer": pointer, "detail": detail}:
                yield f"{pointer}: {detail}"
