"""When the list of low stock is due: at the first tick of every local day, once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost.schedules import next_occurrence, parse_schedule
from domain.invoices.low_stock import day_schedule, due_day, last_day_or_first, local_day

KOLKATA = ZoneInfo("Asia/Kolkata")
QUARTER = timedelta(minutes=15)


def at(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def made(ticks: Iterable[datetime], zone: ZoneInfo, stored: date | None = None) -> list[tuple[datetime, date]]:
    """The lists that one process makes, each with its tick."""
    found = []
    last_day: date | None = None
    for now in ticks:
        last_day = last_day_or_first(now, zone, last_day or stored)
        if day := due_day(now, zone, last_day):
            found.append((now, day))
            last_day = day
    return found


def quarters(start: str, hours: int) -> list[datetime]:
    """Ticks every 15 minutes."""
    return [at(start) + QUARTER * number for number in range(hours * 4)]


# Where days are regular, where a day is 23 or 25 hours, begins at 01:00, or is left out, and with odd offsets.
@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("UTC", "2026-12-30T12:00"),
        ("Asia/Kolkata", "2026-11-20T12:00"),
        ("Asia/Kathmandu", "2026-11-20T12:00"),
        ("Pacific/Chatham", "2026-09-25T01:00"),
        ("Australia/Lord_Howe", "2026-04-03T01:00"),
        ("Australia/Lord_Howe", "2026-10-02T01:00"),
        ("America/New_York", "2026-03-06T12:00"),
        ("America/New_York", "2026-10-30T12:00"),
        ("Europe/Berlin", "2026-03-27T12:00"),
        ("America/Sao_Paulo", "2018-11-02T12:00"),  # no midnight on the 4th
        ("America/Sao_Paulo", "2018-02-16T12:00"),  # 23:00 of the 17th twice
        ("Asia/Beirut", "2026-03-27T12:00"),  # no midnight on the 29th
        ("Asia/Beirut", "2026-10-23T12:00"),
        ("America/Havana", "2026-10-30T12:00"),  # midnight of the 1st twice
        ("America/St_Johns", "2010-11-05T12:00"),  # the 7th begins twice
        ("Pacific/Apia", "2011-12-28T12:00"),  # no 30th
        ("Pacific/Kiritimati", "2026-11-20T12:00"),
    ],
)
def test_every_local_day_has_one_list_from_its_first_tick(zone: str, start: str) -> None:
    ticks = quarters(start, 96)
    place = ZoneInfo(zone)
    first: dict[date, datetime] = {}
    for now in ticks:
        first.setdefault(local_day(now, place), now)
    days = sorted(first)
    assert len(days) >= 4
    assert made(ticks, place) == [(first[day], day) for day in days[1:]]


@pytest.mark.parametrize(
    ("zone", "before", "day", "begins"),
    [
        ("Asia/Kolkata", "2026-11-20T18:29:59.999999", "2026-11-21", "2026-11-20T18:30"),
        ("Asia/Kathmandu", "2026-11-20T18:14:59.999999", "2026-11-21", "2026-11-20T18:15"),
        ("Pacific/Chatham", "2026-11-20T10:14:59.999999", "2026-11-21", "2026-11-20T10:15"),
        ("America/Sao_Paulo", "2018-11-04T02:59:59.999999", "2018-11-04", "2018-11-04T03:00"),  # it is 01:00
        ("Asia/Beirut", "2026-03-28T21:59:59.999999", "2026-03-29", "2026-03-28T22:00"),  # it is 01:00
        ("America/New_York", "2026-03-08T04:59:59.999999", "2026-03-08", "2026-03-08T05:00"),
        ("America/New_York", "2026-03-09T03:59:59.999999", "2026-03-09", "2026-03-09T04:00"),
    ],
)
def test_a_day_begins_where_its_zone_says(zone: str, before: str, day: str, begins: str) -> None:
    today = date.fromisoformat(day)
    yesterday = today - timedelta(days=1)
    assert due_day(at(before), ZoneInfo(zone), yesterday) is None
    assert due_day(at(begins), ZoneInfo(zone), yesterday) == today
    assert due_day(at(begins), ZoneInfo(zone), today) is None


@pytest.mark.parametrize("now", ["2026-11-20T19:30", "2026-11-21T08:00", "2026-11-21T18:29:59"])
def test_a_missed_night_is_made_up_for_at_any_time_of_the_day(now: str) -> None:
    for last_day in (date(2026, 11, 20), date(2026, 11, 10), date(2020, 1, 1)):
        assert due_day(at(now), KOLKATA, last_day) == date(2026, 11, 21)


def test_a_database_that_never_had_a_list_has_missed_nothing() -> None:
    assert made(quarters("2026-11-20T19:15", 23), KOLKATA) == []
    # Its first list is that of the next day: by the process that saw it without one, also late,
    ticks = [at("2026-11-20T12:00"), at("2026-11-20T22:00")]
    assert made(ticks, KOLKATA) == [(ticks[1], date(2026, 11, 21))]
    # and by a process that begins with a tick at midnight, or with the one after it.
    for late in (timedelta(0), timedelta(minutes=29)):
        assert due_day(at("2026-11-20T18:30") + late, KOLKATA, None) == date(2026, 11, 21)
    assert due_day(at("2026-11-20T19:00"), KOLKATA, None) is None


def test_a_clock_that_is_set_back_over_midnight_makes_no_second_list() -> None:
    ticks = [at("2026-11-20T18:15"), *quarters("2026-11-20T18:30", 1), *quarters("2026-11-20T17:45", 3)]
    assert made(ticks, KOLKATA) == [(at("2026-11-20T18:30"), date(2026, 11, 21))]


def test_the_list_of_a_clock_that_was_far_ahead_is_replaced() -> None:
    ticks = [at("2026-11-20T12:00"), at("2031-05-01T12:00"), at("2026-11-20T12:30"), *quarters("2026-11-20T18:15", 1)]
    assert [day for _, day in made(ticks, KOLKATA)] == [date(2031, 5, 1), date(2026, 11, 20), date(2026, 11, 21)]


def test_a_clock_that_was_behind_is_made_up_for() -> None:
    ticks = [at("2026-11-20T12:00"), at("2026-11-01T12:00"), at("2026-11-20T12:15"), at("2026-11-21T12:00")]
    days = [day for _, day in made(ticks, KOLKATA, date(2026, 11, 20))]
    assert days == [date(2026, 11, 1), date(2026, 11, 20), date(2026, 11, 21)]


@given(
    st.lists(st.integers(-3_000, 3_000), max_size=60),
    st.sampled_from(["Asia/Kolkata", "America/Sao_Paulo", "Asia/Kathmandu", "America/St_Johns"]),
)
def test_whatever_the_clock_does_the_last_list_is_of_today_or_tomorrow(jumps: list[int], name: str) -> None:
    now, zone = at("2018-11-01T00:00"), ZoneInfo(name)
    last_day = local_day(now, zone)
    for minutes in jumps:
        now += timedelta(minutes=minutes)
        last_day = due_day(now, zone, last_day) or last_day
        assert local_day(now, zone) <= last_day <= local_day(now, zone) + timedelta(days=1)
        assert due_day(now, zone, last_day) is None


# ---- the schedule of the template


@pytest.mark.slow  # every quarter-hour of a year
@pytest.mark.parametrize(
    ("zone", "schedule"),
    [
        ("Asia/Kolkata", "0 30,45 18 * * *"),
        ("UTC", "0 0,15 0 * * *"),
        ("Asia/Kathmandu", "0 15,30 18 * * *"),
        ("Europe/Berlin", "0 0,15 22,23 * * *"),
        ("America/New_York", "0 0,15 4,5 * * *"),
        ("America/St_Johns", "0 30,45 2,3 * * *"),
        ("Australia/Lord_Howe", "0 0,15,30,45 13 * * *"),
        ("Pacific/Chatham", "0 15,30 10,11 * * *"),
        ("Asia/Beirut", "0 0,15 21,22 * * *"),
    ],
)
def test_a_schedule_has_only_the_ticks_at_which_days_begin(zone: str, schedule: str) -> None:
    place = ZoneInfo(zone)
    assert day_schedule(at("2026-11-21T12:07:30"), place) == schedule
    every = quarters("2026-11-21T12:15", 365 * 24)
    assert made(_of(schedule, every), place) == made(every, place)


def _of(schedule: str, every: list[datetime]) -> list[datetime]:
    """The ticks of a schedule, of those of every quarter-hour. The host reads the schedule in the same way."""
    _, minutes, hours, *_ = schedule.split()
    ticks = [now for now in every if str(now.minute) in minutes.split(",") and str(now.hour) in hours.split(",")]
    assert next_occurrence(parse_schedule(schedule), every[0] - QUARTER) == ticks[0]
    return ticks


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
@pytest.mark.parametrize("missed", [False, True])
def test_with_it_processes_without_memory_make_every_list(zone: str, missed: bool) -> None:
    """The first list too, and where the first tick of every day is missed."""
    place = ZoneInfo(zone)
    every = quarters("2026-03-01T12:00", 60 * 24)
    stored: date | None = None
    days = []
    for now in _of(day_schedule(every[0], place), every):
        begins = local_day(now - QUARTER, place) < local_day(now, place)
        if not (missed and begins) and (day := due_day(now, place, stored)):
            days.append(stored := day)
    assert days == [day for _, day in made(every, place)]
