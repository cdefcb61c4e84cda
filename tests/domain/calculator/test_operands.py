"""Operands: their digits and range, and which of them an operation uses."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.calculator import ABSENT, Number, parse_number, parse_operand, parse_operation_id, random_length
from tests.support.parsing import accepted, any_text, error_of, texts_of

BINARY = [1, 2, 3, 4]
ROOT, RANDOM = 5, 6
NOT_NUMBERS = [True, False, "1", "", [], [Number("1")], {}, {"text": "1"}]
OUT_OF_RANGE = [
    *("1e101", "-1e101", "1.1e100", "1" + "0" * 99 + "e1" + "0", "9.99e-101", "1e-101", "-1e-101"),
    *(
        "1e9999",
        "1e99999",
        "1e" + "9" * 20,
        "1e-" + "9" * 20,
        "1e999999999",
        "1e-999999999",
        "9" * 5000,
        "0." + "0" * 98 + "1e-2",
        "1e" + "9" * 100_000,
        "-1e-" + "9" * 100_000,
    ),
    *("1" * 101, "0." + "1" * 100, "-0." + "0" * 100, "0." + "0" * 99 + "1", "1." + "0" * 100, "0." + "0" * 100 + "e0"),
]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("0.1", "0.1"),
        ("-12.50", "-12.50"),
        ("8.0", "8"),
        ("1e100", "1e100"),
        ("-1E+100", "-1e100"),
        ("1e-100", "1e-100"),
        ("-1e-100", "-1e-100"),
        ("0.01e102", "1e100"),
        ("9" * 100, "9" * 100),
        ("0." + "9" * 99 + "e100", "9" * 99 + "e1"),
        ("0." + "0" * 98 + "1e-1", "1e-100"),
        ("123.456e-0000000000000000000000000000000000000000000000000000000000000000001", "12.3456"),
        ("1e" + "0" * 100_000, "1"),
        # zero is in range whatever its exponent
        ("0e999999999", "0"),
        ("-0.00E-" + "9" * 100_000, "0"),
        ("0." + "0" * 99, "0"),
    ],
    ids=lambda text: text[:20],
)
def test_a_number_in_range_has_the_value_of_its_digits(text: str, value: str) -> None:
    assert parse_number(text) == Decimal(value)


@pytest.mark.parametrize("text", OUT_OF_RANGE, ids=lambda text: text[:20])
def test_a_number_out_of_range_is_rejected(text: str) -> None:
    assert error_of(parse_number, text).code == "number-out-of-range"  # type: ignore[arg-type]


@given(any_text(8) | st.text("0123456789.-+eE", max_size=12))
@example("٣")
@example("1\n")
@example("0_1")
@example("Infinity")
@example("1.")
@example("1.٣")
@example(".5")
@example("01")
@example("+1")
@example("1e")
@example("1e-")
def test_a_number_is_a_json_number_in_range_and_nothing_else(text: str) -> None:
    value = accepted(parse_number, text)  # type: ignore[arg-type]
    try:
        number = json.loads(text, parse_int=Decimal, parse_float=Decimal) if text == text.strip() else None
    except ValueError:
        number = None
    if isinstance(number, Decimal) and (number == 0 or Decimal("1e-100") <= abs(number) <= Decimal("1e100")):
        assert value == number
    else:
        assert value is None


@given(st.integers(-(10**100) + 1, 10**100 - 1), st.integers(-201, 101))
@example(10**99, 1)
@example(10**99 + 1, 1)
@example(1, -100)
@example(10**99 - 1, -199)
def test_the_range_ends_exactly_at_1e100_and_1e_minus_100(digits: int, exponent: int) -> None:
    value = accepted(parse_number, f"{digits}e{exponent}")  # type: ignore[arg-type]
    exact = digits * Fraction(10) ** exponent
    assert value == (None if exact and not Fraction(10) ** -100 <= abs(exact) <= 10**100 else exact)


# ---- which operands an operation uses


@pytest.mark.parametrize("position", [1, 2])
@pytest.mark.parametrize("operation", BINARY)
def test_a_binary_operation_needs_both_operands(operation: int, position: int) -> None:
    parse = partial(parse_operand, operation_id=operation, position=position)
    assert parse(Number("0.1")) == Decimal("0.1")
    assert error_of(parse, ABSENT).code == "missing-key"
    assert error_of(parse, None).code == "wrong-type"
    assert error_of(parse, Number("1e101")).code == "number-out-of-range"


def test_a_square_root_needs_its_first_operand() -> None:
    parse = partial(parse_operand, operation_id=ROOT, position=1)
    assert parse(Number("2")) == 2
    assert error_of(parse, ABSENT).code == "missing-key"
    assert error_of(parse, None).code == "wrong-type"
    assert error_of(parse, Number("1e101")).code == "number-out-of-range"


@pytest.mark.parametrize(("operation", "position"), [(ROOT, 2), (RANDOM, 2), (7, 1), (7, 2), (0, 1), (None, 1)])
@pytest.mark.parametrize("value", [ABSENT, None, Number("2"), Number("1e999999999"), Number("9" * 5000)])
def test_an_operand_that_is_not_needed_is_ignored(operation: int | None, position: int, value: object) -> None:
    assert parse_operand(value, operation, position) is None


@pytest.mark.parametrize("position", [1, 2])
@pytest.mark.parametrize("operation", [*BINARY, ROOT, RANDOM, 7, None])
@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_an_operand_of_another_type_is_always_rejected(operation: int | None, position: int, value: object) -> None:
    parse = partial(parse_operand, operation_id=operation, position=position)
    assert error_of(parse, value).code == "wrong-type"


# ---- the length of a random string


@pytest.mark.parametrize("text", ["1", "8", "8.0", "0.8e1", "32", "320e-1", "1.000"])
def test_a_length_is_a_whole_number_from_1_to_32(text: str) -> None:
    operand = parse_operand(Number(text), RANDOM, 1)
    assert random_length(operand) == float(text)


@pytest.mark.parametrize(
    "text", ["0", "-0", "-1", "33", "8.5", "32.0000001", "0.99999", "1e100", "1e999", "8." + "0" * 100]
)
def test_any_other_length_is_out_of_range(text: str) -> None:
    parse = partial(parse_operand, operation_id=RANDOM, position=1)
    assert error_of(parse, Number(text)).code == "number-out-of-range"


@pytest.mark.parametrize("value", [ABSENT, None])
def test_a_random_string_has_8_characters_by_default(value: object) -> None:
    assert parse_operand(value, RANDOM, 1) is None
    assert random_length() == random_length(None) == 8


# ---- the id of an operation


@pytest.mark.parametrize("text", ["1", "6", "7", "-1", "-0", "9" * 100])
def test_the_id_of_an_operation_is_any_whole_number(text: str) -> None:
    assert parse_operation_id(Number(text)) == int(text)


@pytest.mark.parametrize(
    "value", [None, *NOT_NUMBERS, Number("1.0"), Number("1e0"), Number("01"), Number("1\n")], ids=repr
)
def test_a_fraction_or_another_type_is_no_id(value: object) -> None:
    assert error_of(parse_operation_id, value).code == "wrong-type"


@pytest.mark.parametrize("text", ["1" * 101, "-" + "9" * 5000])
def test_an_id_of_more_than_100_digits_is_out_of_range(text: str) -> None:
    assert error_of(parse_operation_id, Number(text)).code == "number-out-of-range"


def test_no_error_contains_the_sent_number() -> None:
    assert "7777" not in texts_of(error_of(parse_number, "7777e7777"))  # type: ignore[arg-type]
    assert "7777" not in texts_of(error_of(partial(parse_operand, operation_id=RANDOM, position=1), Number("7777")))
