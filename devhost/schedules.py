"""The schedules of Azure Functions timers, in UTC. Pure functions: no clock is read here.

A schedule is an NCRONTAB expression or a TimeSpan. Fields are parsed as by NCrontab (github.com/atifaziz/NCrontab,
CrontabField.cs and CrontabFieldImpl.cs); cronsim finds the occurrences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cronsim import CronSim, CronSimError

_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


class _Field(NamedTuple):
    least: int
    most: int
    names: tuple[str, ...] = ()


_FIELDS: Final = (
    _Field(0, 59),
    _Field(0, 59),
    _Field(0, 23),
    _Field(1, 31),
    _Field(1, 12, _MONTHS),
    _Field(0, 6, _DAYS),
)
"""Second, minute, hour, day of the month, month, day of the week (0 is Sunday; 7 is invalid)."""

_RANGE: Final = re.compile(r"(?:\*|([0-9a-z]+)(?:-([0-9a-z]+))?)(?:/([0-9]+))?", re.IGNORECASE | re.ASCII)
_TIME_SPAN: Final = re.compile(r"(?:([0-9]{1,7})\.)?([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2}))?")


class ScheduleError(Exception):
    """The real host would reject the schedule, or it has no occurrence; the message says which."""


@dataclass(frozen=True, slots=True)
class Cron:
    """An NCRONTAB expression: `expression` is for cronsim, without the days of the week (0 to 6)."""

    expression: str
    days_of_week: frozenset[int]


Schedule = Cron | timedelta
"""A timedelta is the interval from one start to the next."""


def parse_schedule(text: str) -> Schedule:
    """Returns a schedule: an NCRONTAB expression of six fields (five mean second 0) or a TimeSpan `[d.]hh:mm[:ss]`.

    Raises `ScheduleError`.
    """
    if match := _TIME_SPAN.fullmatch(text.strip()):
        return _time_span(*(int(part or 0) for part in match.groups()))
    fields = text.split()
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) != len(_FIELDS):
        raise ScheduleError(
            f"{text!r} has neither the six fields of NCRONTAB (second, minute, hour, day, month, day of the week) "
            "nor the form hh:mm:ss"
        )
    *values, days_of_week = (_values(kind, field) for kind, field in zip(_FIELDS, fields, strict=True))
    cron = Cron(" ".join(",".join(map(str, sorted(numbers))) for numbers in values) + " *", frozenset(days_of_week))
    try:
        CronSim(cron.expression, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError:
        raise ScheduleError(f"{text!r} has no occurrence: its months are shorter than its days") from None
    return cron


def next_occurrence(schedule: Schedule, after: datetime) -> datetime:
    """Returns the first occurrence later than `after`, in UTC like `after`."""
    if isinstance(schedule, timedelta):
        return after + schedule
    # cron runs if the day of the month *or* of the week matches, NCRONTAB only if both match.
    while (occurrence := next(CronSim(schedule.expression, after))).isoweekday() % 7 not in schedule.days_of_week:
        after = occurrence.replace(hour=23, minute=59, second=59)
    return occurrence


def _time_span(days: int, hours: int, minutes: int, seconds: int) -> timedelta:
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ScheduleError("a TimeSpan has hours to 23, minutes and seconds to 59: [d.]hh:mm[:ss]")
    interval = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not interval:
        raise ScheduleError("a TimeSpan must be longer than zero")
    return interval


def _values(kind: _Field, text: str) -> set[int]:
    return {value for part in text.split(",") for value in _range(kind, part)}


def _range(kind: _Field, text: str) -> range:
    match = _RANGE.fullmatch(text)
    if not match:
        raise ScheduleError(f"{text!r} is not a value, range or step of NCRONTAB")
    first, last, step = match.groups()
    low = kind.least if first is None else _value(kind, first)
    open_ended = first is None or (last is None and step)
    high = kind.most if open_ended else _value(kind, last or first)
    low, high = sorted((low, high))  # NCrontab swaps the bounds of a reversed range
    return range(low, high + 1, max(1, int(step or 1)))


def _value(kind: _Field, text: str) -> int:
    """Returns the value of a number or of a name, which may be abbreviated and in any case."""
    values = [number for number, name in enumerate(kind.names, kind.least) if name.startswith(text.lower())]
    if text.isdigit():
        values = [int(text)]
    if not values or not kind.least <= values[0] <= kind.most:
        raise ScheduleError(f"{text!r} is not among the values of its field, {kind.least} to {kind.most}")
    return values[0]
