"""Errors that no handler should raise: each becomes a logged problem, and no text of one reaches the host."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import settings
from api.http.endpoint import TimerFailedError, set_request_observer, timer_function
from api.http.log import MAX_FRAMES
from api.http.responses import Response
from api.http.service import Service
from domain.errors import ConflictError
from tests.support.endpoints import serve


class PanicError(BaseException):
    """An error like a panic of a Rust extension."""


def _raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


def _assert_logged_500(call: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level(logging.INFO, "rollbook"):
        response = call()
    assert (response.status_code, response.mimetype) == (500, "application/problem+json")
    assert json.loads(response.get_body())["type"] == "/problems/internal-error"
    assert "Unmistakable" not in caplog.text
    unexpected, line = [record.getMessage() for record in caplog.records]
    assert line.startswith("fail failed 500 ")
    return unexpected


@pytest.mark.parametrize("error", [PanicError("Unmistakable"), SystemExit("Unmistakable"), GeneratorExit()])
def test_an_error_that_is_no_exception_is_a_logged_500(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    assert _assert_logged_500(serve(_raising(error)), caplog).startswith(f"fail error {type(error).__name__} ")


@pytest.mark.parametrize("error", [ConflictError("\ud800"), ConflictError(member_values={"Unmistakable": object()})])
def test_an_error_that_cannot_be_encoded_is_a_logged_500(
    error: ConflictError, caplog: pytest.LogCaptureFixture
) -> None:
    assert _assert_logged_500(serve(_raising(error)), caplog).startswith("fail error TypeError ")


@pytest.mark.parametrize("keyword", ["before", "render", "writes"])
def test_an_error_beside_the_handler_is_a_logged_500(keyword: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Response:
        return Response({})

    def raising(*_: object) -> Any:
        raise PanicError("Unmistakable")

    declared: dict[str, Any] = {keyword: raising if keyword == "render" else _raising(PanicError("Unmistakable"))}
    assert _assert_logged_500(serve(fail, **declared), caplog).startswith("fail error PanicError ")


def test_the_log_has_the_innermost_frames_of_a_recursion(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Any:
        return fail()

    unexpected = _assert_logged_500(serve(fail), caplog)
    assert unexpected.startswith("fail error RecursionError ")
    assert unexpected.count(" < ") == MAX_FRAMES - 1


def test_a_timer_passes_no_text_of_an_error_to_the_host() -> None:
    service = Service("toy")
    service.timer("0 0 3 * * *")(_raising(PanicError("Unmistakable")))
    (timer,) = service.build(settings.current()).timers
    with pytest.raises(TimerFailedError, match=r"^fail: internal-error$"):
        timer_function(timer)(timer=SimpleNamespace(past_due=False), context=SimpleNamespace(invocation_id="1"))


# ---- the hook around calls


@pytest.fixture
def _no_observer() -> Iterator[None]:
    yield
    set_request_observer(None)


@pytest.mark.usefixtures("_no_observer")
@pytest.mark.parametrize("runs", [0, 1, 2])
def test_a_failing_observer_changes_no_response_and_is_logged_once(runs: int, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def handle() -> Response:
        calls.append(1)
        return Response({"calls": len(calls)})

    def observe(_function: str, _context: object, work: Callable[[], object]) -> None:
        for _ in range(runs):
            work()
        raise PanicError("Unmistakable")

    set_request_observer(observe)
    call = serve(handle)
    with caplog.at_level(logging.INFO, "rollbook"):
        bodies = [json.loads(call().get_body()) for _ in range(2)]
    assert bodies == [{"calls": 1}, {"calls": 2}]
    failure, *lines = caplog.messages
    assert failure == "observer error PanicError"
    assert [line.split()[:3] for line in lines] == [["handle", "ok", "200"]] * 2
    set_request_observer(observe)  # a new observer is logged again
    call()
    assert caplog.messages.count(failure) == 2


@pytest.mark.usefixtures("_no_observer")
def test_a_failing_observer_does_not_fail_a_timer(caplog: pytest.LogCaptureFixture) -> None:
    ran: list[int] = []
    service = Service("toy")
    service.timer("0 0 3 * * *", name="tick")(lambda: ran.append(1))
    (timer,) = service.build(settings.current()).timers
    set_request_observer(lambda *_: _raising(PanicError("Unmistakable"))())
    timer_function(timer)(timer=SimpleNamespace(past_due=False), context=SimpleNamespace(invocation_id="1"))
    assert (ran, caplog.messages) == ([1], ["observer error PanicError"])
