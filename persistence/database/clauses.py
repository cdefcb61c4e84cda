"""Clauses that the engines spell differently, or that only one engine has."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import BigInteger, Integer, Table, Unicode, bindparam, case, cast, func, literal_column, select, text
from sqlalchemy import column as column_clause
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement, ColumnElement, Delete, FromClause, Select, Subquery, SyntaxExtension, Update
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import InternalTraversal

L = TypeVar("L", Select[Any], Delete)
W = TypeVar("W", Update, Delete)


class _JsonElements(FunctionElement[Any]):
    """A JSON array as a table with a column `value`."""

    inherit_cache = True


@compiles(_JsonElements, "sqlite")
def _json_each(element: _JsonElements, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_JsonElements, "mssql")
def _openjson(element: _JsonElements, compiler: SQLCompiler, **options: Any) -> str:
    return f"OPENJSON({compiler.process(element.clauses, **options)})"


class _JsonItem(FunctionElement[Any]):
    """One item of a nested JSON array, by its position (a literal)."""

    inherit_cache = True


@compiles(_JsonItem, "sqlite")
def _json_extract(element: _JsonItem, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_extract({compiler.process(element.clauses, **options)})"


@compiles(_JsonItem, "mssql")
def _json_value(element: _JsonItem, compiler: SQLCompiler, **options: Any) -> str:
    return f"JSON_VALUE({compiler.process(element.clauses, **options)})"


def in_json_array(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Returns the condition that `column` is an element of the JSON array in the parameter `name`.

    It is one parameter for any number of values, because SQL Server accepts at most 2,100 parameters.
    """
    array = _JsonElements(bindparam(name, type_=Unicode())).table_valued(column_clause("value"))
    return column.in_(select(cast(array.c.value, column.type)))


def json_rows(name: str, *columns: ColumnElement[Any]) -> Subquery:
    """Returns a subquery of the JSON array of arrays in the parameter `name`: a row per inner array.

    `columns` provide the names and types of its columns, in the order of the items of inner arrays.
    """
    array = _JsonElements(bindparam(name, type_=Unicode())).table_valued(column_clause("value"))
    return select(
        *(
            cast(_JsonItem(array.c.value, literal_column(f"'$[{position}]'")), column.type).label(column.key)
            for position, column in enumerate(columns)
        )
    ).subquery(name)


def limit_rows(statement: Select[Any]) -> Select[Any]:
    """Returns `statement` limited to the number of rows in the parameter `row_limit`; it must have an ORDER BY.

    The clauses are spelled out, because SQLAlchemy's limit() with a parameter numbers every row on SQL Server.
    """
    limit = bindparam("row_limit", type_=Integer())
    return statement.suffix_with(text("LIMIT :row_limit").bindparams(limit), dialect="sqlite").suffix_with(
        text("OFFSET 0 ROWS FETCH NEXT :row_limit ROWS ONLY").bindparams(limit), dialect="mssql"
    )


def page_rows(statement: Select[Any]) -> Select[Any]:
    """Returns `statement` limited to `row_limit` rows after the first `row_offset`; it must have an ORDER BY.

    Both are parameters, as in `limit_rows`.
    """
    limits = (bindparam("row_limit", type_=Integer()), bindparam("row_offset", type_=BigInteger()))
    return statement.suffix_with(
        text("LIMIT :row_limit OFFSET :row_offset").bindparams(*limits), dialect="sqlite"
    ).suffix_with(text("OFFSET :row_offset ROWS FETCH NEXT :row_limit ROWS ONLY").bindparams(*limits), dialect="mssql")


def limit_any_rows(statement: Select[Any]) -> Select[Any]:
    """Returns `statement`, which has no ORDER BY, limited to any of its rows: as many as the parameter `row_limit`.

    It may be part of another statement, where SQLAlchemy leaves out the ORDER BY that `limit_rows` needs.
    """
    limit = bindparam("row_limit", type_=Integer())
    return statement.prefix_with(text("TOP (:row_limit)").bindparams(limit), dialect="mssql").suffix_with(
        text("LIMIT :row_limit").bindparams(limit), dialect="sqlite"
    )


def count_rows(statement: Select[Any]) -> Select[Any]:
    """Returns the count of the rows of `statement`, which has no ORDER BY; it stops at the parameter `row_limit`."""
    return select(func.count()).select_from(limit_any_rows(statement).subquery())


def flag(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Returns 1 where `condition` is true, otherwise 0: T-SQL has no boolean values."""
    return case((condition, literal_column("1", Integer)), else_=literal_column("0", Integer))


def optimize_for_first(statement: Select[Any], rows: int) -> Select[Any]:
    """Returns `statement` planned to return its first `rows` quickly, for a reader that closes the result early.

    SQLite computes rows as they are fetched. SQL Server would plan for all rows, and sort a whole table for ten.
    """
    return statement.with_statement_hint(f"OPTION (FAST {rows})", "mssql")


def check_by_seek(statement: Select[Any]) -> Select[Any]:
    """Returns `statement`, the SELECT of an INSERT of several rows, for which SQL Server checks foreign keys by seeks.

    The check reads with locks, also with READ_COMMITTED_SNAPSHOT. From some 50 rows on, which is the estimate for any
    JSON array, it may be a merge join. That scans the other table, waits for rows that concurrent transactions have
    inserted, and ends in a deadlock: dba.stackexchange.com/questions/106319, dba.stackexchange.com/questions/248585.
    """
    return statement.with_statement_hint("OPTION (LOOP JOIN)", "mssql")


def for_update(statement: Select[Any], table: FromClause) -> Select[Any]:
    """Returns `statement` with locks, until the transaction ends, on the rows of `table` that it reads.

    SQLAlchemy's with_for_update() compiles to nothing on mssql. SQLite needs no hint: its only writer locks the whole
    database.
    """
    return statement.with_hint(table, "WITH (UPDLOCK, ROWLOCK)", "mssql")


def for_update_of_range(statement: Select[Any], table: FromClause) -> Select[Any]:
    """Returns `statement` with locks, until the transaction ends, on the rows of `table` that it reads or would read.

    No other transaction inserts such a row meanwhile, or reads one with this clause. Needs an index of the range.
    """
    return statement.with_hint(table, "WITH (UPDLOCK, HOLDLOCK, ROWLOCK)", "mssql")


def for_update_by_seek(statement: Select[Any], table: FromClause) -> Select[Any]:
    """Returns `statement` like `for_update`. SQL Server seeks the rows of `table`, and so locks no others.

    The statement must compare all columns of a key or of the beginning of one, else SQL Server rejects it (8622).
    learn.microsoft.com/sql/t-sql/queries/hints-transact-sql-table, FORCESEEK
    """
    return statement.with_hint(table, "WITH (UPDLOCK, ROWLOCK, FORCESEEK)", "mssql")


class _SeekOption(SyntaxExtension, ClauseElement):
    """The end of an UPDATE with another table. SQLAlchemy writes a hint also where FORCESEEK is not permitted."""

    inherit_cache = True
    _traverse_internals = [("table", InternalTraversal.dp_clauseelement)]  # noqa: RUF012 - SQLAlchemy's name

    def __init__(self, table: FromClause) -> None:
        self.table = table

    def apply_to_update(self, update_stmt: Update) -> None:
        update_stmt.apply_syntax_extension_point(self.append_replacing_same_type, "post_criteria")


@compiles(_SeekOption)
def _nothing(_: _SeekOption, __: SQLCompiler, **___: Any) -> str:
    return ""


@compiles(_SeekOption, "mssql")
def _seek_option(element: _SeekOption, compiler: SQLCompiler, **_: Any) -> str:
    return f"OPTION (TABLE HINT ({compiler.process(element.table, ashint=True)}, FORCESEEK))"


def seek_rows(statement: Update) -> Update:
    """Returns an update with `json_rows` for which SQL Server seeks the rows of its table.

    A scan, which it may prefer for a small table, would wait for rows that other transactions have locked, and end in a
    deadlock. The key must be compared as in `for_update_by_seek`.
    learn.microsoft.com/sql/t-sql/queries/hints-transact-sql-table: FORCESEEK alone may be a query hint,
    and of the target of an UPDATE.
    """
    return statement.ext(_SeekOption(statement.table))


def lock_rows(statement: W) -> W:
    """Returns `statement` with locks on rows: for a change of many rows SQL Server may choose pages.

    Their table should have LOCK_ESCALATION = DISABLE: 5,000 locks of a statement become a lock on the table.
    learn.microsoft.com/sql/relational-databases/sql-server-transaction-locking-and-row-versioning-guide
    """
    return statement.with_hint("WITH (ROWLOCK)", dialect_name="mssql")


def skip_locked(statement: L, table: Table) -> L:
    """Returns `statement` with locks on the rows of `table` that it reads or deletes; it skips locked rows.

    With READ_COMMITTED_SNAPSHOT on, SQL Server accepts READPAST only together with READCOMMITTEDLOCK.
    """
    hint = "WITH (UPDLOCK, ROWLOCK, READPAST, READCOMMITTEDLOCK)"
    return statement.with_hint(text=hint, selectable=table, dialect_name="mssql")


def in_order(statement: Select[Any], column: ColumnElement[Any]) -> Select[Any]:
    """Returns `statement`, the SELECT of an INSERT, in the order of `column`: generated ids increase in this order.

    Spelled out, because SQLAlchemy leaves the ORDER BY of an INSERT's SELECT out on SQL Server, which computes the
    identities in its order: "Ordering guarantees in SQL Server",
    learn.microsoft.com/archive/blogs/sqltips/ordering-guarantees-in-sql-server, number 4.
    """
    return statement.suffix_with(text(f"ORDER BY {column}"))
