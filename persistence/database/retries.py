"""Retries of a whole load-decide-save, within a time budget per call."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from domain.errors import RollbookError
from persistence.database.errors import LostRaceError, TransientError, error_code, problem_code

T = TypeVar("T")

MAX_RACE_ATTEMPTS: Final = 6
"""Maximum number of attempts that may lose a race; then the caller gets `LostRaceError`."""

DEFAULT_BUDGET_SECONDS: Final = 20


class _Call(threading.local):
    """The current call of the thread: its deadline (`time.monotonic()`), and its number of lost races.

    `retry_cause` stays until it is taken: nested calls and their outer call share it.
    """

    deadline = math.inf
    lost_races = 0
    retry_cause = ""


_call = _Call()
_budget_seconds = DEFAULT_BUDGET_SECONDS
_observer: Callable[[str], None] | None = None


def set_budget(seconds: int) -> None:
    """Sets the budget, in seconds, of calls that begin from now on."""
    global _budget_seconds
    _budget_seconds = seconds


def set_retry_observer(observer: Callable[[str], None] | None) -> None:
    """Sets the hook that is called with the code of the cause before each retry; None removes it."""
    global _observer
    _observer = observer


def take_retry_cause() -> str:
    """Returns the code of what caused the thread's last retry, and forgets it; empty without a retry since then."""
    cause, _call.retry_cause = _call.retry_cause, ""
    return cause


def remaining_seconds() -> float:
    """Returns the remaining seconds of the current call's budget, or a whole budget if no call is running."""
    return min(_budget_seconds, _call.deadline - time.monotonic())


@contextmanager
def retry_budget() -> Iterator[None]:
    """Limits the block to one budget. An inner block never extends the outer budget, which applies again afterwards."""
    outer = _begin_budget()
    try:
        yield
    finally:
        _call.deadline, _call.lost_races = outer


def _begin_budget() -> tuple[float, int]:
    """Begins a budget and returns the outer one. A context manager would cost as much as a pool check-out."""
    outer = _call.deadline, _call.lost_races
    _call.deadline, _call.lost_races = min(outer[0], time.monotonic() + _budget_seconds), 0
    return outer


def run_with_retries(work: Callable[[], T]) -> T:
    """Returns the result of `work`, a whole load-decide-save with at most one transaction.

    Retries `work` after a lost race (up to `MAX_RACE_ATTEMPTS`) or a transient error (within the budget), because then
    it is certain that nothing was committed. Raises `LostRaceError` or `TransientError` if the last attempt fails, and
    any other error of `work` immediately.
    """
    outer = _begin_budget()
    try:
        return work()
    except (LostRaceError, TransientError) as error:
        if remaining_seconds() <= 0:
            raise
        _call.lost_races = int(isinstance(error, LostRaceError))
        notify_retry(error)
        time.sleep(random.uniform(0, 0.02))  # noqa: S311 - jitter, not a secret
        # The first attempt bypasses tenacity: its bookkeeping costs as much as a query.
        return _RETRY_POLICY(work)
    finally:
        _call.deadline, _call.lost_races = outer


def notify_retry(error: BaseException | None) -> None:
    """Records a further attempt after `error`, and calls the retry observer."""
    if isinstance(error, RollbookError):
        _call.retry_cause = problem_code(error)
        if _observer is not None:
            _observer(error_code(error.__cause__) or error.code)


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _should_stop(state: RetryCallState) -> bool:
    if isinstance(_error_of(state), LostRaceError):
        _call.lost_races += 1
    # One second more, because login timeouts are whole seconds.
    return _call.lost_races >= MAX_RACE_ATTEMPTS or remaining_seconds() < state.upcoming_sleep + 1


def _wait(state: RetryCallState) -> float:
    if isinstance(_error_of(state), LostRaceError):
        # Competing transactions take milliseconds, failovers take seconds.
        return random.uniform(0, 0.02 * 2**_call.lost_races)  # noqa: S311
    return _BACKOFF(state)


_BACKOFF = wait_random_exponential(multiplier=0.05, max=4)
_RETRY_POLICY = Retrying(
    retry=retry_if_exception_type((LostRaceError, TransientError)),
    wait=_wait,
    stop=_should_stop,
    before_sleep=lambda state: notify_retry(_error_of(state)),
    reraise=True,
)
