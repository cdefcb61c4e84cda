"""Timers have the same boundary as endpoints."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

import settings
from api.http.endpoint import TimerFailedError, timer_function
from api.http.service import Service, parameters
from persistence.database import connections
from tests.api.http import toy
from tests.api.http.toy import journal


class Context:
    """The context that the host passes to a function."""

    invocation_id = "0b5a7f0e-4c6d-4f1e-9b1a-2d3c4b5a6f70"


class Request:
    """The request that the host passes to a timer."""

    def __init__(self, *, past_due: bool) -> None:
        self.past_due = past_due


@pytest.fixture
def table(database_file: Path) -> Iterator[None]:
    with connections.transaction() as connection:
        connection.exec_driver_sql(toy.TABLE)
    journal.races = 0
    yield
    journal.races = 0


def timers(tmp_path: Path, **variables: str) -> dict[str, Callable[..., Any]]:
    """The functions of the toy's timers, by name."""
    built = toy.service.build(settings.load(variables, tmp_path)).timers
    return {timer.name: timer_function(timer) for timer in built}


def notes() -> list[str]:
    """The texts of all notes."""
    with connections.reading() as connection:
        return list(connection.exec_driver_sql("SELECT text FROM toy_notes").scalars())


def test_a_timer_writes_in_a_transaction_that_is_retried(
    table: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.races = 2
    with caplog.at_level(logging.INFO, logger="rollbook"):
        timers(tmp_path)["toy_nightly"](timer=Request(past_due=True), context=Context())
    assert notes() == ["past due: True"]
    (line,) = caplog.records
    assert line.getMessage().startswith("toy_nightly ok 200 ")
    assert line.getMessage().endswith(" lost-race")
    assert line.levelno == logging.WARNING


def run(service: Service) -> None:
    """Runs the only timer of a service once."""
    (timer,) = service.build(settings.current()).timers
    timer_function(timer)(timer=Request(past_due=False), context=Context())


def test_steps_run_before_and_after_the_transaction(table: None) -> None:
    service = Service("toy")
    seen: list[object] = []

    def after(prepared: str, result: str) -> None:
        seen.append([prepared, result, notes()])

    @service.timer("0 0 3 * * *", before=lambda: "prepared", after=after, writes=True)
    def tick(prepared: str, connection: connections.Connection) -> str:
        connection.exec_driver_sql("INSERT INTO toy_notes (owner, text) VALUES ('timer', ?)", (prepared,))
        journal.lose_race()
        return "result"

    journal.races = 2
    run(service)
    assert seen == [["prepared", "result", ["prepared"]]]


def test_a_timer_with_nothing_to_do_begins_no_transaction(tmp_path: Path) -> None:
    service = Service("toy")
    connections.close()  # a transaction would raise
    service.timer("0 0 3 * * *", name="tick", before=lambda: None, after=lambda: 1 / 0, writes=True)(lambda: 1 / 0)
    run(service)


def test_no_step_follows_a_transaction_that_failed(table: None) -> None:
    service = Service("toy")
    seen: list[int] = []
    service.timer("0 0 3 * * *", name="tick", after=lambda: seen.append(1), writes=True)(lambda: 1 / 0)
    with pytest.raises(TimerFailedError):
        run(service)
    assert not seen


def test_a_tick_leaves_nothing_in_memory() -> None:
    service = Service("toy")
    service.timer("0 0 3 * * *", name="tick")(lambda: None)
    run(service)
    known = parameters.cache_info().currsize
    for _ in range(3):
        run(service)
    assert parameters.cache_info().currsize == known


def test_steps_of_timers_take_only_what_there_is() -> None:
    for declared in ({"before": lambda result: result}, {"after": lambda connection: connection}):
        with pytest.raises(TypeError, match="it may take"):
            Service("toy").timer("0 0 3 * * *", name="tick", **declared)(lambda: None)


def test_a_failing_timer_is_logged_and_reported_without_its_text(
    table: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="rollbook"), pytest.raises(TimerFailedError) as caught:
        timers(tmp_path)["toy_failing"](timer=Request(past_due=False), context=Context())
    assert str(caught.value) == "toy_failing: internal-error"
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert [message.split()[:3] for message in caplog.messages] == [
        ["toy_failing", "error", "ValueError"],
        ["toy_failing", "failed", "500"],
    ]
    assert "9876543210" not in caplog.text


def test_settings_decide_which_timers_there_are_and_when_they_run(tmp_path: Path) -> None:
    built = toy.service.build(settings.load({"TOY_SCHEDULE": "0 30 2 * * *"}, tmp_path)).timers
    assert [(timer.name, timer.schedule) for timer in built] == [
        ("toy_nightly", "0 30 2 * * *"),
        ("toy_failing", "*/10 * * * * *"),
    ]
    assert list(timers(tmp_path, TOY_NIGHTLY="off")) == ["toy_failing"]


def test_the_worker_indexes_a_timer(tmp_path: Path) -> None:
    app = func.FunctionApp()
    for timer in toy.service.build(settings.load({}, tmp_path)).timers:
        app.timer_trigger(arg_name="timer", schedule=str(timer.schedule))(timer_function(timer))
    indexed = {str(function.get_function_name()): function.get_trigger() for function in app.get_functions()}
    assert {name: trigger.schedule for name, trigger in indexed.items()} == {  # type: ignore[union-attr]
        "toy_nightly": "0 0 3 * * *",
        "toy_failing": "*/10 * * * * *",
    }
