"""Schedules of timers: those that the app accepts are those that the development host, as the real one, can run."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.schedules import parse_schedule
from devhost.schedules import ScheduleError
from devhost.schedules import parse_schedule as parse_on_host

VALID = [
    "0 */15 * * * *",
    "*/10 * * * * *",
    "0 30,45 18 * * *",
    "0 30 9 * * Mon-Fri",
    "0 0 0 1 JAN *",
    "59 59 23 31 12 6",
    "0 0-30/5,45 1-3 */2 feb-4,11 0,sat",
    "  0  0 0 * * * ",
    "0 0 0 29 2 *",
    "0 0 0 29 2 Mon",
    "0 0 0 31 2,mar *",
    "0 0 0 31-30 9 *",
    "0 0 0 */30 2 *",
    "0 0 0 31 2/5 *",
]
INVALID = [
    "", "*", "0 * * * *", "0 0 * * * * *", "60 * * * * *", "* 60 * * * *", "* * 24 * * *", "* * * 0 * *",
    "* * * 32 * *", "* * * * 13 *", "* * * * 0 *", "* * * * * 7", "*/0 * * * * *",
    "* * * * * Sunny", "* * * * Mon *", "* * * * * Jan",
    "a * * * * *", "-1 * * * * *", "1- * * * * *", ", * * * * *", "1,, * * * * *", "% * * * * *", "00:15:00",
    "%LOW_STOCK_SCHEDULE%", "* * * * * ?", "٣ * * * * *",
]  # fmt: skip


@pytest.mark.parametrize("schedule", VALID)
def test_ncrontab_is_accepted_as_it_is(schedule: str) -> None:
    assert parse_schedule(schedule) == schedule
    parse_on_host(schedule)


@pytest.mark.parametrize("schedule", INVALID)
def test_anything_else_is_an_error(schedule: str) -> None:
    message = "six fields of NCRONTAB (second, minute, hour, day, month, day of the week), in UTC"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_schedule(schedule)


@pytest.mark.parametrize(
    "dates", ["31 2", "30 feb", "30,31 2", "31 4,6,9,11", "30-31 2", "30/1 2", "31 4-6/2", "31 2/7", "31-31/2 11/9"]
)
def test_a_date_that_never_comes_is_an_error(dates: str) -> None:
    with pytest.raises(ScheduleError, match="no occurrence"):
        parse_on_host(f"0 0 0 {dates} *")
    with pytest.raises(ValueError, match=r"^a schedule with a day that one of its months has$"):
        parse_schedule(f"0 0 0 {dates} *")


def days_or_months(least: int, most: int) -> st.SearchStrategy[str]:
    """Fields of values, ranges and steps."""
    bound = st.integers(least, most).map(str)
    values = st.one_of(st.just("*"), bound, st.tuples(bound, bound).map("-".join))
    part = st.tuples(values, st.one_of(st.just(""), st.integers(1, 12).map("/{}".format))).map("".join)
    return st.lists(part, min_size=1, max_size=2).map(",".join)


@given(days_or_months(29, 31), days_or_months(1, 12))
def test_the_dates_that_are_accepted_are_those_of_the_host(days: str, months: str) -> None:
    def accepts(parse: Callable[[str], object], error: type[Exception]) -> bool:
        try:
            parse(f"0 0 0 {days} {months} *")
        except error:
            return False
        return True

    assert accepts(parse_schedule, ValueError) is accepts(parse_on_host, ScheduleError)


@given(st.lists(st.text("0123456789*,-/ monfrijan", min_size=1, max_size=6), min_size=6, max_size=6).map(" ".join))
def test_what_is_accepted_has_a_meaning_on_the_host(schedule: str) -> None:
    try:
        parse_schedule(schedule)
    except ValueError:
        return
    parse_on_host(schedule)
