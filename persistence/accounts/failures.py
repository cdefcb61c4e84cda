"""The statements over failed sign-ins: at most `MAX_FAILURES` of a username are counted in a window."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Integer, bindparam, delete, func, insert, select

from domain.accounts import MAX_FAILURES, failure_window_start, retry_after
from persistence.accounts.tables import FAILURES
from persistence.database.clauses import for_update_of_range, limit_any_rows, limit_rows, skip_locked

SWEEP_LIMIT: Final = 100
"""Maximum number of failures that one sign-in deletes because they have left the window."""

_USERNAME = bindparam("of_username", type_=FAILURES.c.username.type)
_WINDOW_START = bindparam("window_start", type_=FAILURES.c.failed_at.type)
_IN_WINDOW = (FAILURES.c.username == _USERNAME, FAILURES.c.failed_at > _WINDOW_START)
# Locked as a range, so that of two transactions at once the second one counts the row of the first one.
_COUNT = for_update_of_range(select(func.count()).select_from(FAILURES).where(*_IN_WINDOW), FAILURES)
_INSERT = insert(FAILURES).from_select(
    ["username", "failed_at"],
    select(_USERNAME, bindparam("new_failed_at", type_=FAILURES.c.failed_at.type)).where(
        _COUNT.scalar_subquery() <= bindparam("most_failures", MAX_FAILURES - 1, type_=Integer)
    ),
)
_FIND_OLDEST = limit_rows(select(FAILURES.c.failed_at).where(*_IN_WINDOW).order_by(FAILURES.c.failed_at))
_FORGET = delete(FAILURES).where(FAILURES.c.username == _USERNAME)
_OLD = skip_locked(select(FAILURES.c.id).where(FAILURES.c.failed_at <= _WINDOW_START), FAILURES)
_DELETE_OLD = delete(FAILURES).where(FAILURES.c.id.in_(limit_any_rows(_OLD)))


def count_failure(connection: Connection, username: str, *, now: str) -> int | None:
    """Counts a sign-in as failed, before its password is verified, and returns None.

    Returns the seconds until the next attempt, and counts nothing, if `MAX_FAILURES` are in the window already.
    `forget_failures` takes the count back. Deletes up to `SWEEP_LIMIT` failures of any username that have left it.
    """
    window_start = failure_window_start(now)
    # First: its locks are those of rows that no count reads.
    connection.execute(_DELETE_OLD, {"window_start": window_start, "row_limit": SWEEP_LIMIT})
    values = {"of_username": username, "window_start": window_start}
    if connection.execute(_INSERT, {**values, "new_failed_at": now}).rowcount == 1:
        return None
    return retry_after(connection.execute(_FIND_OLDEST, {**values, "row_limit": 1}).scalar_one(), now)


def forget_failures(connection: Connection, username: str) -> None:
    """Deletes the failures of a username, if there are any."""
    connection.execute(_FORGET, {"of_username": username})
