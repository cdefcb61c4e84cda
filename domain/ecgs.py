"""The rules of the ecgs service: leads and their samples, what is computed of a signal, and its reduction for a plot.

numpy does the work. A call may have 16 million samples: nothing here copies a signal in Python's integers, or twice in
64 bits. How signals are stored belongs to persistence.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from domain.errors import InvalidError, NotFoundError, OutOfRangeError, Violation, WrongTypeError

LEADS_MAX: Final = 64
"""Maximum number of leads of an ECG."""

LEAD_NAME_MAX: Final = 32
"""Maximum length of a lead's name, in code points."""

SAMPLE_MIN: Final = -(2**63)
SAMPLE_MAX: Final = 2**63 - 1

WIDTHS: Final = tuple(np.dtype(f"<i{size}") for size in (1, 2, 4, 8))
"""The types of signals, the smallest first."""

CHUNK: Final = 2**16
"""How many samples are converted or summed at once: they fit into a processor's cache, and their sums into 64 bits."""

Signal: TypeAlias = NDArray[np.signedinteger[Any]]
"""The samples of a lead: at least one, in the smallest of `WIDTHS` that holds them all."""

Number: TypeAlias = int | float

# Control characters (category Cc, whose members never change), lone surrogates, and two noncharacters.
_LEAD_NAME: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]{1,32}")
_SAMPLE: Final = f"A sample must be a JSON integer from {SAMPLE_MIN} to {SAMPLE_MAX}."


# ---- errors


class EcgNotFoundError(NotFoundError):
    """The account has no such ECG."""

    code = "ecg-not-found"
    detail = "You have no ECG with this id."


class LeadsCountError(InvalidError):
    """The ECG has no leads or too many."""

    code = "leads-count"
    detail = f"leads must have 1 to {LEADS_MAX} items."


class LeadNameInvalidError(InvalidError):
    """The text cannot be the name of a lead."""

    code = "lead-name-invalid"
    detail = (
        f"name must have 1 to {LEAD_NAME_MAX} characters, none of them a control character, a lone surrogate, "
        "U+FFFE or U+FFFF."
    )


class LeadNameRepeatedError(InvalidError):
    """An earlier lead has the name."""

    code = "lead-name-repeated"
    detail = "An earlier lead has this name."


class SignalEmptyError(InvalidError):
    """The signal has no samples."""

    code = "signal-empty"
    detail = "signal must have at least one sample."


class NumberOfSamplesError(InvalidError):
    """The declared number of samples is not the length of the signal."""

    code = "number-of-samples-mismatch"
    detail = "number_of_samples must be the length of signal."


# ---- leads


class Lead(NamedTuple):
    """A lead of an ECG."""

    name: str
    signal: Signal


def parse_lead_name(value: object) -> str:
    """Returns the name of a lead unchanged. Raises `WrongTypeError`, `LeadNameInvalidError`."""
    if not isinstance(value, str):
        raise WrongTypeError("name must be a JSON string.")
    if not _LEAD_NAME.fullmatch(value):
        raise LeadNameInvalidError
    return value


def check_lead_names(names: Sequence[str]) -> None:
    """Raises `LeadNameRepeatedError`, whose paths lead to each name that an earlier lead has.

    Names are compared code point by code point: aVR and avr are two.
    """
    first = {name: index for index, name in reversed([*enumerate(names)])}
    repeated = [index for index, name in enumerate(names) if first[name] < index]
    if repeated:
        error = LeadNameRepeatedError
        raise error(violations=[Violation((index, "name"), error.code, error.detail) for index in repeated])


def parse_number_of_samples(value: object) -> int:
    """Returns a declared number of samples, any integer. Raises `WrongTypeError`, also for true and 1.0."""
    if type(value) is not int:
        raise WrongTypeError("number_of_samples must be a JSON integer.")
    return value


# ---- samples


def parse_signal(values: object) -> Signal:
    """Returns a list of integers as a signal, and empties the list, which takes many times the signal's memory.

    Raises `WrongTypeError` and `OutOfRangeError`, whose path has the index of the first invalid sample, and
    `SignalEmptyError`.
    """
    if not isinstance(values, list):
        raise WrongTypeError("signal must be a JSON array.")
    if not values:
        raise SignalEmptyError
    # Each chunk in its own smallest width: one large sample does not take 8 bytes for each of 16 million.
    chunks = [_convert(values[begin : begin + CHUNK], begin) for begin in range(0, len(values), CHUNK)]
    values.clear()
    return np.concatenate(chunks)


def _convert(values: list[Any], begin: int) -> Signal:
    """Returns a few samples, the first of which has the index `begin`, in the smallest width."""
    try:
        signal = np.frombuffer(array("q", values), np.int64)
    except (TypeError, OverflowError):
        raise _first_violation(values, begin) from None
    # What array took for 0 or 1 may be a boolean. The types of all samples are looked at only if many are 0 or 1.
    suspects = np.flatnonzero(signal >> 1 == 0)
    looked_at = values if suspects.size > signal.size // 4 else [values[index] for index in suspects.tolist()]
    if {*map(type, looked_at)} - {int}:
        raise _first_violation(values, begin)
    lowest, highest = np.min(signal), np.max(signal)
    return signal.astype(next(w for w in WIDTHS if np.iinfo(w).min <= lowest and highest <= np.iinfo(w).max))


def _first_violation(values: list[Any], begin: int) -> InvalidError:
    """Returns the error for the first invalid one of samples that have one."""
    index = next(i for i, value in enumerate(values) if type(value) is not int or not SAMPLE_MIN <= value <= SAMPLE_MAX)
    error = OutOfRangeError if type(values[index]) is int else WrongTypeError
    return error(_SAMPLE, violations=[Violation((begin + index,), error.code, _SAMPLE)])


# ---- insights


def zero_crossings(signal: Signal) -> int:
    """Returns the number of changes of sign between consecutive samples that are not zero; zeros are passed over."""
    is_negative = (signal < 0)[signal != 0]
    return int(np.count_nonzero(is_negative[1:] != is_negative[:-1]))


def minimum(signal: Signal) -> int:
    """Returns the smallest sample."""
    return int(np.min(signal))


def maximum(signal: Signal) -> int:
    """Returns the largest sample."""
    return int(np.max(signal))


def mean(signal: Signal) -> float:
    """Returns the sum of the samples divided by their number, rounded half to even to 6 decimals."""
    total = sum(int(limb.sum()) << shift for limbs in _limbs(signal) for shift, limb in limbs)
    return round(Fraction(total * 10**6, signal.size)) / 10**6


def rms(signal: Signal) -> float:
    """Returns the square root of the mean of the squared samples, rounded half to even to 6 decimals."""
    total = sum(
        int(left @ right) << (shift + other)
        for limbs in _limbs(signal)
        for shift, left in limbs
        for other, right in limbs
    )
    # The root in units of half a millionth, rounded down. It is a tie only if it is odd and exact.
    squared = Fraction(4 * total * 10**12, signal.size)
    halves = math.isqrt(math.floor(squared))
    rounded = round(Fraction(halves, 2)) if halves**2 == squared else (halves + 1) // 2
    return rounded / 10**6


Insight: TypeAlias = Callable[[Signal], Number]

INSIGHTS: Final[dict[str, Insight]] = {
    insight.__name__: insight for insight in (zero_crossings, minimum, maximum, mean, rms)
}
"""What is computed of each lead, by name and in this order. Of stored ECGs a new one is computed when it is read."""

_NOTHING: Final[Mapping[str, Number]] = MappingProxyType({})


def compute_insights(signal: Signal, known: Mapping[str, Number] = _NOTHING) -> dict[str, Number]:
    """Returns the value of each of `INSIGHTS`, in their order; only those that are not `known` are computed."""
    return {name: known[name] if name in known else insight(signal) for name, insight in INSIGHTS.items()}


def _limbs(signal: Signal) -> Iterator[list[tuple[int, NDArray[np.int64]]]]:
    """Yields each chunk of a signal as summands: pairs of a shift and a limb, with samples = sum of limb * 2**shift.

    A limb has at most 22 bits: the sum of `CHUNK` products of two of them fits into 64 bits.
    """
    for begin in range(0, signal.size, CHUNK):
        rest = signal[begin : begin + CHUNK].astype(np.int64)
        limbs = []
        for shift in range(0, 8 * signal.itemsize - 22, 22):
            limbs.append((shift, rest & (2**22 - 1)))
            rest >>= 22
        yield [*limbs, (22 * len(limbs), rest)]


# ---- plot


def reduce_signal(signal: Signal, columns: int) -> tuple[Signal, Signal]:
    """Returns the minimum and the maximum of each of so many columns of about equal width, in their order.

    There are never more columns than samples.
    """
    columns = min(columns, signal.size)
    begins = np.arange(columns) * signal.size // columns
    return np.minimum.reduceat(signal, begins), np.maximum.reduceat(signal, begins)
