"""What a driver for SQL Server knows of types: pyodbc's errors, the codes of ODBC, and how it declares a parameter."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final


class Error(Exception):
    """The base class of pyodbc's errors: a SQLSTATE, then a text with the server's number."""


class InterfaceError(Error): ...


class DatabaseError(Error): ...


class DataError(DatabaseError): ...


class IntegrityError(DatabaseError): ...


class InternalError(DatabaseError): ...


class NotSupportedError(DatabaseError): ...


class OperationalError(DatabaseError): ...


class ProgrammingError(DatabaseError): ...


ERRORS: Final = (
    Error, InterfaceError, DatabaseError, DataError, IntegrityError, InternalError, NotSupportedError,
    OperationalError, ProgrammingError,
)  # fmt: skip

CODES: Final = {
    "SQL_CHAR": 1, "SQL_VARCHAR": 12, "SQL_LONGVARCHAR": -1, "SQL_WCHAR": -8, "SQL_WVARCHAR": -9,
    "SQL_WLONGVARCHAR": -10, "SQL_BIT": -7, "SQL_SMALLINT": 5, "SQL_INTEGER": 4, "SQL_BIGINT": -5, "SQL_GUID": -11,
    "SQL_TYPE_TIMESTAMP": 93, "SQL_BINARY": -2, "SQL_VARBINARY": -3, "SQL_LONGVARBINARY": -4,
}  # fmt: skip
"""ODBC's codes of types (sql.h, sqlext.h)."""

BINARY_NULL: Final = object()
"""pyodbc's value for a NULL of a binary column."""

_NAMES: Final = {
    1: "char({})", 12: "varchar({})", -8: "nchar({})", -9: "nvarchar({})", -10: "nvarchar({})", -7: "bit",
    5: "smallint", 4: "int", -5: "bigint", -11: "uniqueidentifier", -2: "binary({})", -3: "varbinary({})",
    -4: "varbinary({})", 93: "datetime2({})",
}  # fmt: skip
_RANGES: Final = {-7: 1, 5: 2**15 - 1, 4: 2**31 - 1, -5: 2**63 - 1}
_BY_TYPE: Final = {bool: (-7, 0, 0), datetime: (93, 27, 7), uuid.UUID: (-11, 16, 0), type(None): (12, 1, 0)}
_TEXTS: Final = (1, 12, -8, -9, -10)
_BYTES: Final = (-2, -3, -4)


def is_long(given: Any, value: object, maxwrite: int) -> bool:
    """Returns whether pyodbc sends a parameter after its statement (data at execution), with a request more.

    Raises `ProgrammingError` where `maxwrite` permits the length, and setinputsizes declared no type for it.
    """
    if not isinstance(value, str | bytes) or len(value) <= (2000 if isinstance(value, str) else 8000):
        return False
    if maxwrite and given is None:
        raise ProgrammingError("HY104", "[HY104] [Microsoft]Invalid precision value (0) (SQLBindParameter)")
    return not maxwrite


def declare(given: Any, value: object) -> str:
    """Returns the T-SQL type that the driver declares for a parameter: `given` to setinputsizes, else by the value.

    Raises `DataError` for a value that does not fit into it.
    """
    code, size, digits = _by_value(value)
    if isinstance(given, int):
        size = given
    elif given is not None:  # pyodbc ignores what is no integer
        said = zip([*given, None, None], (code, size, digits), strict=False)
        code, size, digits = (new if isinstance(new, int) else old for new, old in said)
    if value is not None and value is not BINARY_NULL and not _fits(value, code, size):
        state = "22003" if code in _RANGES else "22001"
        raise DataError(state, f"[{state}] [Microsoft]The value does not fit into {_NAMES[code]} (0) (SQLExecDirectW)")
    return _NAMES[code].format(digits if code == 93 else size or "max")


def _by_value(value: object) -> tuple[int, int, int]:
    """Returns the code, the size and the digits that pyodbc derives from a value."""
    if isinstance(value, str):
        return -9, max(1, 2 * _units(value)), 0  # pyodbc counts bytes
    if isinstance(value, bytes):
        return -3, max(1, len(value)), 0
    if isinstance(value, int) and not isinstance(value, bool):
        return (4 if value <= _RANGES[4] else -5), 0, 0
    if value is BINARY_NULL:
        return -2, 1, 0
    try:
        return _BY_TYPE[type(value)]
    except KeyError as error:
        raise ProgrammingError("HY105", f"Invalid parameter type.  param-type={error}") from None


def _units(text: str) -> int:
    """Returns the length in UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2


def _fits(value: Any, code: int, size: int) -> bool:
    if code in _TEXTS:
        return isinstance(value, str) and (size == 0 or _units(value) <= size)
    if code in _BYTES:
        return isinstance(value, bytes) and (size == 0 or len(value) <= size)
    if code in _RANGES:
        return isinstance(value, int) and -_RANGES[code] - 1 <= value <= _RANGES[code]
    return isinstance(value, {-11: uuid.UUID, 93: datetime}[code])
