"""Which lists are signals, how they are kept, what their conversion takes, and their reduction to columns."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.ecgs import CHUNK, SAMPLE_MAX, SAMPLE_MIN, SignalEmptyError, parse_signal, reduce_signal
from domain.errors import InvalidError, OutOfRangeError, WrongTypeError

SAMPLES = st.integers(SAMPLE_MIN, SAMPLE_MAX)
JSON: st.SearchStrategy[Any] = st.booleans() | st.floats() | st.text(max_size=2) | st.none() | st.just([]) | st.just({})


@given(st.lists(SAMPLES | st.integers(-300, 300), min_size=1))
def test_a_list_of_64_bit_integers_is_a_signal_and_is_emptied(samples: list[int]) -> None:
    given_list = [*samples]
    signal = parse_signal(given_list)
    assert signal.tolist() == samples
    assert given_list == []


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_a_signal_has_the_smallest_width_that_holds_its_samples(bits: int) -> None:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    assert parse_signal([0, low, high]).itemsize == bits // 8
    assert parse_signal([low]).itemsize == parse_signal([high]).itemsize == bits // 8
    if bits < 64:
        for wider in (low - 1, high + 1):
            signal = parse_signal([wider, *[0] * CHUNK, 5])
            assert (signal.itemsize, signal[0], signal[-1]) == (bits // 4, wider, 5)


@pytest.mark.parametrize("others", [1, 500])
@pytest.mark.parametrize("position", [0, 17, CHUNK - 1, CHUNK, 2 * CHUNK + 5])
@pytest.mark.parametrize(
    ("sample", "error"),
    [
        (True, WrongTypeError),
        (False, WrongTypeError),
        (1.0, WrongTypeError),
        (1e2, WrongTypeError),
        (2.0**64, WrongTypeError),
        ("3", WrongTypeError),
        (None, WrongTypeError),
        ([1], WrongTypeError),
        ({}, WrongTypeError),
        (SAMPLE_MAX + 1, OutOfRangeError),
        (2**64, OutOfRangeError),
        (SAMPLE_MIN - 1, OutOfRangeError),
    ],
)
def test_the_first_invalid_sample_is_named_wherever_it_is(
    sample: object, error: type[InvalidError], position: int, others: int
) -> None:
    samples: list[Any] = [others] * (2 * CHUNK + 8)
    samples[position] = sample
    samples[-1] = None
    with pytest.raises(error) as caught:
        parse_signal(samples)
    (violation,) = caught.value.violations
    assert (violation.path, violation.code) == ((position,), error.code)


@given(st.lists(SAMPLES | st.integers(SAMPLE_MIN - 2, SAMPLE_MAX + 2) | JSON, min_size=1, max_size=8))
def test_a_list_is_a_signal_or_has_a_first_violation(values: list[Any]) -> None:
    bad = [i for i, value in enumerate(values) if type(value) is not int or not SAMPLE_MIN <= value <= SAMPLE_MAX]
    if not bad:
        assert parse_signal([*values]).tolist() == values
        return
    with pytest.raises(InvalidError) as caught:
        parse_signal(values)
    assert [violation.path for violation in caught.value.violations] == [(bad[0],)]


def test_an_empty_list_is_no_signal() -> None:
    with pytest.raises(SignalEmptyError):
        parse_signal([])


@pytest.mark.parametrize("value", [None, (1, 2), "12", {"0": 1}, 1, True, np.array([1, 2])])
def test_only_a_list_is_a_signal(value: object) -> None:
    with pytest.raises(WrongTypeError):
        parse_signal(value)


def test_one_large_sample_does_not_take_8_bytes_for_each_beside_the_list() -> None:
    size = 3_000_000
    tracemalloc.start()
    try:
        samples = [*[1] * size, 2**62]
        tracemalloc.reset_peak()
        begin, _ = tracemalloc.get_traced_memory()
        signal = parse_signal(samples)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (signal.itemsize, signal.size) == (8, size + 1)
    assert peak - begin < 4 * size


# ---- columns


@given(st.lists(SAMPLES, min_size=1, max_size=60), st.integers(1, 70))
@example([5], 1)
def test_a_column_has_the_minimum_and_the_maximum_of_its_samples(samples: list[int], columns: int) -> None:
    minima, maxima = reduce_signal(parse_signal([*samples]), columns)
    count = min(columns, len(samples))
    ends = [column * len(samples) // count for column in range(count + 1)]
    parts = [samples[begin:end] for begin, end in itertools.pairwise(ends)]
    assert (minima.tolist(), maxima.tolist()) == ([min(part) for part in parts], [max(part) for part in parts])
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
