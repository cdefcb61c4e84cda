"""Failed sign-ins: ten of a username in ten minutes, counted before the password is verified."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from domain.accounts import FAILURE_WINDOW_SECONDS, MAX_FAILURES
from persistence import accounts as store
from persistence.accounts.failures import SWEEP_LIMIT
from persistence.accounts.tables import FAILURES
from persistence.database.connections import transaction
from tests.persistence.accounts.conftest import NOW, change, insert_all, later, rows

COUNT = select(func.count()).select_from(FAILURES)


def _count(username: str = "ann", seconds: int = 0) -> int | None:
    return change(store.count_failure, username, now=later(seconds))  # type: ignore[no-any-return]


@pytest.mark.usefixtures("app_database")
def test_the_eleventh_attempt_waits_until_the_oldest_leaves_the_window() -> None:
    assert [_count(seconds=second) for second in range(MAX_FAILURES)] == [None] * MAX_FAILURES
    assert [_count(seconds=second) for second in (10, 10, 599)] == [590, 590, 1]
    assert _count(seconds=600) is None
    assert _count(seconds=600) == 1
    assert rows(COUNT.where(FAILURES.c.username == "ann")) == [MAX_FAILURES]  # a rejected attempt is not counted


@pytest.mark.usefixtures("app_database")
def test_each_username_is_counted_by_itself() -> None:
    for _ in range(MAX_FAILURES):
        assert _count("ann") is None
    assert [_count(name) for name in ("ann", "an", "anna", "ann.")] == [600, None, None, None]
    change(store.forget_failures, "ann")
    assert _count("ann") is None
    assert sorted(rows(select(FAILURES.c.username))) == ["an", "ann", "ann.", "anna"]


@pytest.mark.usefixtures("app_database")
def test_an_attempt_sweeps_a_bounded_number_of_old_failures() -> None:
    old = [{"username": f"guess{number}", "failed_at": NOW} for number in range(2 * SWEEP_LIMIT + 1)]
    insert_all(FAILURES, old)
    left = []
    for seconds in (599, 600, 600, 600):
        _count("ann", seconds)
        left += rows(COUNT.where(FAILURES.c.username.like("guess%")))
    assert left == [len(old), SWEEP_LIMIT + 1, 1, 0]


def test_an_attempt_costs_two_statements_and_a_rejected_one_three(
    app_database: None, count_statements: Callable[[], int]
) -> None:
    costs = []
    for _ in range(MAX_FAILURES + 1):
        _count()
        costs.append(count_statements())
    assert costs == [2] * MAX_FAILURES + [3]
    change(store.forget_failures, "ann")
    assert count_statements() == 1


@given(st.lists(st.integers(0, 200), min_size=11, max_size=40))
@settings(max_examples=25)
def _never_more_than_ten_in_a_window(pauses: list[int]) -> None:
    with transaction() as connection:
        connection.execute(delete(FAILURES))
    accepted: list[int] = []
    seconds = 0
    for pause in pauses:
        seconds += pause
        wait = _count(seconds=seconds)
        if wait is None:
            accepted.append(seconds)
        else:
            assert accepted[-MAX_FAILURES] + FAILURE_WINDOW_SECONDS == seconds + wait
    for first, eleventh in zip(accepted, accepted[MAX_FAILURES:], strict=False):
        assert eleventh - first >= FAILURE_WINDOW_SECONDS


@pytest.mark.usefixtures("app_database")
def test_any_window_of_any_sequence_has_at_most_ten_attempts() -> None:
    _never_more_than_ten_in_a_window()
