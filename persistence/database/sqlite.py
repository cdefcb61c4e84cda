"""SQLite, the embedded database: its connections, transactions and PRAGMAs."""

from __future__ import annotations

import functools
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, CursorResult, Engine, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import Executable

from persistence.database.errors import UnavailableError

LOCK_SECONDS: Final = 5.0
"""How long a writer waits for other writers, unless the URL sets `?timeout=`."""


class SqliteDatabase:
    """SQLite: every connection is in autocommit mode, stays open, and is used by one thread at a time.

    Each thread has its own reading connection, because a check-out from a pool costs as much as a query. The only
    writing connection belongs to the thread that holds the process-wide lock. Writers wait for this lock first, because
    SQLite's own lock polls (sleep, retry), which is unfair and slow.
    """

    def __init__(self, url: URL) -> None:
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool, hide_parameters=True)
        event.listen(self._engine, "connect", _set_pragmas)
        self._lock_seconds = float(str(url.query.get("timeout", LOCK_SECONDS)))
        self._write_lock = threading.Lock()
        self._writer: Connection | None = None
        self._readers: dict[int, Connection] = {}  # by thread

    def engines(self) -> tuple[Engine, ...]:
        """Returns the only engine."""
        return (self._engine,)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yields the thread's reading connection."""
        thread = threading.get_ident()
        connection = self._readers.get(thread)
        if connection is None:
            connection = self._readers[thread] = self._engine.connect()
        try:
            yield connection
        except DBAPIError:  # the thread's next call must not get a broken connection
            self._readers.pop(thread).close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yields the writing connection inside a transaction. Raises `UnavailableError` if the lock is not released."""
        if not self._write_lock.acquire(timeout=self._lock_seconds):
            raise UnavailableError
        try:
            if self._writer is None:
                self._writer = self._engine.connect()
                # Negative means KiB: a bulk update fits in memory until it commits. Readers have the default of 2 MB.
                self._writer.exec_driver_sql("PRAGMA cache_size=-64000")
                # Deleted rows are overwritten with zeros: sqlite.org/pragma.html#pragma_secure_delete
                self._writer.exec_driver_sql("PRAGMA secure_delete=ON")
            driver: Any = self._writer.connection.driver_connection
            # A deferred transaction that reads before it writes fails as soon as another process has written.
            driver.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                driver.execute("COMMIT")
            except BaseException:
                self._roll_back(driver)
                raise
        finally:
            self._write_lock.release()

    def _roll_back(self, driver: sqlite3.Connection) -> None:
        try:
            if driver.in_transaction:  # SQLite itself rolls back when the disk is full
                driver.execute("ROLLBACK")
        except sqlite3.Error:  # the next writer must not get a broken connection; closing it rolls back too
            self._writer = None
            driver.close()

    def close(self) -> None:
        """Closes every connection."""
        for connection in (*self._readers.values(), self._writer):
            if connection is not None:
                connection.close()
        self._engine.dispose()


def _set_pragmas(connection: sqlite3.Connection, _: object) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "wal_autocheckpoint=6000",  # pages; fewer checkpoints, because writers wait for them and they wait for the disk
    ):
        connection.execute(f"PRAGMA {pragma}")


# ---- statements


def execute_prepared(connection: Connection, statement: Executable, values: Mapping[str, object]) -> CursorResult[Any]:
    """Executes a writing statement that is built once, and so must be kept. Returns its result: only a `rowcount`.

    On SQLite its text is compiled once, and the driver gets the values as they are. Otherwise SQLAlchemy works 15 µs
    for a row that the driver writes in 2 (Python 3.11), while all other writers wait. SQL Server needs this work: it
    converts and declares the parameters. Listeners of SQLAlchemy's `before_execute` get the statement as usual.
    """
    if connection.dialect.name != "sqlite":
        return connection.execute(statement, values)
    for listener in connection.dispatch.before_execute:
        listener(connection, statement, [], values, {})
    text, names = _compile(statement)
    return connection.exec_driver_sql(text, tuple([values[name] for name in names]))


@functools.cache
def _compile(statement: Executable) -> tuple[str, list[str]]:
    """Returns the text of a statement and the names of its parameters in their order."""
    compiled: Any = statement.compile(dialect=sqlite.dialect())  # type: ignore[attr-defined]
    return compiled.string, compiled.positiontup
