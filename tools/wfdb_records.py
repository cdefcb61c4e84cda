"""WFDB records as bodies of `POST /ecgs`: digital samples as they were recorded. No network is used here.

Formats: WFDB Applications Guide, https://physionet.org/physiotools/wag/signal-5.htm and header-5.htm there.
The import takes more than a second, because wfdb imports pandas.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from datetime import UTC, tzinfo
from typing import Any, Final

import numpy as np
import orjson
import wfdb
from numpy.typing import NDArray

BODY_BYTES: Final = 32 * 1024 * 1024
"""The largest body that the service reads."""

NAME_CHARACTERS: Final = 32

_SAMPLE_BYTES: Final = 2
"""A sample has at least a digit and a comma in JSON."""

INVALID_SAMPLES: Final = {
    **dict.fromkeys(("80", "508"), -(2**7)),
    **dict.fromkeys(("310", "311"), -(2**9)),
    "212": -(2**11),
    **dict.fromkeys(("16", "61", "160", "516"), -(2**15)),
    **dict.fromkeys(("24", "524"), -(2**23)),
    "32": -(2**31),
}
"""The mark of an invalid sample by format: the smallest value of its width. Format 8, of differences, has none."""


class RecordError(Exception):
    """The record cannot be uploaded; the text says why."""


def read_body(path: str, *, centre: bool, zone: tzinfo) -> bytes:
    """Returns the JSON body of the record at a path with or without `.hea`.

    `centre` subtracts the baseline of the header from each sample that is no mark of an invalid one. `zone` is the time
    zone of the date in the header; without a date the body has none. Raises `RecordError`.
    """
    record = _read(os.path.abspath(path.removesuffix(".hea")))  # noqa: PTH100 - an absolute path is never a URL to wfdb
    signals = [np.ascontiguousarray(signal, np.int64) for signal in record.e_d_signal]
    names = lead_names(record.sig_name)
    _check_sums(record, signals, names)
    if centre:
        signals = [
            _centred(name, signal, baseline, INVALID_SAMPLES.get(fmt))
            for name, signal, baseline, fmt in zip(names, signals, record.baseline, record.fmt, strict=True)
        ]
    leads = [
        {"name": name, "number_of_samples": len(signal), "signal": signal}
        for name, signal in zip(names, signals, strict=True)
    ]
    body = orjson.dumps({**_date(record, zone), "leads": leads}, option=orjson.OPT_SERIALIZE_NUMPY)
    _check_size(len(body))
    return body


def _read(name: str) -> Any:
    """Returns the record with its digital samples, one array per signal. Raises `RecordError`."""
    try:
        header = wfdb.rdheader(name)
        _check_header(header)
        return wfdb.rdrecord(name, physical=False, smooth_frames=False)
    except RecordError:
        raise
    except OSError as error:
        raise RecordError(f"{error.strerror or error}: {error.filename}") from None
    except Exception as error:  # noqa: BLE001 - wfdb fails in any way on files that are no record
        raise RecordError(f"not a readable record ({type(error).__name__}: {error})") from None


def _check_header(header: Any) -> None:
    """Raises `RecordError` for records that are no list of leads with samples at common times."""
    if isinstance(header, wfdb.MultiRecord):
        raise RecordError("it has several segments; upload each segment as a record")
    if not header.n_sig:
        raise RecordError("it has no signals")
    if len(set(header.samps_per_frame)) > 1:
        raise RecordError(f"its signals have several frequencies (samples per frame: {header.samps_per_frame})")
    _check_size((header.sig_len or 0) * sum(header.samps_per_frame) * _SAMPLE_BYTES)


def _check_size(size: int) -> None:
    if size > BODY_BYTES:
        raise RecordError(f"its JSON has {size / 2**20:.1f} MiB or more; the service reads at most 32 MiB")


def lead_names(names: list[str | None]) -> list[str]:
    """Returns the names of the leads: a repeated one gets ` 2`, ` 3`, …, a missing one is `signal` with its number.

    Raises `RecordError` for a name that the service would reject.
    """
    given = [name or f"signal {number}" for number, name in enumerate(names, 1)]
    unique = [*_unique(given)]
    for name in unique:
        if len(name) > NAME_CHARACTERS:
            raise RecordError(f"the lead name {name!r} has more than {NAME_CHARACTERS} characters")
        if any(unicodedata.category(character) == "Cc" for character in name):
            raise RecordError(f"the lead name {name!r} has control characters")
    return unique


def _unique(names: list[str]) -> Iterator[str]:
    used: set[str] = set()
    for name in names:
        candidate, number = name, 1
        while candidate in used:
            number += 1
            candidate = f"{name} {number}"
        used.add(candidate)
        yield candidate


def _check_sums(record: Any, signals: list[NDArray[np.int64]], names: list[str]) -> None:
    """Raises `RecordError` for a damaged file: the header has a 16-bit sum of the samples, which wfdb does not compare.

    A sum of 0 counts as absent, because the field cannot be omitted before a name. A skewed signal was shifted.
    """
    for name, signal, checksum, skew in zip(names, signals, record.checksum, record.skew, strict=True):
        if not len(signal):
            raise RecordError("it has no samples")
        if checksum and not skew and (int(signal.sum()) - checksum) % 2**16:
            raise RecordError(f"the samples of {name!r} do not match the checksum in the header")


def _centred(name: str, signal: NDArray[np.int64], baseline: int, mark: int | None) -> NDArray[np.int64]:
    centred = signal - baseline
    if mark is None:
        return centred
    is_mark = signal == mark
    if ((centred == mark) & ~is_mark).any():
        raise RecordError(f"a centred sample of {name!r} would be {mark}, the mark of an invalid sample")
    return np.where(is_mark, signal, centred)


def _date(record: Any, zone: tzinfo) -> dict[str, str]:
    if record.base_datetime is None:
        return {}
    try:
        return {"date": record.base_datetime.replace(tzinfo=zone).astimezone(UTC).isoformat()}
    except OverflowError:
        raise RecordError(f"the date {record.base_datetime} is out of range in UTC") from None
