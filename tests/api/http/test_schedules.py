"""Schedules of timers: those that the app accepts are those that the development host, as the real one, can run."""

from __future__ import annotations

import re

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


@given(st.lists(st.text("0123456789*,-/ monfrijan", min_size=1, max_size=6), min_size=6, max_size=6).map(" ".join))
def test_what_is_accepted_has_a_meaning_on_the_host(schedule: str) -> None:
    try:
        parse_schedule(schedule)
    except ValueError:
        return
    try:
        parse_on_host(schedule)
    except ScheduleError as error:
        assert "no occurrence" in str(error)  # noqa: PT017 - 30 February
