"""Column types. In Python, UUIDs and timestamps are text, as the API returns them.

SQLite stores this text, so that a list of 100,000 records needs no conversion.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import CHAR, BigInteger, Boolean, Integer, LargeBinary, SmallInteger, String, Unicode
from sqlalchemy.dialects.mssql import ROWVERSION, VARBINARY
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine, UserDefinedType

# User-defined types, because SQLAlchemy replaces a subclass of its own types, and its processors, by the dialect's.


class _SqlServerUuid(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "UNIQUEIDENTIFIER"

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return lambda text: None if text is None else uuid.UUID(text)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        return lambda value: None if value is None else str(value).lower()  # pyodbc returns upper-case text


class _SqlServerUtc(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "DATETIME2(6)"

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return lambda text: None if text is None else datetime.fromisoformat(text).replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        return lambda value: None if value is None else value.isoformat("T", "microseconds") + "Z"


UuidText = CHAR(36).with_variant(_SqlServerUuid(), "mssql")
"""A UUID; in Python lower-case text with hyphens."""

UtcText = CHAR(27).with_variant(_SqlServerUtc(), "mssql")
"""A timestamp in UTC; in Python RFC 3339 text with microseconds and `Z`."""

# Before it connects, SQLAlchemy assumes an old server and would compile IMAGE.
Blob = LargeBinary().with_variant(VARBINARY("max"), "mssql")  # type: ignore[no-untyped-call]
"""Bytes of any length."""

RowId = BigInteger().with_variant(Integer(), "sqlite")
"""A key that the database generates. SQLite generates one only for a column whose type is INTEGER."""

RowVersion = LargeBinary(8).with_variant(ROWVERSION(), "mssql")  # type: ignore[no-untyped-call]
"""A number of the database that increases with every row that is written, in eight bytes; SQL Server alone has it."""


def case_sensitive_text(length: int) -> TypeEngine[str]:
    """Returns a type for text of at most `length` UTF-16 units that is compared by code point.

    SQL Server ignores case unless the column has such a collation. It ignores trailing blanks with every collation.
    """
    return Unicode(length).with_variant(Unicode(length, collation="Latin1_General_100_BIN2"), "mssql")


# ---- parameters of SQL Server

ParameterSize = tuple[int, int, int]
"""How pyodbc declares a parameter: SQL type, length or precision (0 means `max`), decimal digits."""

# By the first class that fits. A length of None is that of the type.
_PARAMETERS: Final[tuple[tuple[type[TypeEngine[Any]], str, int | None, int], ...]] = (
    (_SqlServerUuid, "SQL_GUID", 16, 0),
    (_SqlServerUtc, "SQL_TYPE_TIMESTAMP", 26, 6),
    (Unicode, "SQL_WVARCHAR", None, 0),
    (String, "SQL_CHAR", None, 0),
    (LargeBinary, "SQL_VARBINARY", 0, 0),
    (ROWVERSION, "SQL_BINARY", 8, 0),
    (Boolean, "SQL_BIT", 1, 0),
    (SmallInteger, "SQL_SMALLINT", 5, 0),
    (BigInteger, "SQL_BIGINT", 19, 0),
    (Integer, "SQL_INTEGER", 10, 0),
)


def parameter_size(type_: TypeEngine[Any], driver: Any) -> ParameterSize | None:
    """Returns how pyodbc (`driver`) declares a parameter of this type of its dialect; None for another type."""
    for kind, name, length, digits in _PARAMETERS:
        if isinstance(type_, kind):
            return getattr(driver, name), (getattr(type_, "length", 0) or 0) if length is None else length, digits
    return None
