"""Timer triggers: one task per timer waits for the next occurrence, runs the function, and waits again.

As on the real host, a timer never overlaps with itself, and missed occurrences run once. Unlike there, nothing is
stored between two starts (`use_monitor` has no effect), and there is no lock against other processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from azure.functions.decorators.timer import TimerTrigger
from azure.functions.timer import TimerRequest

from devhost.functions import Function, UnsupportedError
from devhost.schedules import Schedule, ScheduleError, next_occurrence, parse_schedule

POLL_SECONDS: Final = 1.0
"""How often a waiting timer reads the clock: a sleep does not include the time in which the machine is suspended."""

PAST_DUE: Final = timedelta(seconds=5)
"""A run is past due if it begins later than this after its occurrence."""

SET_BACK: Final = timedelta(minutes=1)
"""A clock that goes back further than this was set: the next occurrence is computed again."""


@dataclass(frozen=True, slots=True)
class Timer:
    """A function with a schedule. `expression` is the schedule as text, with settings filled in."""

    function: Function
    expression: str
    schedule: Schedule
    run_on_startup: bool


def read_timer(function: Function, trigger: TimerTrigger, app_settings: Mapping[str, str]) -> Timer:
    """Returns the timer of a function. `%NAME%` in its schedule is the setting of this name.

    Raises `UnsupportedError` for a schedule that cannot be parsed.
    """
    try:
        expression = re.sub(r"%([^%]*)%", lambda reference: app_settings[reference[1]], trigger.schedule)
        return Timer(function, expression, parse_schedule(expression), bool(trigger.run_on_startup))
    except KeyError as error:
        raise UnsupportedError(f"its schedule cannot be read: the setting {error.args[0]} is not set") from error
    except ScheduleError as error:
        raise UnsupportedError(f"its schedule cannot be read: {error}") from error


def utc_now() -> datetime:
    """Returns the current time in UTC."""
    return datetime.now(UTC)


async def run_timer(
    timer: Timer,
    run: Callable[[Timer, TimerRequest], Awaitable[None]],
    stopping: asyncio.Event,
    now: Callable[[], datetime] = utc_now,
) -> None:
    """Awaits `run` at each occurrence until `stopping` is set. `run` must not raise."""
    after = now()
    if timer.run_on_startup:
        await run(timer, _timer_request(past_due=False))
    while True:
        due = next_occurrence(timer.schedule, after)
        after = await _wait(due, stopping, now)
        if stopping.is_set():
            return
        if after >= due:
            await run(timer, _timer_request(past_due=after - due > PAST_DUE))


async def _wait(due: datetime, stopping: asyncio.Event, now: Callable[[], datetime]) -> datetime:
    """Returns the time at the end of the wait: `due` or later; earlier after a stop or if the clock was set back."""
    latest = moment = now()
    while latest - SET_BACK < moment < due and not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), min((due - moment).total_seconds(), POLL_SECONDS))
        latest, moment = max(latest, moment), now()
    return moment


def _timer_request(*, past_due: bool) -> TimerRequest:
    return TimerRequest(past_due=past_due, schedule={"AdjustForDST": True})
