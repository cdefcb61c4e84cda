"""Runs a change of the schema: waits for a server that is waking up, and names the cause of a failure in one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from domain.errors import RollbookError
from persistence.database.errors import TransientError, is_rejected
from persistence.database.retries import run_with_retries

T = TypeVar("T")


class MigrationFailedError(Exception):
    """A migration or script that cannot be applied; nothing of it was kept."""


def attempt(name: str, work: Callable[[], T]) -> T:
    """What `work` returns: at most one transaction, repeated within the budget as `run_with_retries` does.

    Raises `MigrationFailedError` with `name` and the cause; at once where the server rejects the login, the database or
    shows a certificate that the driver rejects.
    """

    def once() -> T:
        try:
            return work()
        except TransientError as error:
            if is_rejected(error.__cause__):
                raise MigrationFailedError(f"{name} failed: {describe_error(error)}") from error
            raise

    try:
        return run_with_retries(once)
    except (SQLAlchemyError, sqlite3.Error, RollbookError, OSError) as error:
        raise MigrationFailedError(f"{name} failed: {describe_error(error)}") from error


def describe_error(error: BaseException) -> str:
    """What the driver says of an error, or what the error says itself, on one line."""
    cause = error.__cause__ if isinstance(error, RollbookError) and error.__cause__ else error
    original = getattr(cause, "orig", None) or cause
    return " ".join(str(original.args[-1] if original.args else original).split())  # pyodbc's are SQLSTATE and text
