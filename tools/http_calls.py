"""HTTP calls as all tools make them: the client, repetition while the service is unavailable, texts of problems."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

ATTEMPTS: Final = 5
LONGEST_WAIT_SECONDS: Final = 60
TIMEOUT: Final = httpx.Timeout(connect=10, read=240, write=60, pool=10)
"""Seconds. Reading takes longer than the 230 s after which Azure's load balancer ends a request itself:
https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout."""

UNAVAILABLE: Final = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
"""The statuses after which a call is repeated."""

_VIOLATIONS: Final = 3  # that an error lists

Report = Callable[[str], None]
"""Gets a line for each wait."""


class CallError(Exception):
    """A call failed; the text says why."""


class _UnavailableError(CallError):
    """The call may succeed later. `wait` is the time until then in seconds, if the response had one."""

    wait: int | None = None


def is_loopback(host: str) -> bool:
    """Returns whether what is sent to this host stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def connect(url: str) -> httpx.Client:
    """Returns a client of the service at a URL.

    Redirects are not followed: they would send credentials somewhere else. A proxy of the environment is not used for
    this machine.
    """
    trust_env = not is_loopback(httpx.URL(url).host)
    return httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=trust_env, follow_redirects=False)


def repeat(
    call: Callable[[], httpx.Response], report: Report, statuses: Collection[int] = UNAVAILABLE
) -> httpx.Response:
    """Returns the response of the first attempt that reaches an available service. Raises `CallError`."""

    def notify(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        report(f"{error}; attempt {state.attempt_number + 1} of {ATTEMPTS} in {state.upcoming_sleep:.0f} s")

    attempts = Retrying(
        retry=retry_if_exception_type(_UnavailableError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=_wait,
        before_sleep=notify,
        reraise=True,
    )
    return attempts(_attempt, call, statuses)


def _attempt(call: Callable[[], httpx.Response], statuses: Collection[int]) -> httpx.Response:
    try:
        response = call()
    except httpx.RequestError as error:
        raise _UnavailableError(f"no response ({type(error).__name__}: {error})") from None
    if response.status_code in statuses:
        unavailable = _UnavailableError(describe(response))
        seconds = response.headers.get("Retry-After", "")  # a date, its other form, counts as absent
        unavailable.wait = int(seconds) if seconds.isascii() and seconds.isdigit() else None
        raise unavailable
    return response


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wait = error.wait if isinstance(error, _UnavailableError) else None
    return min(2.0 ** (state.attempt_number - 1) if wait is None else wait, LONGEST_WAIT_SECONDS)


def parse(response: httpx.Response, status: HTTPStatus, member: str) -> Any:
    """Returns a member of the JSON object in a response that must have this status. Raises `CallError`."""
    if response.status_code != status:
        raise CallError(describe(response))
    content = read_object(response)
    if member not in content:
        raise CallError(f"the response has no {member}; check the URL")
    return content[member]


def read_object(response: httpx.Response) -> dict[str, Any]:
    """Returns the JSON object in a response; an empty one if it has none."""
    try:
        content = response.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def describe(response: httpx.Response) -> str:
    """Returns what the problem in a response says, in one line."""
    match read_object(response):
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
