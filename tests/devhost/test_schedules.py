"""The schedules of timers: NCRONTAB as parsed by NCrontab, and TimeSpans. All times are in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost.schedules import ScheduleError, next_occurrence, parse_schedule

START = "2026-11-20T12:34:56.5"  # a Friday


def following(schedule: str, after: str, count: int = 1) -> list[str]:
    """Returns the next occurrences, without time zone."""
    parsed, moment, occurrences = parse_schedule(schedule), datetime.fromisoformat(after).replace(tzinfo=UTC), []
    for _ in range(count):
        moment = next_occurrence(parsed, moment)
        assert moment.tzinfo is UTC
        occurrences.append(moment.isoformat().removesuffix("+00:00"))
    return occurrences


@pytest.mark.parametrize(
    ("schedule", "after", "occurrences"),
    [
        # steps and lists
        ("* * * * * *", START, ["2026-11-20T12:34:57", "2026-11-20T12:34:58"]),
        ("*/30 * * * * *", START, ["2026-11-20T12:35:00", "2026-11-20T12:35:30"]),
        ("0 */5 * * * *", START, ["2026-11-20T12:35:00", "2026-11-20T12:40:00"]),
        ("0 0 * * * *", "2026-12-31T23:30:00", ["2027-01-01T00:00:00"]),
        ("5,10 0 9-17 * * *", "2026-11-20T16:00:10", ["2026-11-20T17:00:05", "2026-11-20T17:00:10"]),
        ("5/20 * * * * *", "2026-11-20T00:00:05", ["2026-11-20T00:00:25", "2026-11-20T00:00:45"]),
        ("0-10/5 0 0 * * *", "2026-11-20T00:00:05", ["2026-11-20T00:00:10", "2026-11-21T00:00:00"]),
        # the given time itself is never returned
        ("0 30 9 * * *", "2026-11-20T09:30:00", ["2026-11-21T09:30:00"]),
        ("0 30 9 * * *", "2026-11-20T09:29:59.999999", ["2026-11-20T09:30:00"]),
        # names of months and days may be abbreviated; 0 is Sunday
        ("0 30 9 * Jan Mon", "2026-11-20T00:00:00", ["2027-01-04T09:30:00"]),
        ("0 30 9 * january MONDAY", "2026-11-20T00:00:00", ["2027-01-04T09:30:00"]),
        ("0 0 0 * * 0", "2026-11-20T00:00:00", ["2026-11-22T00:00:00"]),
        ("0 0 0 * * 6,sun", "2026-11-21T00:00:00", ["2026-11-22T00:00:00", "2026-11-28T00:00:00"]),
        ("0 0 0 * * Mon-Fri", "2026-11-20T00:00:00", ["2026-11-23T00:00:00"]),
        ("0 0 0 * * 4/2", "2026-11-18T00:00:00", ["2026-11-19T00:00:00", "2026-11-21T00:00:00", "2026-11-26T00:00:00"]),
        # the bounds of a reversed range are swapped
        ("0 0 22-21 * * *", "2026-11-20T21:00:00", ["2026-11-20T22:00:00", "2026-11-21T21:00:00"]),
        ("0 0 0 * * Fri-Thu", "2026-11-20T00:00:00", ["2026-11-26T00:00:00", "2026-11-27T00:00:00"]),
        ("*/0 * * * * *", "2026-11-20T00:00:00", ["2026-11-20T00:00:01"]),
        # both days must match; cron requires only one
        ("0 0 0 13 * Fri", "2026-11-20T00:00:00", ["2027-08-13T00:00:00", "2028-10-13T00:00:00"]),
        ("*/30 * * 13 * Fri", "2026-11-20T00:00:00", ["2027-08-13T00:00:00", "2027-08-13T00:00:30"]),
        ("0 0 0 */10 * 1-5", "2026-11-20T00:00:00", ["2026-12-01T00:00:00", "2026-12-11T00:00:00"]),
        # ends of months, leap years
        ("0 0 0 31 * *", "2026-11-20T00:00:00", ["2026-12-31T00:00:00", "2027-01-31T00:00:00", "2027-03-31T00:00:00"]),
        ("0 0 0 29 2 *", "2026-11-20T00:00:00", ["2028-02-29T00:00:00", "2032-02-29T00:00:00"]),
        ("0 0 12 29 Feb Sun", "2026-11-20T00:00:00", ["2032-02-29T12:00:00", "2060-02-29T12:00:00"]),
        ("0 0 0 29 2 *", "2096-03-01T00:00:00", ["2104-02-29T00:00:00"]),
        # no daylight saving in UTC
        ("0 30 2 * * *", "2026-03-28T12:00:00", ["2026-03-29T02:30:00", "2026-03-30T02:30:00"]),
        # five fields mean second 0; outer blanks are ignored
        ("30 9 * * *", "2026-11-20T00:00:30", ["2026-11-20T09:30:00", "2026-11-21T09:30:00"]),
        ("  0  30 9 *  * * ", "2026-11-20T00:00:00", ["2026-11-20T09:30:00"]),
        # TimeSpans count from the previous start
        ("00:00:30", START, ["2026-11-20T12:35:26.500000", "2026-11-20T12:35:56.500000"]),
        ("01:30", "2026-11-20T00:00:00", ["2026-11-20T01:30:00"]),
        ("1.02:03:04", "2026-11-20T00:00:00", ["2026-11-21T02:03:04"]),
        ("0:0:1", "2026-11-20T00:00:00", ["2026-11-20T00:00:01"]),
    ],
)  # fmt: skip
def test_the_next_occurrences(schedule: str, after: str, occurrences: list[str]) -> None:
    assert following(schedule, after, len(occurrences)) == occurrences


@pytest.mark.parametrize(
    "schedule",
    [
        "", "*", "* * * *", "* * * * * * *", "@daily", "never",
        "60 * * * * *", "-1 * * * * *", "* 60 * * * *", "* * 24 * * *", "* * * 0 * *", "* * * 32 * *", "* * * * 0 *",
        "* * * * 13 *", "* * * * * 7", "* * * * * Mo,", "* * * * * Funday", "* * * * * Mon2", "Jan * * * * *",
        "*/x * * * * *", "*/ * * * * *", "1- * * * * *", "1-2-3 * * * * *", "1.5 * * * * *",
        "+1 * * * * *", "1_0 * * * * *",
        "? * * * * *", "* * * L * *", "* * * * * Fri#2", "* * * LW * *", "H * * * * *", "\u0661 * * * * *",
        "0 0 0 31 2 *", "0 0 0 30 2 *", "0 0 0 31 4,6,9,11 *",
        "00:00:00", "24:00:00", "00:60:00", "00:00:60", "-00:00:30", "00:00:00.5", "1:2:3:4",
    ],
)  # fmt: skip
def test_an_invalid_schedule_is_an_error_of_one_line(schedule: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_schedule(schedule)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


def lists(least: int, most: int) -> st.SearchStrategy[set[int]]:
    """Lists of values of a field."""
    return st.sets(st.integers(least, most), min_size=1, max_size=4)


@given(
    seconds=lists(0, 59), minutes=lists(0, 59), hours=lists(0, 23), days=lists(1, 28), months=lists(1, 12),
    week=lists(0, 6), after=st.integers(946_684_800, 4_102_444_800).map(lambda time: datetime.fromtimestamp(time, UTC)),
)  # fmt: skip
def test_an_occurrence_matches_every_field_and_none_is_skipped(
    seconds: set[int],
    minutes: set[int],
    hours: set[int],
    days: set[int],
    months: set[int],
    week: set[int],
    after: datetime,
) -> None:
    fields = (seconds, minutes, hours, days, months, week)
    found = next_occurrence(parse_schedule(" ".join(",".join(map(str, field)) for field in fields)), after)

    def matches_day(moment: datetime) -> bool:
        return moment.day in days and moment.month in months and moment.isoweekday() % 7 in week

    def times(day: datetime) -> list[datetime]:
        return [
            day.replace(hour=hour, minute=minute, second=second, microsecond=0)
            for hour in sorted(hours)
            for minute in sorted(minutes)
            for second in sorted(seconds)
        ]

    day = after
    while not (matches_day(day) and any(moment > after for moment in times(day))):
        day = (day + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert found == next(moment for moment in times(day) if moment > after)
