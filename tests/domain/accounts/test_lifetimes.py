"""The window of failed sign-ins, and how long a replaced key is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts import (
    FAILURE_WINDOW_SECONDS,
    TOKEN_SECONDS,
    failure_window_start,
    key_is_accepted,
    retry_after,
)
from domain.timestamps import shift_timestamp

NOON = "2026-01-01T12:00:00.000000Z"


def test_the_window_begins_ten_minutes_ago() -> None:
    assert failure_window_start(NOON) == "2026-01-01T11:50:00.000000Z"


@pytest.mark.parametrize(
    ("oldest", "seconds"),
    [
        (NOON, 600),
        ("2026-01-01T11:59:59.999999Z", 600),
        ("2026-01-01T11:59:59.000000Z", 599),
        ("2026-01-01T11:50:01.000000Z", 1),
        ("2026-01-01T11:50:00.000001Z", 1),
        ("2026-01-01T11:50:00.000000Z", 1),
        ("2026-01-01T11:00:00.000000Z", 1),
    ],
)
def test_the_wait_is_in_whole_seconds_rounded_up_and_at_least_one(oldest: str, seconds: int) -> None:
    assert retry_after(oldest, NOON) == seconds


@given(st.integers(0, FAILURE_WINDOW_SECONDS - 1))
def test_after_the_wait_the_failure_has_left_the_window(age: int) -> None:
    failed_at = shift_timestamp(NOON, -age)
    assert failed_at > failure_window_start(NOON)
    assert failed_at <= failure_window_start(shift_timestamp(NOON, retry_after(failed_at, NOON)))


def test_a_replaced_key_is_accepted_for_as_long_as_its_tokens_live() -> None:
    assert key_is_accepted(None, NOON)
    assert key_is_accepted(NOON, shift_timestamp(NOON, TOKEN_SECONDS - 1))
    assert not key_is_accepted(NOON, shift_timestamp(NOON, TOKEN_SECONDS))
