"""The database: engines, `transaction()`, and every fact in which SQLite and SQL Server differ.

Nothing else in the app begins, commits or rolls back, and nothing else knows which engine it talks to.
"""

from __future__ import annotations

import random
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import (
    CHAR,
    BigInteger,
    Connection,
    Integer,
    Unicode,
    bindparam,
    cast,
    create_engine,
    event,
    select,
    text,
)
from sqlalchemy import column as column_clause
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import ColumnElement, FromClause, Select
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import UserDefinedType
from sqlmodel import SQLModel

from domain.errors import LostRaceError, RefusalError, UnavailableError
from settings import SettingsError

T = TypeVar("T")

RACE_TRIES: Final = 6
"""How often a load-decide-save is tried before a lost race is answered."""

LOCK_SECONDS: Final = 5.0
"""How long a SQLite writer waits for another one, unless the URL says otherwise (`?timeout=`)."""


class _Embedded:
    """SQLite: every connection runs in autocommit, is kept, and belongs to one thread at a time.

    A thread keeps its reading connection, because a checkout costs as much as a query. The one writing connection
    belongs to whoever holds the process's lock: writers queue here before they queue for the file's lock, which
    SQLite hands out by sleeping and asking again.
    """

    def __init__(self, url: URL) -> None:
        self.engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool, hide_parameters=True)
        event.listen(self.engine, "connect", _configure_sqlite)
        self.lock_seconds = float(str(url.query.get("timeout", LOCK_SECONDS)))
        self.write_lock = threading.Lock()
        self.writer: Connection | None = None
        self.readers: dict[int, Connection] = {}  # by thread

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        thread = threading.get_ident()
        connection = self.readers.get(thread)
        if connection is None:
            connection = self.readers[thread] = self.engine.connect()
        try:
            yield connection
        except DBAPIError:  # a connection that broke must not meet the thread's next call
            self.readers.pop(thread).close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        if not self.write_lock.acquire(timeout=self.lock_seconds):
            raise _unavailable()
        try:
            if self.writer is None:
                self.writer = self.engine.connect()
                # KiB: the pages of a bulk update stay in memory until it commits. Readers keep the default of 2 MB.
                self.writer.exec_driver_sql("PRAGMA cache_size=-64000")
            driver: Any = self.writer.connection.driver_connection
            # A deferred transaction that reads before it writes fails as soon as another process wrote.
            driver.execute("BEGIN IMMEDIATE")
            try:
                yield self.writer
                driver.execute("COMMIT")
            except BaseException:
                self._roll_back(driver)
                raise
        finally:
            self.write_lock.release()

    def _roll_back(self, driver: sqlite3.Connection) -> None:
        try:
            if driver.in_transaction:  # SQLite may have rolled back by itself: a full disk
                driver.execute("ROLLBACK")
        except sqlite3.Error:  # a broken connection must not meet the next writer; closing it rolls back too
            self.writer = None
            driver.close()

    def close(self) -> None:
        for connection in (*self.readers.values(), self.writer):
            if connection is not None:
                connection.close()
        self.engine.dispose()


class _SqlServer:
    """SQL Server: two pools, because changing a pooled connection to autocommit and back costs three round trips."""

    def __init__(self, url: URL, *, threads: int) -> None:
        _load_pyodbc()
        options: dict[str, Any] = {
            "pool_size": threads,
            "max_overflow": 0,
            "pool_reset_on_return": None,  # both ways out of a block have ended what it began
            "hide_parameters": True,
        }
        self.reader = create_engine(url, isolation_level="AUTOCOMMIT", **options)
        self.writer = create_engine(url, **options)
        self.reading = self.reader.connect
        self.transaction = self.writer.begin

    def close(self) -> None:
        self.reader.dispose()
        self.writer.dispose()


_database: _Embedded | _SqlServer | None = None


def connect(database_url: str, *, threads: int) -> None:
    """Makes the engines for `database_url`. SQLite's file is opened, and its missing tables are created and filled.

    Refuses with `SettingsError` a URL of another engine, or a file that cannot be opened as a database. A SQL
    Server is not contacted yet, and its schema is never touched.
    """
    global _database
    close()
    url = parse_database_url(database_url)
    if url.get_backend_name() == "sqlite":
        _database = _Embedded(url)
        _create_embedded_tables()
    else:
        _database = _SqlServer(url, threads=threads)


def close() -> None:
    """Closes every connection; the next `connect` starts anew."""
    global _database
    if _database is not None:
        _database.close()
        _database = None


def parse_database_url(text: str) -> URL:
    """The SQLAlchemy URL for a setting that is one, or that is an ODBC connection string of SQL Server."""
    if re.search(r"(^|;)\s*driver\s*=", text, re.IGNORECASE):
        return URL.create("mssql+pyodbc", query={"odbc_connect": text})
    if "://" not in text:
        raise SettingsError(
            "DATABASE_URL is neither a SQLAlchemy URL (sqlite:///rollbook.db) nor an ODBC connection string "
            "(Driver={ODBC Driver 18 for SQL Server};Server=…;Database=…)."
        )
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # from None: the text may hold a password
        raise SettingsError("DATABASE_URL cannot be read as a SQLAlchemy URL.") from None
    if url.drivername not in ("sqlite", "sqlite+pysqlite", "mssql", "mssql+pyodbc"):
        raise SettingsError(f"DATABASE_URL names {url.drivername}; Rollbook speaks sqlite and mssql+pyodbc.")
    if url.get_backend_name() == "sqlite":
        if not url.database or ":memory:" in url.database:
            raise SettingsError("DATABASE_URL names no file: SQLite in memory is a database for each thread.")
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", str(url.query.get("timeout", LOCK_SECONDS))):
            raise SettingsError("DATABASE_URL has a timeout that is no number of seconds.")
    return url


def _load_pyodbc() -> None:
    try:
        import pyodbc  # noqa: PLC0415 - needs the system's libodbc, which SQLite's users do not
    except ImportError as error:
        raise SettingsError(
            "DATABASE_URL names a SQL Server, and pyodbc does not load: install unixODBC (Debian: unixodbc) and "
            "Microsoft's ODBC Driver 18 for SQL Server (msodbcsql18)."
        ) from error
    pyodbc.pooling = False  # the driver manager's pool would hide dead connections from SQLAlchemy's


def _configure_sqlite(connection: sqlite3.Connection, _: object) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "wal_autocheckpoint=6000",  # pages: writers wait for a checkpoint, which waits for the disk
    ):
        connection.execute(f"PRAGMA {pragma}")


def _create_embedded_tables() -> None:
    try:
        with transaction() as connection:
            SQLModel.metadata.create_all(connection)
            connection.exec_driver_sql("PRAGMA user_version=1")  # writes: a file that is read-only is told of now
    except (DBAPIError, sqlite3.Error, UnavailableError) as error:
        cause = error.__cause__ if isinstance(error, UnavailableError) else error
        reason = getattr(cause, "orig", cause)
        raise SettingsError(f"DATABASE_URL names a file that cannot be used as a database: {reason}.") from error


def _connected() -> _Embedded | _SqlServer:
    if _database is None:
        raise RuntimeError("persistence.database.connect() comes first")
    return _database


@contextmanager
def reading() -> Iterator[Connection]:
    """A connection in autocommit, for one statement that reads: there is nothing to begin, so nothing to end."""
    with _refusing_faults(), _connected().reading() as connection:
        yield connection


@contextmanager
def transaction() -> Iterator[Connection]:
    """A connection inside a transaction: committed when the block ends, rolled back when it raises."""
    with _refusing_faults(), _connected().transaction() as connection:
        yield connection


def retry_lost_races(work: Callable[[], T]) -> T:
    """What `work` returns. A `LostRaceError` runs it again, as a whole, a few times.

    `work` has one transaction at most: a second one would be repeated although it was committed.
    """
    for attempt in range(RACE_TRIES - 1):
        try:
            return work()
        except LostRaceError:
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - spreads the rivals, guards nothing
    return work()


@contextmanager
def refusing_duplicates(refusal: RefusalError) -> Iterator[None]:
    """Raises `refusal` where a statement of the block would have written a unique key twice."""
    try:
        yield
    except IntegrityError as error:
        if error_code(error) in _DUPLICATE_KEYS:
            raise refusal from None  # SQL Server's message prints the key
        raise


@contextmanager
def _refusing_faults() -> Iterator[None]:
    try:
        yield
    except PoolTimeoutError as error:
        raise _unavailable() from error
    except (DBAPIError, sqlite3.Error) as error:
        code = error_code(error)
        if code in _DUPLICATE_KEYS or code in _LOST_RACES:
            raise LostRaceError from error
        if code in _OUT_OF_REACH or code.startswith(_NO_CONNECTION) or getattr(error, "connection_invalidated", False):
            raise _unavailable() from error
        raise


def _unavailable() -> UnavailableError:
    return UnavailableError(
        "database-unavailable", "The database does not answer at the moment. Nothing was changed; try again."
    )


# ---- what a driver's error means. Numbers and names, never constraint names and never texts, which hold data.

# SQL Server prints its number behind its message: "… (2627) (SQLExecDirectW)".
_SQL_SERVER_NUMBER = re.compile(r"\((\d{1,5})\) \(SQL")
_LOST_RACES = {
    "1205",  # chosen as the victim of a deadlock
    "547",  # foreign key: the row that was just seen is gone
    "SQLITE_CONSTRAINT_FOREIGNKEY",
}
_DUPLICATE_KEYS = {"2601", "2627", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}
_OUT_OF_REACH = {
    "1105", "9002", "40544",  # no room left
    "615", "3906", "10922", "40143", "40540",  # failing over
    "40613", "40197", "40501", "49918", "49919", "49920", "4060", "4221", "10928", "10929", "10053", "10054", "10060",
}  # fmt: skip
# SQLite's families of codes; SQLSTATE 08: no connection, HYT00 and HYT01: no answer in time.
_NO_CONNECTION = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "08", "HYT")


def error_code(error: BaseException) -> str:
    """The driver's code for an error, for the log: SQLite's name, SQL Server's number or SQLSTATE, or nothing."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        return getattr(original, "sqlite_errorname", "")
    if original is None or not isinstance(error, DBAPIError):
        return ""
    state, text = [*map(str, original.args), "", ""][:2]
    if state.startswith(_NO_CONNECTION):  # the number is the operating system's then, or 0
        return state
    number = _SQL_SERVER_NUMBER.search(text)
    return number[1] if number else state[:5]


# ---- column types and clauses. In Python a UUID and a time are text in the form in which they are answered;
# SQLite stores that text, so that 100,000 records cost no conversion.


# User-defined types: a subclass of SQLAlchemy's own would be exchanged for its dialect's, processors and all.


class _SqlServerUuid(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "UNIQUEIDENTIFIER"

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return lambda text: None if text is None else uuid.UUID(text)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        return lambda value: None if value is None else str(value).lower()  # pyodbc answers upper-case text

    def get_dbapi_type(self, dbapi: Any) -> Any:
        return dbapi.SQL_GUID  # an untyped None costs a round trip that asks for its type


class _SqlServerUtc(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "DATETIME2(6)"

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return lambda text: None if text is None else datetime.fromisoformat(text).replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        return lambda value: None if value is None else value.isoformat(timespec="microseconds") + "Z"

    def get_dbapi_type(self, dbapi: Any) -> Any:
        return dbapi.SQL_TYPE_TIMESTAMP


UuidText = CHAR(36).with_variant(_SqlServerUuid(), "mssql")
"""A UUID, in Python as lower-case text with hyphens."""

UtcText = CHAR(27).with_variant(_SqlServerUtc(), "mssql")
"""An instant in UTC, in Python as RFC 3339 text with microseconds and `Z`."""

# SQLite gives the keys of a table by itself only to a column whose type is INTEGER.
RowId = BigInteger().with_variant(Integer(), "sqlite")


class _JsonElements(FunctionElement[Any]):
    """A JSON array as a table with a column `value`."""

    inherit_cache = True


@compiles(_JsonElements, "sqlite")
def _json_each(element: _JsonElements, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_JsonElements, "mssql")
def _openjson(element: _JsonElements, compiler: SQLCompiler, **options: Any) -> str:
    return f"OPENJSON({compiler.process(element.clauses, **options)})"


def is_one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """`column` is among the elements of the JSON array that the parameter `name` holds.

    One parameter for any number of values: SQL Server takes 2,100 parameters at most.
    """
    array = _JsonElements(bindparam(name, type_=Unicode())).table_valued(column_clause("value"))
    return column.in_(select(cast(array.c.value, column.type)))


def first_rows(statement: Select[Any]) -> Select[Any]:
    """`statement` cut after as many rows as the parameter `row_limit` says; it must be ordered.

    Written out because SQLAlchemy's limit() with a parameter numbers every row on SQL Server.
    """
    limit = bindparam("row_limit", type_=Integer())
    return statement.suffix_with(text("LIMIT :row_limit").bindparams(limit), dialect="sqlite").suffix_with(
        text("OFFSET 0 ROWS FETCH NEXT :row_limit ROWS ONLY").bindparams(limit), dialect="mssql"
    )


def locking(statement: Select[Any], table: FromClause) -> Select[Any]:
    """`statement` that locks the rows of `table` which it reads until the transaction ends.

    SQLite needs no hint: its only writer has the whole database.
    """
    return statement.with_hint(table, "WITH (UPDLOCK, ROWLOCK)", "mssql")
