"""SQL Server: its engines, transactions, timeouts, driver and logins. The server is not contacted before first use."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Dialect, Engine, RootTransaction, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DBAPIError

from domain.errors import RollbookError
from persistence.database.circuit import Circuit
from persistence.database.connection_string import unquote_odbc
from persistence.database.cursors import WRITES, keep_cursors, open_cursor
from persistence.database.errors import (
    KEEP_POOL_ERRORS,
    DatabaseLoginError,
    LostRaceError,
    OutcomeUnknownError,
    TransientError,
    classify,
    error_code,
)
from persistence.database.pool import IdleClosingPool
from persistence.database.retries import remaining_seconds
from settings import SettingsError

LOGIN_SECONDS: Final = 15
"""Maximum duration of a login: the driver's own default."""

SQL_COPT_SS_ACCESS_TOKEN: Final = 1256
"""The driver's attribute for an access token (msodbcsql.h)."""


class SqlServerDatabase:
    """SQL Server: two pools, because switching a pooled connection to autocommit and back costs three round trips.

    Pooled connections are neither tested nor reset. A dead connection causes one retry, and SQLAlchemy then replaces
    every connection of the pool that was opened before.
    """

    def __init__(self, reader: Engine, writer: Engine, circuit: Circuit) -> None:
        self._reader, self._writer, self.circuit = reader, writer, circuit
        for engine in (reader, writer):
            event.listen(engine, "handle_error", _on_driver_error)

    def engines(self) -> tuple[Engine, ...]:
        """Returns the engine for reads and the engine for transactions."""
        return self._reader, self._writer

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yields a connection in autocommit."""
        with self._reader.connect() as connection:
            try:
                yield connection
            except (DBAPIError, RollbookError):
                raise
            except BaseException:
                connection.invalidate()  # a result that is still open would block the next statement
                raise

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yields a connection inside a transaction. Raises `OutcomeUnknownError` if the commit is lost."""
        with self._writer.connect() as connection:
            transaction = connection.begin()
            try:
                yield connection
                _commit(transaction)
            except BaseException:
                _roll_back(transaction)
                raise

    def close(self) -> None:
        """Closes both pools."""
        self._reader.dispose()
        self._writer.dispose()


def _commit(transaction: RootTransaction) -> None:
    try:
        transaction.commit()
    except DBAPIError as error:
        transaction.connection.invalidate()  # its state is unknown
        if classify(error) is LostRaceError:  # the transaction of a deadlock victim is rolled back for certain
            raise
        raise OutcomeUnknownError from error


def _roll_back(transaction: RootTransaction) -> None:
    try:
        transaction.rollback()
    except Exception:  # noqa: BLE001 - the error that caused the rollback must not be replaced
        transaction.connection.invalidate()  # its transaction may still be open: the connection must leave the pool


_ENGINE_OPTIONS: Final[dict[str, Any]] = {
    "poolclass": IdleClosingPool,
    "connect_args": {"autocommit": True},  # of the driver: otherwise it begins a transaction at login
    "pool_reset_on_return": None,  # every block ends its own transaction
    "hide_parameters": True,
    "_initialize": False,  # no queries about the server: see _describe_server
    "use_setinputsizes": False,  # cursors.py declares the parameters, once per kept cursor
}


class Limits(NamedTuple):
    """Durations in seconds: the age at which a connection is replaced, the limits of statements, the longest idling."""

    connection_age: int = 1800
    read: int = 30
    write: int = 10
    idle: int = 120


DEFAULT_LIMITS: Final = Limits()


def create_engines(odbc: dict[str, str], circuit: Circuit, *, threads: int, limits: Limits) -> tuple[Engine, Engine]:
    """Returns the engine for reads (in autocommit) and the engine for transactions. `odbc` are secured keywords.

    Every login of both passes `circuit`. Raises `SettingsError` if the driver is not installed, or azure-identity for a
    developer's own login.
    """
    _load_driver(odbc.get("driver", "").strip("{}"))
    access_token: Callable[[], bytes] | None = None
    if unquote_odbc(odbc, "authentication") == "activedirectorydefault":  # this ODBC driver does not support it
        odbc = {keyword: value for keyword, value in odbc.items() if keyword != "authentication"}
        access_token = _access_token_provider()
    url = URL.create("mssql+pyodbc", query={"odbc_connect": ";".join(f"{k}={v}" for k, v in odbc.items())})
    options: dict[str, Any] = {
        **_ENGINE_OPTIONS,
        "pool_size": threads,  # a thread uses one connection at a time, so no thread waits
        "pool_recycle": limits.connection_age,
        "idle_seconds": limits.idle,
    }
    reader = create_engine(url, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, **options)
    writer = create_engine(url, **options)
    for engine, seconds in ((reader, limits.read), (writer, limits.write)):
        event.listen(engine, "do_connect", _login(circuit, access_token))
        _describe_server(engine.dialect)
        keep_cursors(engine, seconds)
    _begin_with_first_statement(writer)
    return reader, writer


def _describe_server(dialect: Any) -> None:
    """Sets what SQLAlchemy would ask the server at the first login: the oldest supported version, and the schema.

    Until then other threads would wait for these queries, one after another if the server is frozen.
    """
    dialect.server_version_info, dialect.default_schema_name = (15, 0), "dbo"  # SQL Server 2019
    dialect._setup_version_attributes()  # noqa: SLF001 - the part of initialize() that asks nothing
    dialect._supports_nvarchar_max = True  # noqa: SLF001


def _load_driver(driver: str) -> None:
    try:
        import pyodbc  # noqa: PLC0415 - needs the system's libodbc, which SQLite does not
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


def _access_token_provider() -> Callable[[], bytes]:
    """Returns a function that returns an access token for the developer's own login, in the driver's format."""
    try:
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - only for tokens
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "DATABASE_URL says Authentication=ActiveDirectoryDefault, which needs azure-identity: pip install "
            "azure-identity. On Azure use Authentication=ActiveDirectoryMsi."
        ) from error
    credential = DefaultAzureCredential()

    def access_token() -> bytes:
        try:  # from the credential's cache until shortly before the token expires
            token = credential.get_token("https://database.windows.net/.default").token.encode("utf-16-le")
        except AzureError as error:
            raise DatabaseLoginError from error
        return struct.pack("<I", len(token)) + token

    return access_token


def _login(circuit: Circuit, access_token: Callable[[], bytes] | None) -> Callable[..., Any]:
    """Returns the listener that logs in, also to replace a pooled connection."""

    def log_in(dialect: Dialect, _record: object, arguments: list[Any], options: dict[str, Any]) -> Any:
        def attempt() -> Any:  # each has its own timeout and token: it may begin long after the first
            options["timeout"] = max(1, min(LOGIN_SECONDS, math.floor(remaining_seconds())))  # 0 means no limit
            if access_token is not None:
                options["attrs_before"] = {SQL_COPT_SS_ACCESS_TOKEN: access_token()}
            return dialect.connect(*arguments, **options)

        return circuit.log_in(attempt)

    return log_in


def _begin_with_first_statement(writer: Engine) -> None:
    """Makes transactions begin without a request of their own (Microsoft's JDBC driver does the same).

    This driver would begin a transaction with the commit of the one before: an idle connection would always be in one.
    It stays in autocommit mode, in which pyodbc's own commit and rollback send nothing.
    """
    # Where a server's default of XACT_ABORT is ON, closing a partly read result would silently roll back.
    options = "SET XACT_ABORT OFF; SET IMPLICIT_TRANSACTIONS ON"
    event.listen(writer, "connect", lambda driver, _: _execute(options, driver))
    writer.dialect.do_commit = _commit_transaction  # type: ignore[assignment,method-assign]
    writer.dialect.do_rollback = _roll_transaction_back  # type: ignore[assignment,method-assign]


def _commit_transaction(connection: Any) -> None:
    # Without a check after a write: if the server had lost the transaction, COMMIT must fail (3902).
    _execute("COMMIT" if connection.info.pop(WRITES, False) else "IF @@TRANCOUNT > 0 COMMIT", connection)


def _roll_transaction_back(connection: Any) -> None:
    connection.info.pop(WRITES, None)
    _execute("IF @@TRANCOUNT > 0 ROLLBACK", connection)


def _execute(statement: str, connection: Any) -> None:
    open_cursor(connection).execute(statement).close()


def _on_driver_error(context: ExceptionContext) -> None:
    # Azure SQL ends connections with numbers that SQLAlchemy does not recognise as a disconnect.
    error = context.sqlalchemy_exception
    if isinstance(error, DBAPIError) and (_sent_nothing(context) or classify(error) is TransientError):
        context.is_disconnect = True
        # Replacing every connection at once would put more load on a throttled database.
        context.invalidate_pool_on_disconnect = error_code(error) not in KEEP_POOL_ERRORS


def _sent_nothing(context: ExceptionContext) -> bool:
    """Returns whether the driver failed while it prepared a statement, e.g. set its limit: the connection is dead."""
    return context.statement is not None and context.execution_context is None
