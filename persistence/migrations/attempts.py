"""Runs a change of the schema: one process at a time, with retries, and a failure is one line with its cause."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import RollbookError
from persistence.database.circuit import raising_rejections
from persistence.database.errors import OutcomeUnknownError, TransientError, is_rejected
from persistence.database.retries import run_with_retries

T = TypeVar("T")

LOCK_SECONDS: Final = 60
"""The longest wait for another process that is migrating the same database."""

# It returns a number below 0 rather than failing. NOCOUNT: for pyodbc a row count would be the first result.
# learn.microsoft.com/sql/relational-databases/system-stored-procedures/sp-getapplock-transact-sql
# The lock needs a transaction, which EXEC does not begin, and in the implicit mode BEGIN TRANSACTION would begin two.
_LOCK = f"""\
IF @@TRANCOUNT = 0 BEGIN SET IMPLICIT_TRANSACTIONS OFF; BEGIN TRANSACTION; SET IMPLICIT_TRANSACTIONS ON; END;
SET NOCOUNT ON; DECLARE @result INT; EXEC @result = sp_getapplock @Resource = N'rollbook_migrations',
@LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = {1000 * LOCK_SECONDS};
SET NOCOUNT OFF; SELECT @result;"""


class MigrationFailedError(Exception):
    """A migration or script that cannot be applied; nothing of it was kept, but for `MigrationOutcomeUnknownError`."""


class MigrationOutcomeUnknownError(MigrationFailedError):
    """The connection was lost during the commit: all of it was kept or nothing. Running it again is safe."""


def attempt(name: str, work: Callable[[], T]) -> T:
    """What `work` returns: at most one transaction, repeated within the budget as `run_with_retries` does.

    Raises `MigrationFailedError` with `name` and the cause; at once where the server rejects the login, the database or
    shows a certificate that the driver rejects. Raises `MigrationOutcomeUnknownError` where the commit is lost.
    """

    def once() -> T:
        try:
            return work()
        except TransientError as error:
            if is_rejected(error.__cause__):
                raise MigrationFailedError(f"{name} failed: {describe_error(error)}") from error
            raise

    try:
        with raising_rejections():
            return run_with_retries(once)
    except OutcomeUnknownError as error:
        raise MigrationOutcomeUnknownError(f"{name}: {describe_error(error)}; run this again") from error
    except (SQLAlchemyError, sqlite3.Error, RollbookError, OSError) as error:
        raise MigrationFailedError(f"{name} failed: {describe_error(error)}") from error


def lock_migrations(connection: Connection) -> None:
    """Takes SQL Server's lock for migrations, which the end of the transaction releases.

    Raises `TimeoutError` where another process keeps it for `LOCK_SECONDS`.
    """
    result = int(connection.exec_driver_sql(_LOCK).scalar_one())
    if result < 0:
        raise TimeoutError(f"the lock for migrations was not granted in {LOCK_SECONDS} s (sp_getapplock: {result})")


def describe_error(error: BaseException) -> str:
    """The message of the driver's error, or of the error itself, on one line."""
    cause = error.__cause__ if isinstance(error, RollbookError) and error.__cause__ else error
    original = getattr(cause, "orig", None) or cause
    line = " ".join(str(original.args[-1] if original.args else original).split())  # pyodbc's are SQLSTATE and text
    if isinstance(error, OutcomeUnknownError):
        return f"the connection was lost during the commit ({line}): it was applied as a whole or not at all"
    return line
