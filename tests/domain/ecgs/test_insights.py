"""Each insight against a slow reference in pure Python, its exactness, and its independence of how samples are kept."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ecgs import CHUNK, INSIGHTS, SAMPLE_MAX, SAMPLE_MIN, Signal, compute_insights, parse_signal

SAMPLES = st.integers(SAMPLE_MIN, SAMPLE_MAX) | st.integers(-3, 3) | st.sampled_from([SAMPLE_MIN, 0, SAMPLE_MAX])
LISTS = st.lists(SAMPLES, min_size=1, max_size=40)


def _signal(*samples: int) -> Signal:
    return parse_signal([*samples])


def _crossings(samples: list[int]) -> int:
    count, last = 0, 0
    for sample in samples:
        if sample * last < 0:
            count += 1
        last = sample or last
    return count


def _root(square: Fraction) -> int:
    """The integer nearest to the root of a fraction, found by bisection; of two as near, the even one."""
    low, high = 0, 2
    while high * high <= square:
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle * middle <= square else (low, middle)
    half = Fraction(2 * low + 1, 2) ** 2
    return low + (square > half or (square == half and low % 2 == 1))


def _reference(samples: list[int]) -> dict[str, int | float]:
    return {
        "zero_crossings": _crossings(samples),
        "minimum": min(samples),
        "maximum": max(samples),
        "mean": float(Fraction(round(Fraction(sum(samples), len(samples)) * 10**6), 10**6)),
        "rms": float(Fraction(_root(Fraction(10**12 * sum(s * s for s in samples), len(samples))), 10**6)),
    }


# ---- zero crossings


@pytest.mark.parametrize(
    ("samples", "count"),
    [
        ([1, -2, 0, 3, -4, 0, 0, 5, 6, -7], 5),
        ([1, -1, 1, -1, 1, -1, 0, -1, 0, 1], 6),
        ([1, 0, 1], 0),
        ([2, -5], 1),
        ([0, 1, 0, -1, 0], 1),
        ([7], 0),
        ([-7], 0),
        ([0], 0),
        ([0, 0, 0], 0),
        ([2**62, -(2**62)] * 3, 5),
        ([SAMPLE_MAX, SAMPLE_MIN, 0, SAMPLE_MAX], 2),
    ],
)
def test_a_crossing_is_a_change_of_sign_between_samples_that_are_not_zero(samples: list[int], count: int) -> None:
    assert compute_insights(_signal(*samples))["zero_crossings"] == count


@given(st.lists(st.integers(-SAMPLE_MAX, SAMPLE_MAX) | st.integers(-2, 2), min_size=1))
def test_a_signal_crosses_zero_as_often_negated_and_reversed(samples: list[int]) -> None:
    crossings = INSIGHTS["zero_crossings"]
    count = crossings(_signal(*samples))
    assert count == crossings(_signal(*(-sample for sample in samples)))
    assert count == crossings(_signal(*reversed(samples)))


# ---- every insight


@given(LISTS)
def test_insights_are_those_of_the_reference_for_any_integers_of_64_bits(samples: list[int]) -> None:
    assert compute_insights(_signal(*samples)) == _reference(samples)


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_insights_are_exact_beyond_a_chunk_and_in_any_width(bits: int) -> None:
    numbers = random.Random(bits)
    samples = [numbers.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1)) for _ in range(CHUNK + 3)]
    signal = _signal(*samples)
    assert signal.dtype.itemsize == bits // 8
    expected = _reference(samples)
    assert compute_insights(signal) == compute_insights(signal.astype(np.int64)) == expected


@pytest.mark.parametrize("extreme", [SAMPLE_MIN, SAMPLE_MAX, -(2**31), 2**31 - 1, -(2**15), -(2**7)])
def test_sums_of_the_largest_samples_do_not_overflow(extreme: int) -> None:
    insights = compute_insights(_signal(*[extreme] * (2 * CHUNK + 1)))
    assert (insights["mean"], insights["rms"]) == (float(extreme), float(abs(extreme)))


@given(LISTS)
def test_types_are_those_of_json_and_zero_has_no_sign(samples: list[int]) -> None:
    insights = compute_insights(_signal(*samples))
    assert [type(value) for value in insights.values()] == [int, int, int, float, float]
    assert "-0.0" not in map(str, insights.values())


# ---- mean and rms


@pytest.mark.parametrize(
    ("ones", "size", "mean"),
    [
        (1, 3, 0.333333),
        (2, 3, 0.666667),
        (1, 128, 0.007812),  # 0.0078125
        (3, 128, 0.023438),  # 0.0234375
        (1, 2_000_000, 0.0),  # 0.0000005
        (3, 2_000_000, 0.000002),  # 0.0000015
        (1, 1_999_999, 0.000001),
        (1, 4_000_000, 0.0),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_mean_is_rounded_half_to_even_to_6_decimals(ones: int, size: int, mean: float, sign: int) -> None:
    signal = np.zeros(size, np.int8)
    signal[:ones] = sign
    assert str(compute_insights(signal)["mean"]) == str(sign * mean if mean else 0.0)


@pytest.mark.parametrize(
    ("first", "size", "rms"),
    [
        (1, 2, 0.707107),
        (1, 16384, 0.007812),  # 0.0078125
        (3, 16384, 0.023438),  # 0.0234375
        (1, 16383, 0.007813),
        (1, 16385, 0.007812),
        (-5, 25, 1.0),
        (0, 3, 0.0),
    ],
)
def test_an_rms_is_rounded_half_to_even_to_6_decimals(first: int, size: int, rms: float) -> None:
    assert compute_insights(_signal(first, *[0] * (size - 1)))["rms"] == rms


# ---- the list


def test_insights_are_returned_in_the_order_of_the_list() -> None:
    assert [*compute_insights(_signal(1))] == [*INSIGHTS] == ["zero_crossings", "minimum", "maximum", "mean", "rms"]


def test_an_insight_that_is_known_is_not_computed() -> None:
    assert compute_insights(_signal(1, 3), {"mean": 5.5, "unknown": 1})["mean"] == 5.5
    assert [*compute_insights(_signal(1, 3), {"unknown": 1})] == [*INSIGHTS]
