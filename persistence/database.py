"""The database: engines, `transaction()`, and every fact in which SQLite and SQL Server differ.

Nothing else in the app begins, commits or rolls back, and nothing else knows which engine it talks to.
"""

from __future__ import annotations

import math
import random
import re
import sqlite3
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import (
    CHAR,
    BigInteger,
    Engine,
    Integer,
    LargeBinary,
    RootTransaction,
    Table,
    Unicode,
    bindparam,
    cast,
    create_engine,
    event,
    literal_column,
    select,
    text,
)
from sqlalchemy import Connection as Connection  # noqa: PLC0414 - for handlers, which hand it on
from sqlalchemy import column as column_clause
from sqlalchemy.dialects.mssql import VARBINARY
from sqlalchemy.dialects.mssql import pyodbc as sql_server
from sqlalchemy.engine import URL, Dialect, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, ResourceClosedError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import ColumnElement, Delete, FromClause, Select, Subquery
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine, UserDefinedType
from sqlmodel import SQLModel
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from domain.errors import LostRaceError, OutcomeUnknownError, RefusalError, TransientError, UnavailableError
from domain.instants import timestamp
from settings import Settings, SettingsError

T = TypeVar("T")
L = TypeVar("L", Select[Any], Delete)

RACE_TRIES: Final = 6
"""How often a load-decide-save is tried before a lost race is answered."""

LOGIN_SECONDS: Final = 15
"""How long a login to SQL Server may take at most: its driver's own default."""

SQL_COPT_SS_ACCESS_TOKEN: Final = 1256
"""The driver's attribute for an access token (msodbcsql.h)."""

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
            raise UnavailableError
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
    """SQL Server: two pools, because changing a pooled connection to autocommit and back costs three round trips.

    Nothing is sent to test a pooled connection or to reset it: a dead one costs its user a second try, and takes
    every connection of its age out of the pool.
    """

    def __init__(self, reader: Engine, writer: Engine) -> None:
        self.reader = reader
        self.writer = writer
        for engine in (reader, writer):
            event.listen(engine, "handle_error", _notice_lost_connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self.reader.connect() as connection:
            _limit_statements(connection)
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with self.writer.connect() as connection:
            _limit_statements(connection)
            transaction = connection.begin()
            try:
                yield connection
                _commit(transaction)
            except BaseException:
                try:
                    transaction.rollback()
                except BaseException:  # its transaction may still be open: nobody else may get this connection
                    connection.invalidate()
                    raise
                raise

    def close(self) -> None:
        self.reader.dispose()
        self.writer.dispose()


def _commit(transaction: RootTransaction) -> None:
    try:
        transaction.commit()
    except DBAPIError as error:
        transaction.connection.invalidate()  # as above
        if _meaning(error) is LostRaceError:  # a victim's transaction is known to be rolled back
            raise
        raise OutcomeUnknownError from error


observe_retry: Callable[[str], None] | None = None
"""Called with the code of the cause before work is run again, where somebody observes."""

_database: _Embedded | _SqlServer | None = None
_retry_seconds = 20
_call = threading.local()  # what a thread works on: its `deadline` (time.monotonic()) and how many `lost_races` it had


def connect(
    database_url: str,
    *,
    threads: int,
    recycle_seconds: int = 1800,
    retry_seconds: int = 20,
    on_azure: bool = False,
) -> None:
    """Makes the engines for `database_url`. SQLite's file is opened, and its missing tables are created and filled.

    Refuses with `SettingsError` a URL of another engine, a file that cannot be opened as a database, a driver that
    is not there, and a connection that would not be encrypted. A SQL Server is not contacted yet, and its schema is
    never touched here.
    """
    global _database
    close()
    url = parse_database_url(database_url)
    if url.get_backend_name() == "sqlite":
        _database = _Embedded(url)
        _create_embedded_tables()
    else:
        odbc = _check_odbc(read_odbc(url), on_azure=on_azure)
        _load_driver(odbc.get("driver", "").strip("{}"))
        connect_engines(*_engines(odbc, threads=threads, recycle_seconds=recycle_seconds), retry_seconds=retry_seconds)


def connect_engines(reader: Engine, writer: Engine, *, retry_seconds: int) -> None:
    """Uses engines that behave as those of SQL Server: `reader` in autocommit, `writer` with transactions."""
    global _database, _retry_seconds
    close()
    _retry_seconds = retry_seconds
    _database = _SqlServer(reader, writer)


def close() -> None:
    """Closes every connection; the next `connect` starts anew."""
    global _database
    if _database is not None:
        _database.close()
        _database = None


def connect_as(configured: Settings) -> None:
    """Connects as the settings say."""
    connect(
        configured.database_url,
        threads=configured.threads,
        recycle_seconds=configured.db_pool_recycle_seconds,
        retry_seconds=configured.db_retry_seconds,
        on_azure=configured.on_azure,
    )


def is_embedded() -> bool:
    """Whether the app is connected to SQLite."""
    return isinstance(_connected(), _Embedded)


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


def read_odbc(url: URL) -> dict[str, str]:
    """The keywords, in lower case, and the values of the ODBC connection string that `url` stands for."""
    if "odbc_connect" not in url.query and "driver" not in url.query:
        url = url.update_query_dict({"driver": "ODBC Driver 18 for SQL Server"})
    (text,), _ = sql_server.dialect().create_connect_args(url)  # type: ignore[no-untyped-call]
    # A value in braces may hold semicolons, and closing braces if they are doubled.
    pairs = re.findall(r"\s*([^=;]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)", text)
    # Of a keyword that stands there twice the driver takes the first.
    return {keyword.lower(): value.strip() for keyword, value in reversed(pairs)}


def _plain(odbc: dict[str, str], keyword: str) -> str:
    """A value to compare: in lower case, and without the braces that the driver takes off too."""
    return odbc.get(keyword, "").removeprefix("{").removesuffix("}").lower()


def _check_odbc(odbc: dict[str, str], *, on_azure: bool) -> dict[str, str]:
    odbc["encrypt"] = odbc.get("encrypt") or "yes"
    odbc.setdefault("connectretrycount", "0")  # the driver's own tries know no budget, and no transaction
    if _plain(odbc, "encrypt") not in ("yes", "mandatory", "strict"):
        raise SettingsError(
            "DATABASE_URL says Encrypt=, and neither yes nor mandatory nor strict: connections to SQL Server are "
            "always encrypted."
        )
    on_azure_sql = ".database.windows.net" in _plain(odbc, "server")
    if (on_azure or on_azure_sql) and _plain(odbc, "trustservercertificate") not in ("", "no"):
        raise SettingsError(
            "DATABASE_URL says TrustServerCertificate=yes: on Azure the server's certificate is checked."
        )
    if not odbc.keys() & {"uid", "pwd", "authentication"} and (on_azure or on_azure_sql):  # passwordless by default
        odbc["authentication"] = "ActiveDirectoryMsi" if on_azure else "ActiveDirectoryDefault"
    if _plain(odbc, "authentication"):
        odbc.pop("trusted_connection", None)  # SQLAlchemy adds it to a URL that names no user
    if _plain(odbc, "authentication") == "activedirectorydefault" and odbc.keys() & {"uid", "pwd"}:
        raise SettingsError(
            "DATABASE_URL says Authentication=ActiveDirectoryDefault, which is the login of `az login`, and a user or "
            "a password beside it: one of the two must go."
        )
    return odbc


def _load_driver(driver: str) -> None:
    try:
        import pyodbc  # noqa: PLC0415 - needs the system's libodbc, which SQLite's users do not
    except ImportError as error:
        raise SettingsError(
            "DATABASE_URL names a SQL Server, and pyodbc does not load: install unixODBC (Debian: unixodbc) and "
            "Microsoft's ODBC Driver 18 for SQL Server (msodbcsql18)."
        ) from error
    pyodbc.pooling = False  # the driver manager's pool would hide dead connections from SQLAlchemy's
    if driver not in pyodbc.drivers() and not Path(driver).is_file():
        raise SettingsError(
            f"DATABASE_URL names the driver {driver!r}, which is not installed: install Microsoft's ODBC Driver 18 for "
            "SQL Server (msodbcsql18)."
        )


def _login_tokens() -> Callable[[], bytes]:
    """A function that answers an access token of the developer's own login (`az login`), as the driver wants it."""
    try:
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - only for tokens
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "DATABASE_URL says Authentication=ActiveDirectoryDefault, which needs azure-identity: pip install "
            "azure-identity. On Azure use Authentication=ActiveDirectoryMsi."
        ) from error
    credential = DefaultAzureCredential()

    def answer() -> bytes:
        try:  # answered from the credential's cache until shortly before the token expires
            token = credential.get_token("https://database.windows.net/.default").token.encode("utf-16-le")
        except AzureError as error:
            raise UnavailableError("database-login", "The app has no login for its database.") from error
        return struct.pack("<I", len(token)) + token

    return answer


def _engines(odbc: dict[str, str], *, threads: int, recycle_seconds: int) -> tuple[Engine, Engine]:
    """The engine for reads, in autocommit, and the one for transactions."""
    token: Callable[[], bytes] | None = None
    if _plain(odbc, "authentication") == "activedirectorydefault":  # other drivers know it, this one does not
        odbc = {keyword: value for keyword, value in odbc.items() if keyword != "authentication"}
        token = _login_tokens()

    def before_login(_dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> None:
        options["timeout"] = _whole_seconds(LOGIN_SECONDS)
        if token is not None:
            options["attrs_before"] = {SQL_COPT_SS_ACCESS_TOKEN: token()}

    url = URL.create("mssql+pyodbc", query={"odbc_connect": ";".join(f"{k}={v}" for k, v in odbc.items())})
    options: dict[str, Any] = {
        "pool_size": threads,  # a thread uses one connection at a time, so that nobody waits for one
        "max_overflow": 0,
        "pool_recycle": recycle_seconds,
        "pool_reset_on_return": None,  # both ways out of a block have ended what it began
        "hide_parameters": True,
    }
    reader = create_engine(url, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, **options)
    writer = create_engine(url, **options)
    for engine in (reader, writer):
        event.listen(engine, "do_connect", before_login)
        event.listen(engine, "connect", _limit_driver, insert=True)  # before SQLAlchemy asks the server who it is
    event.listen(writer, "connect", _keep_transactions)
    return reader, writer


def _limit_statements(connection: Connection) -> None:
    """No statement may take longer than what is left of the call's budget."""
    _limit_driver(connection.connection.driver_connection)


def _limit_driver(driver: Any, _: object = None) -> None:
    driver.timeout = _whole_seconds(_retry_seconds)  # an attribute of pyodbc's connections; sends nothing


def _keep_transactions(driver: Any, _: object) -> None:
    # Where a server's default is ON, closing a result that was read in part would roll the transaction back silently.
    cursor = driver.cursor()
    cursor.execute("SET XACT_ABORT OFF")
    cursor.close()


def _whole_seconds(most: float) -> int:
    """The seconds that are left of the call's budget, at most `most`, as drivers take them: 0 would be for ever."""
    return max(1, math.floor(min(most, _remaining_seconds())))


def _notice_lost_connection(context: ExceptionContext) -> None:
    # Azure SQL ends connections with numbers that SQLAlchemy does not know as the end.
    error = context.sqlalchemy_exception
    if isinstance(error, DBAPIError) and _meaning(error) is TransientError:
        context.is_disconnect = True
        # If all logged in again at once, a database that asks for fewer requests would get more.
        context.invalidate_pool_on_disconnect = error_code(error) not in _OF_ONE_CONNECTION


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


def ping() -> None:
    """Asks the database for an answer. Refuses with `UnavailableError` where none comes."""
    with reading() as connection:
        connection.execute(select(1))


@contextmanager
def transaction() -> Iterator[Connection]:
    """A connection inside a transaction: committed when the block ends, rolled back when it raises."""
    with _refusing_faults(), _connected().transaction() as connection:
        yield connection


def retrying(work: Callable[[], T]) -> T:
    """What `work` returns: a load-decide-save as a whole, with one transaction at most.

    It is run again while it loses races (a few times) or while SQL Server is moving, waking up or throttling, until
    the retry budget is spent, and always only if it is known that nothing was committed.
    """
    _call.deadline = time.monotonic() + _retry_seconds
    try:
        return work()
    except (LostRaceError, TransientError) as error:
        _call.lost_races = int(isinstance(error, LostRaceError))
        _tell_retry(error)
        time.sleep(random.uniform(0, 0.02))  # noqa: S311 - spreads the rivals, guards nothing
        return _PATIENCE(work)  # not from the beginning: tenacity's books cost as much as a query
    finally:
        _call.deadline = math.inf


def _tell_retry(error: BaseException | None) -> None:
    if observe_retry is not None and isinstance(error, RefusalError):
        observe_retry(error_code(error.__cause__) or error.code)


def _remaining_seconds() -> float:
    return float(getattr(_call, "deadline", math.inf)) - time.monotonic()


def _gives_up(state: RetryCallState) -> bool:
    if state.outcome is not None and isinstance(state.outcome.exception(), LostRaceError):
        _call.lost_races += 1
    # A login takes whole seconds.
    return _call.lost_races >= RACE_TRIES or _remaining_seconds() < state.upcoming_sleep + 1


def _pause(state: RetryCallState) -> float:
    if state.outcome is not None and isinstance(state.outcome.exception(), LostRaceError):
        return random.uniform(0, 0.02 * 2**_call.lost_races)  # noqa: S311 - rivals are done in milliseconds
    return _BACK_OFF(state)


_BACK_OFF = wait_random_exponential(multiplier=0.05, max=4)
_PATIENCE = Retrying(
    retry=retry_if_exception_type((LostRaceError, TransientError)),
    wait=_pause,
    stop=_gives_up,
    before_sleep=lambda state: _tell_retry(state.outcome.exception() if state.outcome is not None else None),
    reraise=True,
)


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
        raise UnavailableError from error
    except ResourceClosedError as error:  # SQLAlchemy lost a new connection while it asked the server who it is
        raise TransientError from error
    except (DBAPIError, sqlite3.Error) as error:
        if refusal := _meaning(error):
            raise refusal() from error
        raise


# ---- what a driver's error means. Numbers and names, never constraint names and never texts, which hold data.

# SQL Server prints its number behind each of its messages: "… (18456) (SQLDriverConnect); [28000] … (4060)".
_SQL_SERVER_NUMBERS = re.compile(r"\((\d{1,5})\)(?= \(SQL|; \[|$)")
_LOST_RACES = {
    "1205",  # chosen as the victim of a deadlock
    "3960",  # under snapshot isolation somebody else wrote the row first
    "547",  # foreign key: the row that was just seen is gone
    "SQLITE_CONSTRAINT_FOREIGNKEY",
}
_DUPLICATE_KEYS = {"2601", "2627", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}
_OUT_OF_REACH = {
    "1105", "9002", "40544",  # no room left
    "615", "3906", "10922", "40143", "40540",  # failing over
    "40613", "40197", "40501", "49918", "49919", "49920", "4060", "4221", "10928", "10929", "10053", "10054", "10060",
}  # fmt: skip
# Too many requests, or one statement that took too long: no word on the other connections of the pool.
_OF_ONE_CONNECTION = {"10928", "10929", "40501", "49918", "49919", "49920", "HYT00"}
# SQLite's families of codes; SQLSTATE 08 and IMC: no connection (any more), HYT00 and HYT01: no answer in time.
_NO_CONNECTION = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "08", "IMC", "HYT")


def _meaning(error: DBAPIError | sqlite3.Error) -> type[LostRaceError | UnavailableError] | None:
    code = error_code(error)
    if code in _DUPLICATE_KEYS or code in _LOST_RACES:
        return LostRaceError
    if code in _OUT_OF_REACH or code.startswith(_NO_CONNECTION):
        return UnavailableError if code.startswith("SQLITE") else TransientError
    return TransientError if getattr(error, "connection_invalidated", False) else None


def error_code(error: BaseException | None) -> str:
    """The driver's code for an error, for the log: SQLite's name, SQL Server's number or SQLSTATE, or nothing."""
    if not isinstance(error, DBAPIError | sqlite3.Error):
        return ""
    original = error.orig if isinstance(error, DBAPIError) else error
    if name := getattr(original, "sqlite_errorname", ""):
        return str(name)
    state, text = [*map(str, getattr(original, "args", ())), "", ""][:2]
    if not re.fullmatch(r"[0-9A-Z]{5}", state):  # a text of its own, not ODBC's
        return ""
    if state.startswith(_NO_CONNECTION):  # the number behind it is the operating system's, or 0
        return state
    numbers: list[str] = _SQL_SERVER_NUMBERS.findall(text)
    known = _DUPLICATE_KEYS | _LOST_RACES | _OUT_OF_REACH
    return next((number for number in numbers if number in known), numbers[0] if numbers else state)


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


class _SqlServerUtc(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "DATETIME2(6)"

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return lambda text: None if text is None else datetime.fromisoformat(text).replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        return lambda value: None if value is None else timestamp(value.replace(tzinfo=UTC))


UuidText = CHAR(36).with_variant(_SqlServerUuid(), "mssql")
"""A UUID, in Python as lower-case text with hyphens."""

UtcText = CHAR(27).with_variant(_SqlServerUtc(), "mssql")
"""An instant in UTC, in Python as RFC 3339 text with microseconds and `Z`."""

# Without a server SQLAlchemy takes it for an old one, which had IMAGE.
Bytes = LargeBinary().with_variant(VARBINARY("max"), "mssql")  # type: ignore[no-untyped-call]


def exact_text(length: int) -> TypeEngine[str]:
    """Text of at most `length` UTF-16 units that equals nothing but itself.

    SQL Server's databases ignore case unless a column says otherwise; trailing blanks they ignore even so.
    """
    return Unicode(length).with_variant(Unicode(length, collation="Latin1_General_100_BIN2"), "mssql")


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


class _JsonItem(FunctionElement[Any]):
    """One item of a JSON array inside a JSON array: by its position, which is a literal."""

    inherit_cache = True


@compiles(_JsonItem, "sqlite")
def _json_extract(element: _JsonItem, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_extract({compiler.process(element.clauses, **options)})"


@compiles(_JsonItem, "mssql")
def _json_value(element: _JsonItem, compiler: SQLCompiler, **options: Any) -> str:
    return f"JSON_VALUE({compiler.process(element.clauses, **options)})"


def json_rows(name: str, *columns: ColumnElement[Any]) -> Subquery:
    """The rows, with these columns, of a JSON array of arrays that the parameter `name` holds."""
    array = _JsonElements(bindparam(name, type_=Unicode())).table_valued(column_clause("value"))
    return select(
        *(
            cast(_JsonItem(array.c.value, literal_column(f"'$[{position}]'")), column.type).label(column.key)
            for position, column in enumerate(columns)
        )
    ).subquery(name)


def first_rows(statement: Select[Any]) -> Select[Any]:
    """`statement` cut after as many rows as the parameter `row_limit` says; it must be ordered.

    Written out because SQLAlchemy's limit() with a parameter numbers every row on SQL Server.
    """
    limit = bindparam("row_limit", type_=Integer())
    return statement.suffix_with(text("LIMIT :row_limit").bindparams(limit), dialect="sqlite").suffix_with(
        text("OFFSET 0 ROWS FETCH NEXT :row_limit ROWS ONLY").bindparams(limit), dialect="mssql"
    )


def read_in_part(statement: Select[Any], rows: int) -> Select[Any]:
    """`statement` whose first `rows` come soon: its reader stops when it has enough, and closes the result.

    SQLite computes rows as they are fetched. SQL Server would plan for all of them, and sort a table for ten rows.
    """
    return statement.with_statement_hint(f"OPTION (FAST {rows})", "mssql")


def locking(statement: Select[Any], table: FromClause) -> Select[Any]:
    """`statement` that locks the rows of `table` which it reads until the transaction ends.

    SQLite needs no hint: its only writer has the whole database.
    """
    return statement.with_hint(table, "WITH (UPDLOCK, ROWLOCK)", "mssql")


def skipping_locked(statement: L, table: Table) -> L:
    """`statement` that locks the rows of `table` which it reads or deletes, and passes over those of others.

    SQL Server takes READPAST where READ_COMMITTED_SNAPSHOT is on only with READCOMMITTEDLOCK.
    """
    hint = "WITH (UPDLOCK, ROWLOCK, READPAST, READCOMMITTEDLOCK)"
    return statement.with_hint(text=hint, selectable=table, dialect_name="mssql")
