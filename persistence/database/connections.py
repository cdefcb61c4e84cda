"""The open database: `connect()`, `reading()` and `transaction()`.

Nothing else in the app begins, commits or rolls back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection as Connection  # noqa: PLC0414 - re-exported: handlers pass it on
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from persistence.database import retries
from persistence.database.circuit import Circuit
from persistence.database.connection_string import login_keywords, parse_database_url
from persistence.database.errors import UnavailableError, error_code, raise_on_read_timeout, translate_driver_errors
from persistence.database.sqlite import SqliteDatabase
from persistence.database.sqlserver import DEFAULT_LIMITS, Limits, SqlServerDatabase, create_engines
from settings import Settings, SettingsError

_database: SqliteDatabase | SqlServerDatabase | None = None


def connect(
    database_url: str,
    *,
    threads: int,
    retry_seconds: int = retries.DEFAULT_BUDGET_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
    on_azure: bool = False,
) -> None:
    """Creates the engines for `database_url`, and SQLite's file if it is missing. Migrations create the tables.

    A SQL Server is not contacted yet. The parameters after `threads` apply only to SQL Server; `retry_seconds` is the
    budget of a call. Raises `SettingsError` for another engine, a file that cannot be opened as a database, a missing
    driver, and an unencrypted connection.
    """
    global _database
    close()
    url = parse_database_url(database_url)
    if url.get_backend_name() == "sqlite":
        retries.set_budget(retries.DEFAULT_BUDGET_SECONDS)
        _database = SqliteDatabase(url)
        _require_writable_file()
    else:
        circuit = Circuit(threads)
        reader, writer = create_engines(login_keywords(url, on_azure=on_azure), circuit, threads=threads, limits=limits)
        connect_engines(reader, writer, retry_seconds=retry_seconds, circuit=circuit)


def connect_engines(reader: Engine, writer: Engine, *, retry_seconds: int, circuit: Circuit | None = None) -> None:
    """Uses the given engines like those of SQL Server: `reader` in autocommit, `writer` with transactions.

    `circuit` is the circuit breaker that their logins pass.
    """
    global _database
    close()
    retries.set_budget(retry_seconds)
    _database = SqlServerDatabase(reader, writer, circuit or Circuit(threads=1))


def connect_from_settings(settings: Settings) -> None:
    """Calls `connect` with the values of `settings`. Raises `SettingsError`."""
    connect(
        settings.database_url,
        threads=settings.threads,
        retry_seconds=settings.db_retry_seconds,
        limits=Limits(
            connection_age=settings.db_pool_recycle_seconds,
            read=settings.db_read_seconds,
            write=settings.db_write_seconds,
            idle=settings.db_pool_idle_seconds,
        ),
        on_azure=settings.on_azure,
    )


def close() -> None:
    """Closes every connection. `connect` opens the database again."""
    global _database
    if _database is not None:
        _database.close()
        _database = None


def engines() -> tuple[Engine, ...]:
    """Returns the engines in use: none before `connect`, one on SQLite, two (reads, transactions) on SQL Server."""
    return () if _database is None else _database.engines()


def is_embedded() -> bool:
    """Returns whether the app is connected to SQLite. Raises `RuntimeError` before `connect`."""
    return isinstance(_connected(), SqliteDatabase)


def logins_fail() -> bool:
    """Returns whether logins to SQL Server fail or take unusually long at the moment. False on SQLite."""
    return isinstance(_database, SqlServerDatabase) and _database.circuit.is_failing()


@contextmanager
def reading() -> Iterator[Connection]:
    """Yields a connection in autocommit, for a single reading statement without BEGIN and COMMIT.

    Raises `UnavailableError` if the database cannot be read, its subclass `TransientError` if a retry may succeed, and
    its subclass `StatementTimeoutError` if the statement runs into its time limit.
    """
    with translate_driver_errors(), _connected().reading() as connection, raise_on_read_timeout():
        yield connection


@contextmanager
def transaction() -> Iterator[Connection]:
    """Yields a connection inside a transaction: committed when the block ends, rolled back when it raises.

    Raises `LostRaceError` if a concurrent transaction was first, `UnavailableError` or `TransientError` if the database
    cannot be written (nothing was committed, also if a statement ran into its time limit), and `OutcomeUnknownError` if
    the connection is lost during the commit.
    """
    with translate_driver_errors(), _connected().transaction() as connection:
        yield connection


def _connected() -> SqliteDatabase | SqlServerDatabase:
    if _database is None:
        raise RuntimeError("persistence.database.connections.connect() comes first")
    return _database


def _require_writable_file() -> None:
    try:
        with transaction() as connection:
            connection.exec_driver_sql("PRAGMA user_version=1")  # a write: detects a read-only file at once
    except (DBAPIError, sqlite3.Error, UnavailableError) as error:
        cause = error.__cause__ if isinstance(error, UnavailableError) else error
        if error_code(cause).startswith("SQLITE_BUSY"):  # another process writes: it may be migrating, for minutes
            return
        reason = getattr(cause, "orig", cause)
        raise SettingsError(f"DATABASE_URL names a file that cannot be used as a database: {reason}.") from error
