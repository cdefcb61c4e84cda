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
    """The server or the driver rejects the login, or there is no access token for it. It is never retried."""

    code = "database-login"
    detail = "The app cannot log in to its database."


class StatementTimeoutError(UnavailableError):
    """A reading statement ran into its time limit. It is never retried, because it would run into it again."""

    code = "statement-timeout"
    detail = "The statement took too long. Request fewer records with `limit`."


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
FOREIGN_KEY_ERRORS: Final = frozenset({"547", "SQLITE_CONSTRAINT_FOREIGNKEY"})
"""547 is also SQL Server's number for a violated CHECK: `raise_on_duplicate_key` knows which of them is possible."""
CONFLICT_ERRORS: Final = frozenset({
    "1205",  # deadlock victim
    "3960",  # snapshot isolation: update conflict
})  # fmt: skip

# EF Core's list, in its order, with much that no statement of this app can cause: github.com/dotnet/efcore (88a162b),
# src/EFCore.SqlServer/Storage/Internal/SqlServerTransientExceptionDetector.cs. Left out: 1205 and 3960, which are lost
# races here; 11001, 997, 233, 203, 121, 64 and 20, which SqlClient takes from the operating system (ODBC
# reports such errors with a SQLSTATE of CONNECTION_SQLSTATES); and -2, SqlClient's time-out, which EF Core leaves out
# too (ODBC: HYT00).
_EF_CORE_ERRORS: Final = frozenset({
    "49983", "49977", "49920", "49919", "49918", "49802", "49510", "47139", "47137", "47132", "45547", "45319", "45182",
    "45179", "45161", "45157", "45156", "45153", "42109", "42108", "42029", "41840", "41839", "41823", "41701", "41700",
    "41640", "41619", "41614", "41383", "41339", "41325", "41305", "41302", "41301", "40938", "40918", "40903", "40890",
    "40675", "40671", "40648", "40642", "40623", "40613", "40540", "40501", "40197", "40189", "40143", "40106", "39152",
    "39151", "39110", "39108", "39025", "37327", "37202", "35293", "35256", "35218", "35216", "33123", "30085", "30080",
    "25740", "25738", "25003", "22984", "22760", "22759", "22758", "22754", "22498", "22493", "22491", "22430", "22427",
    "22358", "22355", "22353", "22335", "22226", "22225", "21503", "20041", "19494", "19416", "19413", "18858", "18401",
    "17889", "17197", "17067", "17066", "17065", "16555", "16554", "16528", "14906", "14868", "14817", "14355", "11539",
    "10936", "10930", "10929", "10928", "10922", "10060", "10054", "10053", "9985", "9515", "9020", "8651", "8645",
    "8628", "7951", "6292", "5529", "5280", "4221", "3980", "4184", "4117", "4060", "3966", "3957", "3953", "3950",
    "3948", "3947", "3941", "3935", "3635", "3429", "2816", "2021", "1807", "1535", "1534", "1533", "1532", "1438",
    "1421", "1413", "1404", "1232", "1222", "1221", "1216", "1215", "1204", "1203", "988", "982", "952", "941", "927",
    "926", "921", "669", "617", "615", "601", "539",
})  # fmt: skip
TRANSIENT_ERRORS: Final = _EF_CORE_ERRORS | {
    "1105", "9002", "40544",  # out of space
    "701",  # out of memory
    "3906",  # the database became read-only: a failover
    # Azure SQL ended the session: long transaction, many locks, tempdb, log, memory.
    "40549", "40550", "40551", "40552", "40553",
}  # fmt: skip
_MOVED_ERRORS: Final = frozenset({
    "615", "921", "926", "927", "941", "952", "982", "988", "3906", "3948", "4060", "4221", "10053", "10054", "10060",
    "10922", "18401", "22430", "40143", "40197", "40540", "40613", "49802",
})  # fmt: skip
"""The database restarts, fails over or is paused, or the network failed: other connections are lost, too."""
KEEP_POOL_ERRORS: Final = (TRANSIENT_ERRORS - _MOVED_ERRORS) | {"HYT00"}
"""Throttling, a lack of resources, or one statement that timed out: the pool's other connections are still good."""

# 08 and IMC: no connection, or a lost one; HYT00 and HYT01: timeout.
CONNECTION_SQLSTATES: Final = ("08", "IMC", "HYT")
# Rejected logins that have another SQLSTATE than LOGIN_SQLSTATES, or may have one: user (916, 4064, 18…), server name
# (40531, 40532), firewall (40615), virtual network (40914), TLS version (47072), private endpoints only (47073).
# 4060 and 18401 are retried, because failovers cause them.
LOGIN_ERRORS: Final = frozenset({
    "916", "4064", "18452", "18456", "18470", "18486", "18487", "18488", "40531", "40532", "40615", "40914", "47072",
    "47073",
})  # fmt: skip
# 28000: invalid authorization; FA…: the driver got no token of Microsoft Entra.
LOGIN_SQLSTATES: Final = ("28000", "FA")
# SQLite has no specific code; for a constant statement a missing table is the only cause.
MISSING_TABLE_ERRORS: Final = frozenset({"208", "SQLITE_ERROR"})
SQLITE_UNAVAILABLE: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")

_KNOWN_NUMBERS = DUPLICATE_KEY_ERRORS | FOREIGN_KEY_ERRORS | CONFLICT_ERRORS | TRANSIENT_ERRORS
# SQL Server prints its number after each of its messages: "… (18456) (SQLDriverConnect); [28000] … (4060)".
_SQL_SERVER_NUMBERS = re.compile(r"\((\d{1,5})\)(?= \(SQL|; \[|$)")
# pyodbc's own text (errors.cpp) for a call that failed without a diagnostic record: the network went silent.
_NO_DIAGNOSTIC: Final = ("HY000", "The driver did not supply an error!")


def classify(error: DBAPIError | sqlite3.Error) -> type[LostRaceError | UnavailableError] | None:
    """Returns the kind of a driver's error, or None for an unexpected error, which is a defect of the app."""
    code = error_code(error)
    if code in DUPLICATE_KEY_ERRORS or code in CONFLICT_ERRORS:
        return LostRaceError
    if code.startswith(SQLITE_UNAVAILABLE):
        return UnavailableError
    if code in TRANSIENT_ERRORS or code.startswith(CONNECTION_SQLSTATES) or _odbc_error(error) == _NO_DIAGNOSTIC:
        return TransientError
    if code in LOGIN_ERRORS or _odbc_error(error)[0].startswith(LOGIN_SQLSTATES):
        return DatabaseLoginError
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
    if name := getattr(_original(error), "sqlite_errorname", ""):
        return str(name)
    state, text = _odbc_error(error)
    numbers = [number for number in _SQL_SERVER_NUMBERS.findall(text) if number != "0"]
    login_error = next((number for number in numbers if number in LOGIN_ERRORS), "")
    if state.startswith(CONNECTION_SQLSTATES):  # any other number is the operating system's
        return login_error or state
    known = next((number for number in numbers if number in _KNOWN_NUMBERS), "")
    return known or login_error or (numbers[0] if numbers else state)


def _odbc_error(error: DBAPIError | sqlite3.Error) -> tuple[str, str]:
    """Returns SQLSTATE and text of an error of ODBC, and two empty strings for any other error."""
    state, text = [*map(str, getattr(_original(error), "args", ())), "", ""][:2]
    return (state, text) if re.fullmatch(r"[0-9A-Z]{5}", state) else ("", "")


def _original(error: DBAPIError | sqlite3.Error) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


def problem_code(error: RollbookError) -> str:
    """Returns the code of an error for the log: with the code of the driver's error that caused it, if there is one."""
    return ":".join(filter(None, (error.code, error_code(error.__cause__))))


@contextmanager
def raise_on_duplicate_key(error: RollbookError, *, foreign_key: bool = False) -> Iterator[None]:
    """Raises `error` if a statement of the block violates a unique key.

    With `foreign_key`, for a block that refers to a row of another table: raises `LostRaceError` if that row is gone.
    Without it a violated foreign key is a defect, like a violated CHECK, which has the same number on SQL Server. Other
    violated constraints raise SQLAlchemy's `IntegrityError`, which `translate_driver_errors` handles.
    """
    try:
        yield
    except IntegrityError as violation:
        code = error_code(violation)
        if code in DUPLICATE_KEY_ERRORS:
            raise error from None  # SQL Server's message contains the key
        if foreign_key and code in FOREIGN_KEY_ERRORS:
            raise LostRaceError from violation
        raise


@contextmanager
def raise_on_read_timeout() -> Iterator[None]:
    """Raises `StatementTimeoutError` if a statement of the block runs into its time limit. A login is no statement."""
    try:
        yield
    except DBAPIError as error:
        if error_code(error) == "HYT00":
            raise StatementTimeoutError from error
        raise


@contextmanager
def translate_driver_errors() -> Iterator[None]:
    """Raises `LostRaceError`, `UnavailableError` or a subclass of it instead of driver errors of these kinds.

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
