"""Cursors of SQL Server: one prepared statement each, kept open on its connection, with declared parameter types.

pyodbc prepares a statement at each execution, and unprepares it when the cursor is closed: two requests. A kept cursor
replaces its prepared statement: one request. By itself pyodbc declares a parameter by its value (`nvarchar(7)`), and
SQL Server compiles a plan for each length. Here the types of the columns declare it.
"""

from __future__ import annotations

import math
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.dialects.mssql.base import MSExecutionContext
from sqlalchemy.engine.interfaces import ExecuteStyle
from sqlalchemy.sql.compiler import SQLCompiler

from persistence.database.retries import remaining_seconds
from persistence.database.types import parameter_size

MAX_KEPT_CURSORS: Final = 100
"""Kept cursors per connection. The least recently used one is closed for another."""

LONGEST_PARAMETER: Final = 1 << 30
"""Parameters up to this length travel with the statement; by default pyodbc sends a text of more than 2,000 characters
in another request. In return such a text must be declared: otherwise the driver reports HY104.
"""

SQL_ATTR_CONNECTION_TIMEOUT: Final = 113
"""The driver's attribute (sqlext.h) that limits the wait for the confirmation of a cancelled statement."""

CANCEL_SECONDS: Final = 1
"""If a server is frozen, the driver waits twice as long before it reports the time-out of a statement."""

Kept = dict[SQLCompiler, Any]
"""Idle cursors by compiled statement, the least recently used one first. Equal texts may declare other types."""

KEPT: Final = "kept_cursors"
WRITES: Final = "writes"
"""Entries of a connection's `info`: its idle cursors, and whether its transaction has changed anything."""


class KeptCursor:
    """A DB-API cursor for one execution of a statement.

    The real cursor returns to `kept`, the idle cursors of its connection by statement, as soon as the result was read
    to its end. Otherwise (after an error, or when it is closed earlier) it is closed, because no second result may be
    open on a connection.
    """

    def __init__(self, cursor: Any, statement: SQLCompiler, kept: Kept, null: object) -> None:
        self._cursor, self._statement, self._kept, self._null = cursor, statement, kept, null
        self.description: Any = None
        self.rowcount = -1

    def execute(self, statement: str, parameters: Any) -> None:
        """Executes the statement, or one of SQLAlchemy's own that belongs to it (SET IDENTITY_INSERT)."""
        if self._cursor is None:
            self._cursor = self._kept.pop(self._statement)
        if None in parameters:  # for None the driver asks the server for the type, in a request of its own
            parameters = [self._null if value is None else value for value in parameters]
        self._cursor.execute(statement, parameters)
        self.description, self.rowcount = self._cursor.description, self._cursor.rowcount
        if self.description is None:
            self._keep()

    def fetchone(self) -> Any:
        """Returns the next row, or None at the end."""
        row = None if self._cursor is None else self._cursor.fetchone()
        if row is None:
            self._keep()
        return row

    def fetchmany(self, size: int = 1) -> list[Any]:
        """Returns the next rows, at most `size`; fewer mean the end."""
        rows: list[Any] = [] if self._cursor is None else self._cursor.fetchmany(size)
        if len(rows) < size:
            self._keep()
        return rows

    def fetchall(self) -> list[Any]:
        """Returns the remaining rows."""
        rows: list[Any] = [] if self._cursor is None else self._cursor.fetchall()
        self._keep()
        return rows

    def close(self) -> None:
        """Closes the real cursor, unless it was kept."""
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()

    def _keep(self) -> None:
        if self._cursor is None:
            return
        if self._cursor.nextset():  # also raises errors that follow the result
            return
        self._kept[self._statement], self._cursor = self._cursor, None
        if len(self._kept) > MAX_KEPT_CURSORS:
            self._kept.pop(next(iter(self._kept))).close()


def keep_cursors(engine: Engine, statement_seconds: int) -> None:
    """Makes the connections of `engine` keep their cursors, and limits every statement to `statement_seconds`.

    A statement that begins within the retry budget has the whole limit. One that begins later has what is left of
    budget and limit together, so that a call of several statements ends too.
    """

    def limit_statements(driver: Any, _: object) -> None:
        _set_limit(driver, statement_seconds)
        driver.maxwrite = LONGEST_PARAMETER

    class Context(MSExecutionContext):
        def create_cursor(self) -> Any:
            if self.isinsert or self.isupdate or self.isdelete:
                self._dbapi_connection.info[WRITES] = True
            return _create_cursor(self, statement_seconds)

    event.listen(engine, "connect", limit_statements)
    engine.dialect.execution_ctx_cls = Context


def open_cursor(connection: Any) -> Any:
    """Returns a cursor of `connection` whose statement is limited, for one that SQLAlchemy does not execute."""
    driver = getattr(connection, "driver_connection", connection)  # some events get the driver's own connection
    seconds = _late_limit(driver.timeout)
    return driver.cursor() if seconds is None else _cursor_with_limit(driver, seconds)


def _late_limit(statement_seconds: int) -> int | None:
    """Returns the limit of a statement that begins after the retry budget, or None within the budget."""
    left = remaining_seconds()
    return max(1, math.floor(statement_seconds + left)) if left < 0 else None


def _create_cursor(context: MSExecutionContext, statement_seconds: int) -> Any:
    connection: Any = context._dbapi_connection  # noqa: SLF001 - as SQLAlchemy's own create_cursor does
    late_limit = _late_limit(statement_seconds)
    if late_limit is not None:  # a cursor has one limit for ever, so this one is not kept
        cursor = _cursor_with_limit(connection.driver_connection, late_limit)
        _declare_parameters(cursor, context)
        return cursor
    if not _is_prepared(context):
        return connection.cursor()
    statement: Any = context.compiled
    kept = connection.info.setdefault(KEPT, {})
    cursor = kept.pop(statement, None)
    if cursor is None:
        cursor = connection.cursor()
        if not _declare_parameters(cursor, context):
            return cursor
    return KeptCursor(cursor, statement, kept, context.dialect.loaded_dbapi.BinaryNull)


def _cursor_with_limit(driver: Any, seconds: int) -> Any:
    usual = driver.timeout
    _set_limit(driver, seconds)
    try:
        return driver.cursor()
    finally:
        _set_limit(driver, usual)


def _set_limit(driver: Any, seconds: int) -> None:
    """Limits the statements of cursors that are created from now on. Sends nothing."""
    driver.timeout = seconds  # sets both time-outs of the driver
    driver.set_attr(SQL_ATTR_CONNECTION_TIMEOUT, CANCEL_SECONDS)


def _is_prepared(context: MSExecutionContext) -> bool:
    return bool(getattr(context.compiled, "positiontup", None)) and context.execute_style is ExecuteStyle.EXECUTE


def _declare_parameters(cursor: Any, context: MSExecutionContext) -> bool:
    """Declares the parameters, and returns whether it did: there may be none, or one of an unknown type."""
    compiled, dialect = context.compiled, context.dialect
    if not isinstance(compiled, SQLCompiler) or compiled.post_compile_params or compiled.literal_execute_params:
        return False
    types = [compiled.binds[name].type.dialect_impl(dialect) for name in compiled.positiontup or ()]
    sizes = [parameter_size(type_, dialect.loaded_dbapi) for type_ in types]
    if not sizes or None in sizes:
        return False
    cursor.setinputsizes(sizes)
    return True
