"""Timers run as on the Azure Functions host: with a clock of the test, and in a program with short intervals."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.functions.timer import TimerRequest

from devhost import timers
from devhost.functions import Function
from devhost.schedules import parse_schedule
from devhost.timers import Timer, run_timer
from tests.support.programs import PROJECT, WAIT_SECONDS, Program, running

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Clock:
    """A clock set by the test, and the runs of a timer: their times (since noon), and whether they were past due."""

    def __init__(self) -> None:
        self.time = NOON
        self.runs: list[tuple[timedelta, bool]] = []
        self.stopping = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    def __call__(self) -> datetime:
        return self.time

    async def run(self, _timer: Timer, request: TimerRequest) -> None:
        """The function of the timer; it returns when `open` is set."""
        self.runs.append((self.time - NOON, request.past_due))
        await self.open.wait()

    async def at(self, **since_noon: float) -> list[tuple[str, bool]]:
        """Sets the clock, gives the timer time to run, and returns the runs since the last call."""
        self.time = NOON + timedelta(**since_noon)
        for _ in range(10):
            await asyncio.sleep(0.004)
        runs = [(str(since), past_due) for since, past_due in self.runs]
        self.runs.clear()
        return runs


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that runs a timer with a schedule during the scenario of a test."""
    monkeypatch.setattr(timers, "POLL_SECONDS", 0.001)

    def play(schedule: str, scenario: Callable[[Clock], Awaitable[None]], *, run_on_startup: bool = False) -> None:
        async def run() -> None:
            clock = Clock()
            function = Function("tick", lambda: None, "timer", takes_context=False, is_async=False)
            timer = Timer(function, schedule, parse_schedule(schedule), run_on_startup)
            task = asyncio.create_task(run_timer(timer, clock.run, clock.stopping, clock))
            await asyncio.sleep(0)  # the timer begins to wait at noon
            await scenario(clock)
            clock.open.set()
            clock.stopping.set()
            await asyncio.wait_for(task, WAIT_SECONDS)

        asyncio.run(run())

    return play


def test_it_runs_once_at_each_occurrence_and_not_before(play: Callable[..., None]) -> None:
    async def scenario(clock: Clock) -> None:
        assert await clock.at(seconds=0) == []
        assert await clock.at(seconds=299.999) == []
        assert await clock.at(minutes=5) == [("0:05:00", False)]
        assert await clock.at(minutes=9) == []
        assert await clock.at(minutes=10, milliseconds=200) == [("0:10:00.200000", False)]

    play("0 */5 * * * *", scenario)


def test_a_time_span_counts_from_start_to_start(play: Callable[..., None]) -> None:
    async def scenario(clock: Clock) -> None:
        assert await clock.at(seconds=29) == []
        assert await clock.at(seconds=32) == [("0:00:32", False)]
        assert await clock.at(seconds=61) == []
        assert await clock.at(seconds=62) == [("0:01:02", False)]

    play("00:00:30", scenario)


def test_occurrences_missed_in_a_suspended_machine_run_once_and_late(play: Callable[..., None]) -> None:
    async def scenario(clock: Clock) -> None:
        assert await clock.at(hours=5, seconds=30) == [("5:00:30", True)]
        assert await clock.at(hours=5, seconds=59) == []
        assert await clock.at(hours=5, minutes=1) == [("5:01:00", False)]

    play("0 * * * * *", scenario)


def test_a_clock_that_is_set_back_is_followed_and_no_tick_repeated(play: Callable[..., None]) -> None:
    async def scenario(clock: Clock) -> None:
        assert await clock.at(minutes=1) == [("0:01:00", False)]
        assert await clock.at(seconds=45) == []
        assert await clock.at(minutes=1, seconds=1) == []  # a correction: this minute has run already
        assert await clock.at(minutes=2) == [("0:02:00", False)]
        assert await clock.at(hours=-3) == []  # a different time
        assert await clock.at(hours=-3, minutes=1) == [("-1 day, 21:01:00", False)]

    play("0 * * * * *", scenario)


def test_it_never_overlaps_with_itself_and_missed_runs_happen_once(play: Callable[..., None]) -> None:
    async def scenario(clock: Clock) -> None:
        clock.open.clear()
        assert await clock.at(minutes=1) == [("0:01:00", False)]
        assert await clock.at(minutes=2) == []
        assert await clock.at(minutes=4, seconds=1) == []
        clock.open.set()
        assert await clock.at(minutes=4, seconds=2) == [("0:04:02", True)]
        assert await clock.at(minutes=5) == [("0:05:00", False)]

    play("0 * * * * *", scenario)


def test_run_on_startup_runs_at_once_and_then_by_the_schedule(play: Callable[..., None]) -> None:
    async def scenario(clock: Clock) -> None:
        assert await clock.at(seconds=0) == [("0:00:00", False)]
        assert await clock.at(minutes=59) == []
        assert await clock.at(hours=1) == [("1:00:00", False)]

    play("0 0 * * * *", scenario, run_on_startup=True)


def test_a_stop_ends_a_wait_at_once_and_lets_a_run_end(play: Callable[..., None]) -> None:
    async def waiting(clock: Clock) -> None:
        clock.stopping.set()
        assert await clock.at(minutes=1) == []

    async def in_a_run(clock: Clock) -> None:
        clock.open.clear()
        assert await clock.at(minutes=1) == [("0:01:00", False)]
        clock.stopping.set()
        clock.open.set()
        assert await clock.at(minutes=2) == []

    play("0 * * * * *", waiting)
    play("0 * * * * *", in_a_run)


# ---- in a program

PROGRAM = """
import json, pathlib, threading, time
import azure.functions as func

app = func.FunctionApp()
lock = threading.Lock()

def note(name, timer, **more):
    with lock, pathlib.Path("notes").open("a") as notes:
        thread = threading.current_thread().name
        print(json.dumps({"name": name, "late": timer.past_due, "thread": thread, **more}), file=notes)

@app.timer_trigger("timer", "* * * * * *")
def tick(timer: func.TimerRequest, context: func.Context) -> None:
    note("tick", timer, id=context.invocation_id, function=context.function_name)

@app.timer_trigger("timer", "%PURGE_SCHEDULE%")
async def purge(timer: func.TimerRequest) -> None:
    note("purge", timer)

@app.timer_trigger("timer", "*/1 * * * * *")
def fail(timer: func.TimerRequest) -> None:
    note("fail", timer)
    raise SystemExit("on purpose")

@app.timer_trigger("timer", "0 0 0 1 1 *", run_on_startup=True, use_monitor=True)
def yearly(timer: func.TimerRequest) -> None:
    note("yearly begins", timer)
    while not pathlib.Path("stopping").exists():
        time.sleep(0.01)
    time.sleep(2)  # longer than the threads are waited for at the end
    note("yearly ends", timer)

@app.timer_trigger("timer", "%NOT_SET%")
def never(timer: func.TimerRequest) -> None:
    note("never", timer)

@app.route("hello")
def hello(req: func.HttpRequest) -> str:
    return "Hello"
"""


@pytest.fixture
def timer_project(bare_project: Path) -> Path:
    """A project whose timers write what they do to the file `notes`."""
    (bare_project / "function_app.py").write_text(PROGRAM, "utf-8")
    local = {"IsEncrypted": False, "Values": {"PURGE_SCHEDULE": "00:00:01"}}
    (bare_project / "local.settings.json").write_text(json.dumps(local), "utf-8")
    return bare_project


def notes(project: Path, name: str) -> list[dict[str, Any]]:
    """Returns the notes that the timer of this name wrote so far."""
    file = project / "notes"
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return [note for note in map(json.loads, lines) if note["name"] == name]


def wait_for(project: Path, name: str, count: int) -> None:
    """Returns when the timer of this name has written `count` notes."""
    deadline = time.monotonic() + WAIT_SECONDS
    while len(notes(project, name)) < count:
        assert time.monotonic() < deadline, name
        time.sleep(0.05)


def stop(program: Program, project: Path) -> None:
    """Ends the program while the yearly timer is still running."""
    program.process.send_signal(signal.SIGTERM)
    (project / "stopping").touch()
    assert program.process.wait(WAIT_SECONDS) == 0


def test_timers_of_a_program_run_beside_its_requests(timer_project: Path, tmp_path: Path) -> None:
    with running(tmp_path, project=timer_project) as program:
        assert re.search(
            r"^  tick: \[timer\] \* \* \* \* \* \*, next at 20\d\d-\d\d-\d\dT[\d:]{8}Z$", program.printed, re.MULTILINE
        )
        assert "  purge: [timer] 00:00:01, next at " in program.printed
        assert re.search(
            r"^  yearly: \[timer\] 0 0 0 1 1 \*, next at \d{4}-01-01T00:00:00Z$", program.printed, re.MULTILINE
        )
        assert "  unsupported: never: its schedule cannot be read: the setting NOT_SET is not set" in program.printed
        for name in ("tick", "purge", "fail"):
            wait_for(timer_project, name, 3)
        assert program.client.get(program.urls["hello"]).text == "Hello"
        stop(program, timer_project)
        log = program.log
    ticks = notes(timer_project, "tick")
    assert {tick["function"] for tick in ticks} == {"tick"}
    assert len({tick["id"] for tick in ticks}) == len(ticks)
    assert all(tick["thread"].startswith("worker-") for tick in ticks)
    assert not any(note["thread"].startswith("worker-") for note in notes(timer_project, "purge"))
    assert log.count("fail raised\n") == log.count("SystemExit: on purpose\n") == len(notes(timer_project, "fail"))
    assert notes(timer_project, "never") == []


def test_a_stop_waits_for_a_timer_that_is_running(timer_project: Path, tmp_path: Path) -> None:
    with running(tmp_path, project=timer_project) as program:
        wait_for(timer_project, "yearly begins", 1)
        wait_for(timer_project, "tick", 1)
        stop(program, timer_project)
        assert "Traceback" not in program.log.replace("fail raised\nTraceback", "")
    assert [note["late"] for note in notes(timer_project, "yearly ends")] == [False]
    last = len(notes(timer_project, "tick"))
    time.sleep(1.5)
    assert len(notes(timer_project, "tick")) == last


def test_the_app_is_imported_with_its_timers_enabled(bare_project: Path, tmp_path: Path) -> None:
    (bare_project / "function_app.py").write_text(
        "import azure.functions as func, os\napp = func.FunctionApp()\nprint('TIMERS is', os.environ['TIMERS'])\n",
        "utf-8",
    )
    for given, seen in (("", "on"), ("off", "off")):
        with running(tmp_path, project=bare_project, TIMERS=given) as program:
            assert f"TIMERS is {seen}\n" in program.printed
    assert "environ" not in "".join(path.read_text("utf-8") for path in (PROJECT / "devhost").glob("*.py"))
