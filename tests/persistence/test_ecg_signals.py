"""The stored form of signals: any signal comes back, its size, and what is not readable is an error."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import update

from domain.ecgs import CHUNK, LEADS_MAX, SAMPLE_MAX, SAMPLE_MIN, Lead, Signal, parse_signal
from persistence import ecgs as store
from persistence.database import connections
from persistence.ecgs import ECGS, UnreadableSignalsError, pack_signals, unpack_signals
from tests.support.credits import NOW, new_account, read, write

EDGES = [edge for bits in (8, 16, 32, 64) for edge in (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)]
LISTS = st.lists(st.integers(SAMPLE_MIN, SAMPLE_MAX) | st.sampled_from([*EDGES, 0, 1, -1]), min_size=1)


def _pack(*signals: list[int]) -> bytes:
    return pack_signals([parse_signal([*signal]) for signal in signals])


@given(st.lists(LISTS, min_size=1, max_size=5))
def test_signals_are_read_as_they_were_written(signals: list[list[int]]) -> None:
    assert [signal.tolist() for signal in unpack_signals(_pack(*signals))] == signals


@pytest.mark.parametrize("edge", [each + step for each in EDGES for step in (-1, 0, 1) if abs(each + step) < 2**63])
def test_a_signal_keeps_its_width(edge: int) -> None:
    signal = parse_signal([0, edge])
    (found,) = unpack_signals(pack_signals([signal]))
    assert (found.dtype, found.tolist()) == (signal.dtype, [0, edge])


def test_64_leads_of_any_length_are_read_as_they_were_written() -> None:
    signals = [[*range(length)] for length in (1, 2, CHUNK, CHUNK + 1, *range(3, LEADS_MAX - 1))]
    assert [signal.tolist() for signal in unpack_signals(_pack(*signals))] == signals


def _recording(samples: int, noise: float) -> Signal:
    """Returns beats like those of an ECG at 500 Hz, on a wandering baseline, with noise, as 16-bit samples."""
    random_numbers = np.random.default_rng(1)
    seconds = np.arange(samples) / 500
    beat = (seconds * 1.2) % 1
    waves = ((0.15, 0.2, 0.03), (-0.1, 0.3, 0.008), (1.2, 0.33, 0.01), (-0.25, 0.36, 0.01), (0.35, 0.6, 0.05))
    shape = sum(height * np.exp(-(((beat - at) / width) ** 2)) for height, at, width in waves)
    wander = 0.1 * np.sin(seconds * 2)
    values = 1000 * (shape + wander) + random_numbers.normal(0, noise, samples)
    return values.clip(-(2**15), 2**15 - 1).astype(np.int16)


@pytest.mark.parametrize("noise", [1.0, 10.0, 100.0, 30_000.0])
def test_a_recording_of_16_bits_takes_at_most_2_5_bytes_a_sample(noise: float) -> None:
    leads = [_recording(5_000, noise)] * 12
    assert len(pack_signals(leads)) <= 2.5 * sum(lead.size for lead in leads)


# ---- what is not readable

STORED = _pack([1, -2, 3] * 50, [5, 2**40])


def test_the_stored_form_begins_with_its_format() -> None:
    assert STORED[0] == 1


@pytest.mark.parametrize("number", [0, 2, 255])
def test_an_unknown_format_is_an_error_that_names_it(number: int) -> None:
    with pytest.raises(UnreadableSignalsError, match=f"unknown format {number:02x}"):
        unpack_signals(bytes([number]) + STORED[1:])


@pytest.mark.parametrize("length", range(len(STORED)))
def test_signals_that_were_cut_are_an_error(length: int) -> None:
    with pytest.raises(UnreadableSignalsError):
        unpack_signals(STORED[:length])


def test_signals_with_more_behind_them_are_an_error() -> None:
    with pytest.raises(UnreadableSignalsError):
        unpack_signals(STORED + b"\0")


@pytest.mark.parametrize("position", range(len(STORED)))
def test_a_changed_byte_never_makes_other_signals_of_the_same_length(position: int) -> None:
    expected = [signal.tolist() for signal in unpack_signals(STORED)]
    for change in (1, 2, 3, 8, 12, 32, 128, 255):
        damaged = bytearray(STORED)
        damaged[position] ^= change
        try:
            found = [signal.tolist() for signal in unpack_signals(bytes(damaged))]
        except UnreadableSignalsError:
            continue
        # A bit that Zstandard does not use; or the number of bytes per sample, which changes the length.
        assert found == expected or [*map(len, found)] != [*map(len, expected)]


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda tail: b"\x01\x01" + tail))
@example(b"\x01\x00")  # no leads
def test_anything_else_is_an_error(stored: bytes) -> None:
    with pytest.raises(UnreadableSignalsError):
        unpack_signals(stored)


@pytest.mark.usefixtures("app_database")
@pytest.mark.parametrize("signals", [[[1, 2]], [[1, 2], [3]], [[1, 2, 3], [1]], [[1], [1], [1]]])
def test_signals_of_other_leads_are_an_error(signals: Any) -> None:
    account_id, ecg_id = new_account()[0], str(uuid.uuid4())
    leads = [Lead("I", parse_signal([1, 2])), Lead("II", parse_signal([3, 4]))]
    write(store.insert_ecg, account_id, ecg_id, NOW, store.encode_ecg(leads))
    with connections.transaction() as connection:
        connection.execute(update(ECGS).where(ECGS.c.ecg_id == ecg_id).values(signals=_pack(*signals)))
    with pytest.raises(UnreadableSignalsError):
        read(store.find_ecg, account_id, ecg_id)
