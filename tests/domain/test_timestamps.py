"""The text form of timestamps."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.timestamps import format_timestamp, shift_timestamp

aware_times = st.datetimes(
    min_value=datetime(1, 1, 3),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
)


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (datetime(2024, 2, 29, 12, 30, 15, 42, tzinfo=UTC), "2024-02-29T12:30:15.000042Z"),
        (datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00.000000Z"),
        (datetime(2024, 1, 1, 3, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2023-12-31T21:30:00.000000Z"),
    ],
)
def test_a_timestamp_is_utc_with_microseconds_and_z(now: datetime, text: str) -> None:
    assert format_timestamp(now) == text


@given(aware_times, aware_times)
@settings(max_examples=150)
def test_timestamps_have_27_characters_sort_as_time_does_and_round_trip(one: datetime, other: datetime) -> None:
    first, second = format_timestamp(one), format_timestamp(other)
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", first)
    assert len(first) == 27
    assert (first < second, first == second) == (one < other, one == other)
    assert datetime.fromisoformat(first) == one
    assert format_timestamp(datetime.fromisoformat(first)) == first


@given(aware_times, st.integers(-86400, 86400))
def test_a_shifted_timestamp_is_so_many_seconds_later(time: datetime, seconds: int) -> None:
    shifted = shift_timestamp(format_timestamp(time), seconds)
    assert shifted == format_timestamp(time + timedelta(seconds=seconds))
