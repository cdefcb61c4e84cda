"""The circuit breaker around logins to SQL Server: one per database, shared by its pools.

Callers that find a pooled connection never come here. pybreaker, circuitbreaker and purgatory reject every call while
the circuit is open; here callers wait for the probe within their own budgets, and only so many of them.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError

from domain.errors import RollbookError
from persistence.database.errors import TransientError, UnavailableError, classify, is_rejected
from persistence.database.retries import notify_retry, remaining_seconds

T = TypeVar("T")

LOGIN_INTERVAL_SECONDS: Final = 2.0
"""While the circuit is open, the shortest time from the start of one login to the start of the next."""

STALL_SECONDS: Final = 2.0
"""Logins that take longer than this count as stalled. With a new access token a healthy login takes about a second."""


class _Caller(threading.local):
    raises_rejections = False


_caller = _Caller()


@contextmanager
def raising_rejections() -> Iterator[None]:
    """Makes logins of this thread raise errors for which `is_rejected` is true, instead of waiting for the next probe.

    For the command line, where waiting does not help.
    """
    before, _caller.raises_rejections = _caller.raises_rejections, True
    try:
        yield
    finally:
        _caller.raises_rejections = before


class Circuit:
    """Closed: every caller logs in. A login that fails with a transient error opens the circuit.

    Open: one caller at a time probes, at most every `LOGIN_INTERVAL_SECONDS`; the others wait within their own budgets
    for its success, which closes the circuit. A caller whose login failed waits with them and may probe again.

    Some threads always stay free, so that calls without a database are served: callers occupy at most half of the
    threads while the circuit is open, and all but one while it is closed, because a silent server fails no login for
    seconds. Further callers are rejected, but not within `STALL_SECONDS` of a login that began in the closed circuit.
    """

    def __init__(self, threads: int) -> None:
        self._closed_places, self._open_places = max(1, threads - 1), max(1, threads // 2)
        self._changed = threading.Condition()  # guards and announces everything below; callers are ids of threads
        self._callers: set[int] = set()
        self._prober: int | None = None
        self._cause: BaseException | None = None  # of the last failed login; None means closed
        self._last_start = self._last_closed_start = -math.inf  # of logins; the latter of those without a probe

    def is_failing(self) -> bool:
        """Returns whether the circuit is open, or logins are running and none of them began recently."""
        return self._cause is not None or (bool(self._callers) and self._stalls_in() <= 0)

    def _stalls_in(self) -> float:
        return self._last_closed_start + STALL_SECONDS - time.monotonic()

    def log_in(self, attempt: Callable[[], T]) -> T:
        """Returns the result of `attempt`, a login, which is repeated within the remaining budget.

        Raises `TransientError` when the budget is spent, `UnavailableError` immediately if too many callers are
        waiting, and any error of `attempt` that is not transient.
        """
        deadline = time.monotonic() + remaining_seconds()
        self._enter()
        try:
            return self._log_in(attempt, deadline)
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._changed:
            self._wait_while(lambda: len(self._callers) >= self._places())
            self._callers.add(threading.get_ident())

    def _places(self) -> int:
        return self._closed_places if self._cause is None else self._open_places

    def _wait_while(self, is_crowded: Callable[[], bool]) -> None:
        """Waits for places. Raises `UnavailableError` once no login of the closed circuit is likely to succeed.

        Such a login closes the circuit again: without this wait, one failed login of many would fail calls.
        """
        while is_crowded():
            if (seconds := self._stalls_in()) <= 0:
                self._callers.discard(threading.get_ident())  # here, so that of several callers only the surplus leaves
                raise UnavailableError from self._cause
            self._changed.wait(seconds)

    def _leave(self) -> None:
        with self._changed:
            self._callers.discard(threading.get_ident())
            if self._prober == threading.get_ident():
                self._prober = None
            self._changed.notify_all()

    def _log_in(self, attempt: Callable[[], T], deadline: float) -> T:
        failure: TransientError | None = None
        while True:
            self._wait_for_turn(deadline, failure)
            if failure is not None:
                notify_retry(failure)
            try:
                result = attempt()
            except RollbookError:  # no access token: the server was not contacted
                raise
            except Exception as error:
                failure = _transient(error)
                self._set_cause(failure and failure.__cause__)
                if failure is None:
                    raise
            else:
                self._set_cause(None)
                return result
            self._require_place(failure)

    def _wait_for_turn(self, deadline: float, failure: TransientError | None) -> None:
        """Waits until this caller may log in. Raises `TransientError` at the deadline."""
        with self._changed:
            while (now := time.monotonic()) < deadline or (self._cause is None and failure is None):
                due = self._last_start + LOGIN_INTERVAL_SECONDS
                if self._cause is None or (self._prober is None and now >= due):
                    self._last_start = now
                    if self._cause is None:
                        self._last_closed_start = now
                    else:
                        self._prober = threading.get_ident()
                    return
                self._changed.wait((deadline if self._prober is not None else min(due, deadline)) - now)
            if failure is not None:
                raise failure
            raise TransientError from self._cause

    def _set_cause(self, cause: BaseException | None) -> None:
        """Ends a login: opens the circuit for a transient cause; for None, a response of the server, closes it."""
        with self._changed:
            self._cause = cause
            if self._prober == threading.get_ident():
                self._prober = None
            # Wakes no caller: after a success this caller leaves, which does; after a failure it probes again when due.

    def _require_place(self, failure: TransientError) -> None:
        if _caller.raises_rejections and is_rejected(failure.__cause__):
            raise failure
        with self._changed:
            self._wait_while(lambda: self._cause is not None and len(self._callers) > self._open_places)


def _transient(error: Exception) -> TransientError | None:
    """Returns the transient error that a driver's error means, or None."""
    cause = DBAPIError(None, None, error.with_traceback(None))  # which would keep the values of the call alive
    if classify(cause) is not TransientError:
        return None
    failure = TransientError()
    failure.__cause__ = cause
    return failure
