"""Executes T-SQL on SQLite for a stand-in driver: SQLAlchemy's statement, compiled for SQLite, with the same values."""

from __future__ import annotations

import functools
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, Final, NamedTuple

from sqlalchemy import TextClause
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from tests.support.driver_types import DatabaseError, IntegrityError, ProgrammingError
from tests.support.rowversions import Rowversions

Description = tuple[tuple[Any, ...], ...]
Result = tuple[list[tuple[Any, ...]], Description | None, int]
"""Rows, the description of their columns (None without columns), and the number of changed rows."""

_SQLITE: Final = sqlite.dialect(paramstyle="named")
_TEXTS: Final = {
    "SELECT CAST(SERVERPROPERTY('ProductVersion') AS VARCHAR)": "15.0.4430.1",
    "SELECT schema_name()": "dbo",
    "SELECT name FROM sys.system_views": "dm_exec_sessions",
    "SELECT CASE transaction_isolation_level": "READ COMMITTED",
    "SELECT CAST('test max support' AS NVARCHAR(max))": "test max support",
    "SELECT 1": 1,
}
"""The single values of statements that are text to SQLAlchemy, as those of its dialect, by their beginnings."""
_DRIVER_VALUES: Final[dict[str, Callable[[Any], Any]]] = {
    "UNIQUEIDENTIFIER": str.upper,
    "DATETIME2(6)": lambda text: datetime.fromisoformat(text).replace(tzinfo=None),
    "BIT": bool,
}
"""What pyodbc returns for the values of a type, made of SQLite's."""

_current = threading.local()


def hand_over(_connection: Any, _cursor: Any, _text: str, _values: Any, context: Any, _many: bool) -> None:
    """Keeps SQLAlchemy's context for the stand-in that the thread is about to call: an event of the engine."""
    if context.dialect.name == "mssql":
        _current.context = context


class Statement(NamedTuple):
    """A statement with the values of one execution."""

    names: tuple[str, ...]
    run: Callable[[], Result]


class Data:
    """A connection to the SQLite file."""

    def __init__(self, path: Path, rowversions: Rowversions) -> None:
        self._driver = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._driver.execute("PRAGMA foreign_keys=ON")
        rowversions.define(self._driver)
        self.close = self._driver.close

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._driver.in_transaction

    def begin(self) -> None:
        self._driver.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._driver.execute("COMMIT")

    def rollback(self) -> None:
        self._driver.execute("ROLLBACK")

    def statement(self, text: str, row: int) -> Statement:
        """Returns the statement that SQLAlchemy sends as `text`, with its values of the given row."""
        context = getattr(_current, "context", None)
        if (
            context is None
            or context.statement is not text
            or isinstance(context.invoked_statement, TextClause | NoneType)
        ):
            return Statement((), functools.partial(_fixed, text))
        compiled = context.compiled
        keys = frozenset(compiled.column_keys or ())
        values = {key: value for key, value in context.compiled_parameters[row].items() if key in keys}
        for_sqlite = _compile(context.invoked_statement, keys)
        return Statement(tuple(compiled.positiontup or ()), lambda: self._run(for_sqlite, values, context))

    def _run(self, compiled: SQLCompiler, values: dict[str, Any], context: Any) -> Result:
        try:
            cursor = self._driver.execute(str(compiled), compiled.construct_params(values))
            rows = cursor.fetchall()
        except sqlite3.Error as error:
            raise _driver_error(error) from None
        if cursor.description is None and context.compiled.effective_returning:  # SQLAlchemy wants the generated key
            return [(cursor.lastrowid,)], _describe(["id"]), cursor.rowcount
        if cursor.description is None:
            return [], None, cursor.rowcount
        process = context.dialect.type_compiler_instance.process
        convert = [_DRIVER_VALUES.get(process(column.type)) for column in compiled._result_columns]
        rows = [tuple(_convert(*pair) for pair in zip(convert, row, strict=True)) for row in rows]
        return rows, _describe([column[0] for column in cursor.description]), -1


@functools.lru_cache(512)
def _compile(statement: Any, keys: frozenset[str]) -> SQLCompiler:
    options = {"render_postcompile": True}
    compiled = statement.compile(dialect=_SQLITE, column_keys=sorted(keys), compile_kwargs=options)
    assert isinstance(compiled, SQLCompiler)
    return compiled


def _fixed(text: str) -> Result:
    start = text.lstrip()
    if start.startswith("SELECT 1 FROM fn_listextendedproperty"):
        return [], _describe([""]), -1
    for known, value in _TEXTS.items():
        if start.startswith(known):
            return [(value,)], _describe([""]), -1
    raise ProgrammingError("42000", f"[42000] The stand-in does not know this text: {text} (102) (SQLExecDirectW)")


def _describe(names: list[str]) -> Description:
    return tuple((name, str, None, None, None, None, True) for name in names)


def _convert(convert: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if value is None or convert is None else convert(value)


def _driver_error(error: sqlite3.Error) -> DatabaseError:
    """Returns the error of pyodbc for SQLite's, with SQL Server's number."""
    code = getattr(error, "sqlite_errorname", "")
    if isinstance(error, sqlite3.IntegrityError):
        number = 2601 if code in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY") else 547
        return IntegrityError("23000", f"[23000] [Microsoft][SQL Server]{error} ({number}) (SQLExecDirectW)")
    number = 208 if "no such table" in str(error) else 102
    return ProgrammingError("42000", f"[42000] [Microsoft][SQL Server]{error} ({number}) (SQLExecDirectW)")
