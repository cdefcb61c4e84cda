"""The table of ECGs, its statements, and the stored form of signals.

One row is one ECG. What lists show, and what was computed, is JSON before the signals, which are the last column: they
may have megabytes, and SQLite reads a row only as far as it has to.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypedDict

import numpy as np
import orjson
from sqlalchemy import Column, Connection, ForeignKey, Index, Table, Unicode, and_, bindparam, delete, insert, select
from sqlmodel import SQLModel

from domain.ecgs import INSIGHTS, SAMPLE_MAX, Lead, Signal, compute_insights
from persistence.database.clauses import limit_rows
from persistence.database.errors import LostRaceError, raise_on_duplicate_key
from persistence.database.types import Blob, RowId, UtcText, UuidText

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Core's form and not a class: a class costs 3 ms of every cold start, a table 0.2.

ECGS: Final = Table(
    "ecgs",
    SQLModel.metadata,
    Column("id", RowId, primary_key=True),  # the order of uploads
    Column("ecg_id", UuidText, nullable=False),
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("recorded_at", UtcText, nullable=False),
    Column("leads", Unicode, nullable=False),
    Column("insights", Unicode, nullable=False),
    Column("signals", Blob, nullable=False),
    sqlite_autoincrement=True,
)
Index("ux_ecgs_ecg_id", ECGS.c.ecg_id, unique=True)
Index("ix_ecgs_account_id", ECGS.c.account_id, ECGS.c.id)


class LeadSummary(TypedDict):
    """A lead as lists return it."""

    name: str
    number_of_samples: int


class EcgSummary(NamedTuple):
    """An ECG as lists return it. `id` is its place in the order of uploads."""

    id: int
    ecg_id: str
    recorded_at: str
    leads: list[LeadSummary]


class Ecg(NamedTuple):
    """An ECG with its signals."""

    ecg_id: str
    recorded_at: str
    leads: list[Lead]


class UnreadableSignalsError(RuntimeError):
    """Stored signals are damaged, or were written by a later version."""


# ---- statements

_ACCOUNT: Final = ECGS.c.account_id == bindparam("of_account", type_=RowId)
_OWN: Final = and_(_ACCOUNT, ECGS.c.ecg_id == bindparam("of_ecg", type_=UuidText))
_INSERT = insert(ECGS).inline()
_LIST = limit_rows(
    select(ECGS.c.id, ECGS.c.ecg_id, ECGS.c.recorded_at, ECGS.c.leads)
    .where(_ACCOUNT, ECGS.c.id < bindparam("before_id", type_=RowId))
    .order_by(ECGS.c.id.desc())
)
_FIND = select(ECGS.c.recorded_at, ECGS.c.leads, ECGS.c.signals).where(_OWN)
_FIND_INSIGHTS = select(ECGS.c.leads, ECGS.c.insights).where(_OWN)
_DELETE = delete(ECGS).where(_OWN)


class EncodedEcg(NamedTuple):
    """The columns of an ECG that are made of its leads."""

    leads: str
    insights: str
    signals: bytes


def encode_ecg(leads: Sequence[Lead]) -> EncodedEcg:
    """Returns leads, with their insights, as they are stored. Before the transaction: it takes its time."""
    summaries = [LeadSummary(name=lead.name, number_of_samples=lead.signal.size) for lead in leads]
    insights = [compute_insights(lead.signal) for lead in leads]
    signals = pack_signals([lead.signal for lead in leads])
    return EncodedEcg(orjson.dumps(summaries).decode(), orjson.dumps(insights).decode(), signals)


def insert_ecg(connection: Connection, account_id: int, ecg_id: str, recorded_at: str, encoded: EncodedEcg) -> None:
    """Stores an ECG. Raises `LostRaceError` if the account is deleted meanwhile."""
    row = {"ecg_id": ecg_id, "account_id": account_id, "recorded_at": recorded_at, **encoded._asdict()}
    with raise_on_duplicate_key(LostRaceError(), foreign_key=True):
        connection.execute(_INSERT, row)


def list_ecgs(connection: Connection, account_id: int, before: int | None, limit: int) -> list[EcgSummary]:
    """Returns an account's ECGs, the last uploaded first: at most `limit` of those uploaded before the id `before`."""
    given = {"of_account": account_id, "before_id": SAMPLE_MAX if before is None else before, "row_limit": limit}
    return [
        EcgSummary(id_, ecg_id, recorded_at, orjson.loads(leads))
        for id_, ecg_id, recorded_at, leads in connection.execute(_LIST, given)
    ]


def find_ecg(connection: Connection, account_id: int, ecg_id: str) -> Ecg | None:
    """Returns an ECG of an account, or None. Raises `UnreadableSignalsError`."""
    row = connection.execute(_FIND, {"of_account": account_id, "of_ecg": ecg_id}).one_or_none()
    if row is None:
        return None
    recorded_at, leads, signals = row
    return Ecg(ecg_id, recorded_at, _read_leads(orjson.loads(leads), signals))


def find_insights(connection: Connection, account_id: int, ecg_id: str) -> list[dict[str, Any]] | None:
    """Returns name and insights of each lead of an account's ECG, or None.

    Insights that did not exist when it was uploaded are computed of its signals, by a second statement. Raises
    `UnreadableSignalsError`.
    """
    row = connection.execute(_FIND_INSIGHTS, {"of_account": account_id, "of_ecg": ecg_id}).one_or_none()
    if row is None:
        return None
    names, stored = [lead["name"] for lead in orjson.loads(row.leads)], orjson.loads(row.insights)
    if all(INSIGHTS.keys() <= known.keys() for known in stored):
        return [
            {"name": name, **{each: known[each] for each in INSIGHTS}}
            for name, known in zip(names, stored, strict=True)
        ]
    ecg = find_ecg(connection, account_id, ecg_id)
    if ecg is None:  # deleted meanwhile
        return None
    return [
        {"name": lead.name, **compute_insights(lead.signal, known)}
        for lead, known in zip(ecg.leads, stored, strict=True)
    ]


def delete_ecg(connection: Connection, account_id: int, ecg_id: str) -> bool:
    """Deletes an ECG of an account. Returns whether there was one."""
    return connection.execute(_DELETE, {"of_account": account_id, "of_ecg": ecg_id}).rowcount == 1


# ---- stored signals

_FORMAT: Final = 1
_HEADER: Final = struct.Struct("<BB")  # the format, and the number of leads
_LEAD: Final = struct.Struct("<BI")  # bytes per sample, and the length of the frame
_OPTIONS: Final[Mapping[int, int]] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: 1,
}


def pack_signals(signals: Sequence[Signal]) -> bytes:
    """Returns the stored form of signals: format, sizes, and the samples of each lead as a Zstandard frame.

    Samples are little endian and as wide as in memory. docs/ecgs.md has the reasons and the measurements.
    """
    frames = [zstd.compress(np.ascontiguousarray(signal).data, options=_OPTIONS) for signal in signals]
    sizes = [_LEAD.pack(signal.itemsize, len(frame)) for signal, frame in zip(signals, frames, strict=True)]
    return b"".join([_HEADER.pack(_FORMAT, len(signals)), *sizes, *frames])


def unpack_signals(stored: bytes) -> list[Signal]:
    """Returns the signals of a stored form. Raises `UnreadableSignalsError`."""
    if stored[:1] != bytes([_FORMAT]):
        raise UnreadableSignalsError(f"the stored signals have the unknown format {stored[:1].hex() or 'of no bytes'}")
    try:
        return [np.frombuffer(zstd.decompress(frame), f"<i{width}") for width, frame in _frames(stored)]
    except (struct.error, zstd.ZstdError, ValueError, TypeError) as error:
        raise UnreadableSignalsError("the stored signals are damaged") from error


def _frames(stored: bytes) -> Iterator[tuple[int, memoryview]]:
    """Yields the bytes per sample and the frame of each lead. Raises `ValueError` or `struct.error` if damaged."""
    _, count = _HEADER.unpack_from(stored)
    begin = _HEADER.size + count * _LEAD.size
    for width, length in _LEAD.iter_unpack(stored[_HEADER.size : begin]):
        yield width, memoryview(stored)[begin : begin + length]
        begin += length
    if not count or begin != len(stored):
        raise ValueError("there are no frames, or their sizes are others")


def _read_leads(summaries: list[LeadSummary], stored: bytes) -> list[Lead]:
    """Returns the leads with their signals, whose number and lengths must be as stored beside them."""
    signals = unpack_signals(stored)
    if [signal.size for signal in signals] != [summary["number_of_samples"] for summary in summaries]:
        raise UnreadableSignalsError("the stored signals are not those of the stored leads")
    return [Lead(summary["name"], signal) for summary, signal in zip(summaries, signals, strict=True)]
