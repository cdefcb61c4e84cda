"""Attempts and budgets of `run_with_retries`; test_sqlserver.py shows which faults of a driver are retried."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from persistence.database import retries
from persistence.database.errors import LostRaceError, TransientError
from persistence.database.retries import MAX_RACE_ATTEMPTS, remaining_seconds, run_with_retries


@pytest.fixture(autouse=True)
def _default_budget() -> Iterator[None]:
    retries.set_budget(retries.DEFAULT_BUDGET_SECONDS)  # that of the last connected database stays
    yield
    retries.set_budget(retries.DEFAULT_BUDGET_SECONDS)
    retries.set_retry_observer(None)


def _failing(*errors: Exception) -> Callable[[], str]:
    """Work that raises these errors, one per attempt, and then succeeds."""
    left = list(errors)

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return work


def test_a_lost_race_is_retried_a_few_times_and_then_raised() -> None:
    attempts = []

    def lose() -> None:
        attempts.append(1)
        raise LostRaceError

    with pytest.raises(LostRaceError) as caught:
        run_with_retries(lose)
    assert len(attempts) == MAX_RACE_ATTEMPTS
    assert caught.value.code == "lost-race"


@pytest.mark.parametrize("error", [LostRaceError(), TransientError()])
def test_work_that_fails_once_succeeds_the_second_time(error: Exception) -> None:
    assert run_with_retries(_failing(error)) == "done"


def test_an_error_of_any_other_kind_is_not_retried() -> None:
    work = _failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        run_with_retries(work)
    assert work() == "done"


def test_a_nested_call_leaves_the_outer_one_its_budget() -> None:
    def outer() -> None:
        before = remaining_seconds()
        run_with_retries(_failing(LostRaceError(), TransientError()))
        assert remaining_seconds() < before < retries.DEFAULT_BUDGET_SECONDS

    run_with_retries(outer)
    assert remaining_seconds() == retries.DEFAULT_BUDGET_SECONDS


def test_calls_inside_one_budget_share_it() -> None:
    with retries.retry_budget():
        run_with_retries(_failing(LostRaceError()))
        left = remaining_seconds()
        assert run_with_retries(remaining_seconds) < left < retries.DEFAULT_BUDGET_SECONDS
    assert remaining_seconds() == retries.DEFAULT_BUDGET_SECONDS


def test_a_nested_call_does_not_extend_the_outer_budget() -> None:
    def outer() -> None:
        retries.set_budget(1000)
        assert run_with_retries(remaining_seconds) < 3

    retries.set_budget(3)
    run_with_retries(outer)


def test_a_nested_call_does_not_change_the_outer_lost_races() -> None:
    attempts = []

    def outer() -> None:
        attempts.append(1)
        run_with_retries(_failing(LostRaceError(), LostRaceError()))
        raise LostRaceError

    with pytest.raises(LostRaceError):
        run_with_retries(outer)
    assert len(attempts) == MAX_RACE_ATTEMPTS


def test_nothing_is_retried_once_the_outer_budget_is_spent() -> None:
    attempts = []

    def fail() -> None:
        attempts.append(1)
        time.sleep(0.01)
        raise TransientError

    retries.set_budget(0)
    with pytest.raises(TransientError):
        run_with_retries(lambda: run_with_retries(fail))
    assert len(attempts) == 1


def test_the_observer_gets_the_code_of_each_cause_until_removed() -> None:
    codes: list[str] = []
    retries.set_retry_observer(codes.append)
    run_with_retries(_failing(LostRaceError(), TransientError(), LostRaceError()))
    assert codes == ["lost-race", "database-unavailable", "lost-race"]
    retries.set_retry_observer(None)
    run_with_retries(_failing(LostRaceError()))
    assert len(codes) == 3
