"""Decimal arithmetic: 28 significant digits, half to even, from the digits that were sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from math import isqrt

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from domain.calculator import (
    ADDITION,
    DIVISION,
    MULTIPLICATION,
    RESULT_LENGTH_MAX,
    SQUARE_ROOT,
    SUBTRACTION,
    DivisionByZeroError,
    NegativeRootError,
    Operation,
    ResultTooLargeError,
    calculate,
    parse_number,
)

EXACT: dict[Operation, Callable[[Fraction, Fraction], Fraction]] = {
    ADDITION: lambda a, b: a + b,
    SUBTRACTION: lambda a, b: a - b,
    MULTIPLICATION: lambda a, b: a * b,
    DIVISION: lambda a, b: a / b,
}


def evaluate(operation: Operation, *texts: str) -> str:
    return calculate(operation, *map(parse_number, texts))


@pytest.mark.parametrize(
    ("operation", "texts", "result"),
    [
        (ADDITION, ["0.1", "0.2"], "0.3"),
        (ADDITION, ["1.10", "2.90"], "4"),
        (ADDITION, ["1e100", "0"], "1" + "0" * 100),
        (ADDITION, ["1e100", "4e72"], "1" + "0" * 100),
        (ADDITION, ["50", "50"], "100"),
        (SUBTRACTION, ["0.3", "0.1"], "0.2"),
        (SUBTRACTION, ["1", "1"], "0"),
        (SUBTRACTION, ["-0", "0"], "0"),
        (SUBTRACTION, ["1e-100", "2e-100"], "-0." + "0" * 99 + "1"),
        # operands of more than 28 digits are not rounded before
        (SUBTRACTION, ["1" + "0" * 50 + ".5", "1" + "0" * 51], "-" + "9" + "0" * 50),
        (SUBTRACTION, ["1" + "0" * 50 + ".5", "1" + "0" * 50], "0.5"),
        (MULTIPLICATION, ["-5", "0"], "0"),
        (MULTIPLICATION, ["-0.0", "0e-999"], "0"),
        (MULTIPLICATION, ["1e50", "1e50"], "1" + "0" * 100),
        (MULTIPLICATION, ["-1e-100", "1e-100"], "-0." + "0" * 199 + "1"),
        (MULTIPLICATION, ["2.50", "4"], "10"),
        (DIVISION, ["1", "3"], "0." + "3" * 28),
        (DIVISION, ["2", "3"], "0." + "6" * 27 + "7"),
        (DIVISION, ["10000000000000000000000000014.9", "8"], "1250000000000000000000000002"),
        (DIVISION, ["-0", "7"], "0"),
        (DIVISION, ["1e100", "1"], "1" + "0" * 100),
        (SQUARE_ROOT, ["2"], "1.414213562373095048801688724"),
        (SQUARE_ROOT, ["-0"], "0"),
        (SQUARE_ROOT, ["1e100"], "1" + "0" * 50),
        (SQUARE_ROOT, ["0.0400"], "0.2"),
        # half to even
        (ADDITION, ["10000000000000000000000000005", "0"], "10000000000000000000000000000"),
        (ADDITION, ["10000000000000000000000000015", "0"], "10000000000000000000000000020"),
        (ADDITION, ["10000000000000000000000000025", "0"], "10000000000000000000000000020"),
        (ADDITION, ["10000000000000000000000000005", "1e-100"], "10000000000000000000000000010"),
    ],
)
def test_a_result_has_digits_alone(operation: Operation, texts: list[str], result: str) -> None:
    assert evaluate(operation, *texts) == result


@pytest.mark.parametrize(
    ("operation", "texts", "error"),
    [
        (DIVISION, ["1", "0"], DivisionByZeroError),
        (DIVISION, ["0", "-0.0"], DivisionByZeroError),
        (DIVISION, ["1e100", "0e999"], DivisionByZeroError),
        (SQUARE_ROOT, ["-1e-100"], NegativeRootError),
        (SQUARE_ROOT, ["-4"], NegativeRootError),
        (ADDITION, ["1e100", "1e73"], ResultTooLargeError),
        (SUBTRACTION, ["-1e100", "1e100"], ResultTooLargeError),
        (MULTIPLICATION, ["1e51", "1e50"], ResultTooLargeError),
        (MULTIPLICATION, ["1e100", "-1e100"], ResultTooLargeError),
        (DIVISION, ["1e100", "1e-100"], ResultTooLargeError),
    ],
)
def test_a_result_that_does_not_exist_or_is_too_large_is_an_error(
    operation: Operation, texts: list[str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        evaluate(operation, *texts)


def test_the_limit_of_a_result_is_compared_after_rounding() -> None:
    assert evaluate(ADDITION, "1e100", "4.9e72") == "1" + "0" * 100
    with pytest.raises(ResultTooLargeError):
        evaluate(ADDITION, "1e100", "5.1e72")


def test_the_longest_result_has_230_characters() -> None:
    result = evaluate(MULTIPLICATION, "-1.000000000000000000000000001e-100", "1e-100")
    assert result == "-0." + "0" * 199 + "1" + "0" * 26 + "1"
    assert len(result) == RESULT_LENGTH_MAX == 230


# ---- a reference in integers


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """Texts of numbers in range, of up to 100 digits."""
    length = draw(st.sampled_from([1, 2, 3, 14, 15, 28, 29, 30, 57, 100]) | st.integers(1, 100))
    digits = draw(st.integers(10 ** (length - 1), 10**length - 1) | st.just(0))
    magnitude = draw(st.integers(-100, 99) | st.integers(-3, 3))
    sign = draw(st.sampled_from(["", "", "-"]))
    return f"{sign}{digits}e{magnitude - length + 1}"


def unit(exact: Fraction) -> Fraction:
    """The value of the 28th significant digit."""
    magnitude = len(str(abs(exact.numerator))) - len(str(exact.denominator))
    if abs(exact) < Fraction(10) ** magnitude:
        magnitude -= 1
    return Fraction(10) ** (magnitude - 27)


def check(result: str, rounded: Fraction) -> None:
    assert Fraction(result) == rounded
    assert re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", result), result
    assert result != "-0"
    assert len(result) <= RESULT_LENGTH_MAX


@settings(max_examples=200)
@given(st.sampled_from([*EXACT]), numbers(), numbers())
@example(MULTIPLICATION, "-9.999999999999999999999999999e-100", "1e-100")
@example(ADDITION, "1e100", "5e72")
@example(DIVISION, "1e100", "9e-100")
def test_a_result_is_the_exact_one_rounded_once(operation: Operation, first: str, second: str) -> None:
    assume(operation is not DIVISION or Fraction(second))
    exact = EXACT[operation](Fraction(first), Fraction(second))
    rounded = round(exact / unit(exact)) * unit(exact) if exact else exact  # round() of a fraction is half to even
    if abs(rounded) > 10**100:
        with pytest.raises(ResultTooLargeError):
            evaluate(operation, first, second)
    else:
        check(evaluate(operation, first, second), rounded)


@given(numbers())
@example("10000000000000000000000000005")  # 29 digits
@example("1.000000000000000000000000001000000000000000000000000000250000000000000000000000000000000000e54")
def test_a_root_is_the_exact_one_rounded_once(text: str) -> None:
    square = abs(Fraction(text))
    if not square:
        assert evaluate(SQUARE_ROOT, text) == "0"
        return
    magnitude = len(str(isqrt(int(square * 10**400)))) - 1 - 200
    last = Fraction(10) ** (magnitude - 27)
    scaled = square / last**2
    floor = isqrt(int(scaled))
    half = (2 * floor + 1) ** 2
    up = 4 * scaled > half or (4 * scaled == half and floor % 2 == 1)
    check(evaluate(SQUARE_ROOT, text.removeprefix("-")), (floor + up) * last)


def test_threads_calculate_independently() -> None:
    operands = [Decimal(number) for number in range(1, 500)]

    def invert(_: int) -> list[str]:
        return [calculate(DIVISION, Decimal(1), operand) for operand in operands]

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(invert, range(16)))
    assert results == [results[0]] * 16
