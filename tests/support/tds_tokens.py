"""Responses of a TDS server as bytes: tokens and rows ([MS-TDS] 2.2.7), and results of the driver's own requests."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from tests.support.tds_requests import NULL_LENGTH, Request

DONE, DONE_PROCEDURE, DONE_IN_PROCEDURE = 0xFD, 0xFE, 0xFF
MORE, ERROR, COUNT, ATTENTION_CONFIRMED = 0x01, 0x02, 0x10, 0x20
BEGIN, COMMIT, ROLLBACK = 8, 9, 10
"""Changes of the environment that concern transactions (2.2.7.9)."""

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Columns and rows. A column is a name, or a name and a type (`id int`); otherwise its first value has the type."""

_COLLATION: Final = bytes([0x09, 0x04, 0xD0, 0x00, 0x34])
_UNKNOWN_LENGTH: Final = NULL_LENGTH - 1
_TYPES: Final = {
    "bit": b"\x68\x01",
    "smallint": b"\x26\x02",
    "int": b"\x26\x04",
    "bigint": b"\x26\x08",
    "datetime2": b"\x2a\x06",
    "uniqueidentifier": b"\x24\x10",
    "varbinary(max)": b"\xa5\xff\xff",
    "nvarchar": b"\xe7\x40\x1f" + _COLLATION,
    "nvarchar(max)": b"\xe7\xff\xff" + _COLLATION,
}
_TYPE_NAMES: Final = {
    bool: "bit",
    int: "bigint",
    str: "nvarchar",
    datetime: "datetime2",
    uuid.UUID: "uniqueidentifier",
    bytes: "varbinary(max)",
    type(None): "nvarchar",
}
_INTEGER_WIDTHS: Final = {"bit": 1, "smallint": 2, "int": 4, "bigint": 8}


def _counted(text: str, size: int = 1) -> bytes:
    return len(text).to_bytes(size, "little") + text.encode("utf-16-le")


def _token(number: int, body: bytes) -> bytes:
    return bytes([number]) + struct.pack("<H", len(body)) + body


def done(token: int = DONE, status: int = 0, count: int = 0) -> bytes:
    """The end of a response or of one of its results."""
    return struct.pack("<BHHQ", token, status, 0, count)


def error(number: int, text: str) -> bytes:
    """An error with a number of `sys.messages`, as a whole response."""
    body = struct.pack("<iBB", number, 1, 16) + _counted(text, 2) + _counted("stand-in") + _counted("") + bytes(4)
    return _token(0xAA, body) + done(status=ERROR)


def login_accepted() -> bytes:
    """The response to a login: database, collation, packet size, and TDS 7.4 of a SQL Server 2022."""
    changes = [
        b"\x01" + _counted("rollbook_db") + _counted("master"),
        b"\x07\x05" + _COLLATION + b"\x00",
        b"\x04" + _counted("4096") + _counted("4096"),
    ]
    accepted = b"\x01\x74\x00\x00\x04" + _counted("Microsoft SQL Server") + bytes([16, 0, 0x10, 0])
    return b"".join(_token(0xE3, change) for change in changes) + _token(0xAD, accepted) + b"\xae\xff" + done()


def transaction_change(change: int, transaction: int) -> bytes:
    """The begin or the end of a transaction."""
    number = b"\x08" + struct.pack("<Q", transaction)
    return _token(0xE3, bytes([change]) + (number + b"\x00" if change == BEGIN else b"\x00" + number))


def procedure_end(handle: int | None = None) -> bytes:
    """The end of a procedure, with the handle that it returns."""
    returned = b""
    if handle is not None:
        returned = struct.pack("<BHBBIHBBBi", 0xAC, 0, 0, 1, 0, 0, 0x26, 4, 4, handle)
    return b"\x79" + bytes(4) + returned + done(DONE_PROCEDURE)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[bytes, list[bytes]]:
    """The description of a result, and its rows."""
    described, types = struct.pack("<BH", 0x81, len(columns)), []
    for position, column in enumerate(columns):
        name, _, type_ = column.partition(" ")
        type_ = type_ or _fitting_type([row[position] for row in rows if row[position] is not None])
        described += struct.pack("<IH", 0, 9) + _TYPES[type_] + _counted(name)
        types.append(type_)
    return described, [b"\xd1" + b"".join(map(_value, row, types)) for row in rows]


def _fitting_type(values: list[Any]) -> str:
    name = _TYPE_NAMES[type(values[0] if values else None)]
    return "nvarchar(max)" if name == "nvarchar" and max(map(len, values), default=0) > 4000 else name


def _value(value: Any, type_: str) -> bytes:
    if type_.endswith("(max)"):
        return _chunks(value.encode("utf-16-le") if isinstance(value, str) else value)
    if type_ == "nvarchar":
        return b"\xff\xff" if value is None else struct.pack("<H", 2 * len(value)) + value.encode("utf-16-le")
    data = b"" if value is None else _short_value(value, type_)
    return bytes([len(data)]) + data


def _short_value(value: Any, type_: str) -> bytes:
    if isinstance(value, uuid.UUID):
        return value.bytes_le
    if isinstance(value, datetime):
        ticks = (value - datetime.combine(value.date(), datetime.min.time())) // timedelta(microseconds=1)
        return ticks.to_bytes(5, "little") + (value.date() - date.min).days.to_bytes(3, "little")
    return int(value).to_bytes(_INTEGER_WIDTHS[type_], "little", signed=type_ != "bit")


def _chunks(data: bytes | None) -> bytes:
    if data is None:
        return struct.pack("<Q", NULL_LENGTH)
    chunk = struct.pack("<I", len(data)) + data if data else b""
    return struct.pack("<Q", _UNKNOWN_LENGTH) + chunk + bytes(4)


# ---- what the driver, pyodbc and SQLAlchemy ask for themselves

_DESCRIBED: Final = """parameter_ordinal:int name suggested_system_type_id:int suggested_system_type_name
    suggested_max_length:smallint suggested_precision:smallint suggested_scale:smallint suggested_user_type_id:int
    suggested_user_type_database suggested_user_type_schema suggested_user_type_name
    suggested_assembly_qualified_type_name suggested_xml_collection_id:int suggested_xml_collection_database
    suggested_xml_collection_schema suggested_xml_collection_name suggested_is_xml_document:bit
    suggested_is_case_sensitive:bit suggested_is_fixed_length_clr_type:bit suggested_is_input:bit
    suggested_is_output:bit formal_parameter_name suggested_tds_type_id:int suggested_tds_length:int"""
"""The columns of sp_describe_undeclared_parameters."""
_TYPE_INFO: Final = """TYPE_NAME DATA_TYPE:smallint PRECISION:int LITERAL_PREFIX LITERAL_SUFFIX CREATE_PARAMS
    NULLABLE:smallint CASE_SENSITIVE:smallint SEARCHABLE:smallint UNSIGNED_ATTRIBUTE:smallint MONEY:smallint
    AUTO_INCREMENT:smallint LOCAL_TYPE_NAME MINIMUM_SCALE:smallint MAXIMUM_SCALE:smallint SQL_DATA_TYPE:smallint
    SQL_DATETIME_SUB:smallint NUM_PREC_RADIX:int INTERVAL_PRECISION:smallint USERTYPE:smallint"""
"""The columns of sp_datatype_info."""
_LONGEST: Final = {12: ("varchar", 8000), -9: ("nvarchar", 4000), -3: ("varbinary", 8000), 93: ("datetime2", 27)}


def system_result(request: Request) -> Table | int | None:
    """The result of a request that does not come from the app, or None."""
    if request.name == "sp_describe_undeclared_parameters":
        count = request.values[0].count("@P")
        head = ["nvarchar(4000)", 8000, 0, 0, *[None] * 9, 0, 0, 0, 1, 0, None, 231, 8000]
        return _columns(_DESCRIBED), [[number, f"@P{number}", 231, *head] for number in range(1, count + 1)]
    if "sp_datatype_info" in request.name:
        kind = request.values[0]
        name, length = _LONGEST[kind]
        row = [name, kind, length, "'", "'", "length", 1, 0, 3, None, 0, None, name, None, None, kind, None, None, None]
        return _columns(_TYPE_INFO), [[*row, 0]]
    for part, value in {
        "ProductVersion": "16.0.1000.6",
        "schema_name()": "dbo",
        "sys.system_views": "dm_exec_sessions",
        "TRANSACTION_ISOLATION_LEVEL": "READ COMMITTED",
        "test max support": "test max support",
    }.items():
        if part in request.statement:
            return ["value"], [[value]]
    if "fn_listextendedproperty" in request.statement:
        return ["value int"], []
    return 0 if request.statement.startswith(("SET ", "IF @@TRANCOUNT", "COMMIT")) else None


def _columns(text: str) -> list[str]:
    return [part.replace(":", " ") for part in text.split()]
