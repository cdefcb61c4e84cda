"""Errors that only the database raises, and the driver codes that they are derived from.

Classification uses driver codes, never constraint names and never message texts, which contain data.
SQL Server numbers: learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors and
learn.microsoft.com/azure/azure-sql/database/troubleshoot-common-errors-issues. SQLite names: sqlite.org/rescode.html.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, IntegrityError, ResourceClosedError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from domain.errors import ConflictError, RollbookError


class LostRaceError(ConflictError):
    """A concurrent transaction changed the same rows first: the whole load-decide-save can be retried."""

    code = "lost-race"
    detail = "Concurrent updates conflicted. Nothing was changed; retry."


class UnavailableError(RollbookError):
    """The database is unreachable, locked for too long, or out of space. Nothing was changed."""

    code = "database-unavailable"
    detail = "The database is unavailable. Nothing was changed; retry."


class DatabaseLoginError(UnavailableError):
    """The app gets no access token to log in to the database."""

    code = "database-login"
    detail = "The app cannot log in to its database."


class TransientError(UnavailableError):
    """The database is failing over, resuming or throttling: the whole load-decide-save can be retried."""


class OutcomeUnknownError(UnavailableError):
    """The connection was lost during a commit: the change was applied or not. It is never retried."""

    code = "outcome-unknown"
    detail = (
        "The connection was lost during the commit: the change was applied as a whole or not at all. "
        "Read the current state before you retry."
    )


DUPLICATE_KEY_ERRORS: Final = frozenset({"2601", "2627", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})
CONFLICT_ERRORS: Final = frozenset(
    {
        "1205",  # deadlock victim
        "3960",  # snapshot isolation: update conflict
        "547",  # foreign key: the row that was just read is gone
        "SQLITE_CONSTRAINT_FOREIGNKEY",
    }
)
TRANSIENT_ERRORS: Final = frozenset({
    "1105", "9002", "40544",  # out of space
    "615", "3906", "10922", "40143", "40540",  # failover
    "40613", "40197", "40501", "49918", "49919", "49920", "4060", "4221", "10928", "10929", "10053", "10054", "10060",
})  # fmt: skip
KEEP_POOL_ERRORS: Final = frozenset({"10928", "10929", "40501", "49918", "49919", "49920", "HYT00"})
"""Throttling, or one statement that timed out: the pool's other connections are still good."""

# 08 and IMC: no connection, or a lost one; HYT00 and HYT01: timeout.
CONNECTION_SQLSTATES: Final = ("08", "IMC", "HYT")
# SQLite has no specific code; for a constant statement a missing table is the only cause.
MISSING_TABLE_ERRORS: Final = frozenset({"208", "SQLITE_ERROR"})
SQLITE_UNAVAILABLE: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")

_KNOWN_NUMBERS = DUPLICATE_KEY_ERRORS | CONFLICT_ERRORS | TRANSIENT_ERRORS
# SQL Server prints its number after each of its messages: "… (18456) (SQLDriverConnect); [28000] … (4060)".
_SQL_SERVER_NUMBERS = re.compile(r"\((\d{1,5})\)(?= \(SQL|; \[|$)")


def classify(error: DBAPIError | sqlite3.Error) -> type[LostRaceError | UnavailableError] | None:
    """Returns the kind of a driver's error, or None for an unexpected error, which is a defect of the app."""
    code = error_code(error)
    if code in DUPLICATE_KEY_ERRORS or code in CONFLICT_ERRORS:
        return LostRaceError
    if code.startswith(SQLITE_UNAVAILABLE):
        return UnavailableError
    if code in TRANSIENT_ERRORS or code.startswith(CONNECTION_SQLSTATES):
        return TransientError
    return TransientError if getattr(error, "connection_invalidated", False) else None


def is_rejected(error: BaseException | None) -> bool:
    """Returns whether the server rejected the database of a login, or the driver rejected the server's certificate.

    The app retries both, because failovers cause the first; on the command line waiting does not help. The driver has
    no code for certificates, so its message is examined, which contains no data before a login.
    """
    if not isinstance(error, DBAPIError):
        return False
    text = str(error.orig).lower()
    return error_code(error) == "4060" or ("ssl provider" in text and ("certificate" in text or "principal" in text))


def error_code(error: BaseException | None) -> str:
    """Returns the driver's code: SQLite's error name, SQL Server's number or SQLSTATE, or an empty string."""
    if not isinstance(error, DBAPIError | sqlite3.Error):
        return ""
    original = error.orig if isinstance(error, DBAPIError) else error
    if name := getattr(original, "sqlite_errorname", ""):
        return str(name)
    state, text = [*map(str, getattr(original, "args", ())), "", ""][:2]
    if not re.fullmatch(r"[0-9A-Z]{5}", state):  # not an ODBC error, which begins with a SQLSTATE
        return ""
    if state.startswith(CONNECTION_SQLSTATES):  # its number is the operating system's, or 0
        return state
    numbers: list[str] = _SQL_SERVER_NUMBERS.findall(text)
    return next((number for number in numbers if number in _KNOWN_NUMBERS), numbers[0] if numbers else state)


@contextmanager
def raise_on_duplicate_key(error: RollbookError) -> Iterator[None]:
    """Raises `error` if a statement of the block violates a unique key.

    Other violated constraints raise SQLAlchemy's `IntegrityError`, which `translate_driver_errors` handles.
    """
    try:
        yield
    except IntegrityError as violation:
        if error_code(violation) in DUPLICATE_KEY_ERRORS:
            raise error from None  # SQL Server's message contains the key
        raise


@contextmanager
def translate_driver_errors() -> Iterator[None]:
    """Raises `LostRaceError`, `UnavailableError` or `TransientError` instead of driver errors of these kinds.

    Any other error passes unchanged.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise UnavailableError from error
    except ResourceClosedError as error:  # a new connection was lost during SQLAlchemy's initial queries
        raise TransientError from error
    except (DBAPIError, sqlite3.Error) as error:
        if kind := classify(error):
            raise kind() from error
        raise
