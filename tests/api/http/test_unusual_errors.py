"""Errors that no handler should raise: each becomes a logged problem, and no text of one reaches the host."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import settings
from api.http.endpoint import MAX_FRAMES, TimerFailedError, timer_function
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
