"""Requests of a TDS client, parsed from their bytes. The responses are in tds_tokens.py, sockets in tds.py.

The numbers of sections are those of Microsoft's specification [MS-TDS].
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

BATCH, CALL, RESPONSE, ATTENTION, TRANSACTION, LOGIN, PRELOGIN = 1, 3, 4, 6, 14, 16, 18
"""Kinds of packets (2.2.3.1.1)."""
NULL_LENGTH: Final = 0xFFFFFFFFFFFFFFFF
_PROCEDURES: Final = {10: "sp_executesql", 11: "sp_prepare", 12: "sp_execute", 13: "sp_prepexec", 15: "sp_unprepare"}
"""Procedures that a client calls by number (2.2.6.6)."""
_OWN_PARAMETERS: Final = {"sp_prepexec": 3, "sp_prepare": 4, "sp_executesql": 2, "sp_execute": 1}
"""How many parameters of a procedure come before those of its statement."""


@dataclass
class Request:
    """One request: a message of one or more packets, and one round trip, except for an attention."""

    name: str
    """login, batch, attention, begin, commit, rollback, or the name of a procedure"""
    statement: str = ""
    declared: str = ""
    """The parameters' declarations, as the client sends them."""
    types: list[str] = field(default_factory=list)
    """The parameters' types, as the client sends them with their values."""
    values: list[Any] = field(default_factory=list)
    begins: bool = False
    """Whether a commit or rollback begins the next transaction."""

    @property
    def is_call(self) -> bool:
        return "sp_" in self.name


Handles = dict[int, tuple[str, str]]
"""Prepared statements and their declarations."""


class _Reader:
    """Reads a request from its beginning."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        taken = self.data[self.position : self.position + count]
        self.position += count
        return taken

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def text(self, units: int) -> str:
        return self.take(2 * units).decode("utf-16-le")

    @property
    def rest(self) -> bytes:
        return self.data[self.position :]


def parse_request(kind: int, body: bytes, handles: Handles) -> Request:
    """Returns the request of a message; `handles` are the prepared statements of its session."""
    if kind in (LOGIN, ATTENTION):
        return Request("login" if kind == LOGIN else "attention")
    reader = _Reader(body)
    reader.take(reader.number(4) - 4)  # ALL_HEADERS (2.2.5.3)
    if kind == BATCH:
        return _parse_batch(reader.rest.decode("utf-16-le"))
    if kind == TRANSACTION:
        return _parse_transaction(reader)
    assert kind == CALL, kind
    return _parse_call(reader, handles)


def _parse_batch(statement: str) -> Request:
    ends = {"COMMIT": "commit", "ROLLBACK": "rollback"}
    return Request(ends.get(statement.upper().rsplit(maxsplit=1)[-1], "batch"), statement)


def _parse_transaction(reader: _Reader) -> Request:
    name = {5: "begin", 7: "commit", 8: "rollback"}[reader.number(2)]  # 2.2.6.9
    if name == "begin":
        return Request(name)
    reader.text(reader.number(1))
    return Request(name, begins=bool(reader.number(1) & 1))


def _parse_call(reader: _Reader, handles: Handles) -> Request:
    size = reader.number(2)
    name = _PROCEDURES[reader.number(2)] if size == 0xFFFF else reader.text(size)
    reader.number(2)
    parameters = []
    while reader.rest:
        parameters.append(_read_parameter(reader))
    own = [value for _, value in parameters[: _OWN_PARAMETERS.get(name, 0)]]
    request = Request(name)
    if name in ("sp_prepexec", "sp_prepare"):
        request.declared, request.statement = own[1] or "", own[2]
    elif name == "sp_executesql":
        request.statement, request.declared = own[0], own[1]
    elif name == "sp_execute":
        request.statement, request.declared = handles[own[0]]
    request.types = [type_ for type_, _ in parameters[len(own) :]]
    request.values = [value for _, value in parameters[len(own) :]]
    return request


# ---- parameters of a procedure (2.2.5.4, 2.2.5.5)

_FIXED: Final = {0x30: ("tinyint", 1), 0x32: ("bit", 1), 0x34: ("smallint", 2), 0x38: ("int", 4), 0x7F: ("bigint", 8)}
_SHORT: Final = {0x24: "uniqueidentifier", 0x26: "int", 0x68: "bit", 0x6D: "float"}
_INTEGERS: Final = {1: "tinyint", 2: "smallint", 4: "int", 8: "bigint"}
_SIZED: Final = {0xA5: "varbinary", 0xAD: "binary", 0xA7: "varchar", 0xAF: "char", 0xE7: "nvarchar", 0xEF: "nchar"}
_SCALED: Final = {0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}


def _read_parameter(reader: _Reader) -> tuple[str, Any]:
    """Returns the type and the value of the next parameter."""
    reader.text(reader.number(1))
    reader.take(1)
    kind = reader.number(1)
    if kind in _FIXED:
        name, size = _FIXED[kind]
        return name, reader.number(size, signed=True)
    if kind in _SHORT:
        width = reader.number(1)
        name = _INTEGERS[width] if kind == 0x26 else _SHORT[kind]
        return name, _short_value(name, reader.take(reader.number(1)))
    if kind in _SIZED:
        return _read_sized(reader, _SIZED[kind])
    return _read_decimal(reader) if kind in (0x6A, 0x6C) else _read_scaled(reader, kind)


def _short_value(name: str, data: bytes) -> Any:
    if not data:
        return None
    if name == "uniqueidentifier":
        return uuid.UUID(bytes_le=data)
    if name == "float":
        return struct.unpack("<d", data)[0]
    return int.from_bytes(data, "little", signed=True)


def _read_sized(reader: _Reader, name: str) -> tuple[str, Any]:
    width, unicode = reader.number(2), name.startswith("n")
    if "char" in name:
        reader.take(5)  # collation
    if width == 0xFFFF:
        type_, data = f"{name}(max)", _read_chunks(reader)
    else:
        length = reader.number(2)
        type_, data = f"{name}({width // 2 if unicode else width})", None if length == 0xFFFF else reader.take(length)
    if data is None or "char" not in name:
        return type_, data
    return type_, data.decode("utf-16-le" if unicode else "cp1252")


def _read_chunks(reader: _Reader) -> bytes | None:
    if reader.number(8) == NULL_LENGTH:
        return None
    chunks = []
    while size := reader.number(4):
        chunks.append(reader.take(size))
    return b"".join(chunks)


def _read_decimal(reader: _Reader) -> tuple[str, Any]:
    _, precision, scale = reader.take(3)
    data = reader.take(reader.number(1))
    amount = Decimal(int.from_bytes(data[1:], "little")).scaleb(-scale) if data else None
    return f"decimal({precision},{scale})", amount if amount is None or data[0] else -amount


def _read_scaled(reader: _Reader, kind: int) -> tuple[str, Any]:
    scale = reader.number(1)
    data = reader.take(reader.number(1))
    type_ = f"{_SCALED[kind]}({scale})"
    if kind != 0x2A or not data:
        return type_, data or None
    midnight = datetime.combine(date.min, datetime.min.time()) + timedelta(int.from_bytes(data[-3:], "little"))
    return type_, midnight + timedelta(microseconds=int.from_bytes(data[:-3], "little") * 10**6 // 10**scale)
