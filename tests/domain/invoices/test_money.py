"""Prices are exact: integers of paise."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidError, OutOfRangeError, WrongTypeError
from domain.invoices.errors import PriceInvalidError
from domain.invoices.money import PRICE_MAX, TOTAL_MAX, parse_money
from tests.support.parsing import error_of


@pytest.mark.parametrize(
    ("price", "paise"),
    [
        (0, 0),
        (0.0, 0),
        (-0.0, 0),
        (1, 100),
        (1799.99, 179_999),
        (550.0, 55_000),
        (0.1, 10),
        (0.29, 29),
        (1.15, 115),
        (9_999_999_999.99, PRICE_MAX),
        (1e3, 100_000),
        ("0", 0),
        ("0.1", 10),
        ("0.01", 1),
        ("1799.99", 179_999),
        ("9999999999.99", PRICE_MAX),
        ("9999999999", 999_999_999_900),
        ("007.50", 750),
        ("0" * 100_000 + "1", 100),
    ],
)
def test_a_price_has_at_most_two_decimal_places(price: object, paise: int) -> None:
    assert parse_money(price) == paise
    assert type(parse_money(price)) is int


NO_NUMBERS: list[Any] = [None, True, False, [], {}, [1], b"1", Decimal(1), 1j]
NO_TEXTS = [
    "",
    ".",
    "1.",
    ".5",
    "1.234",
    "-1",
    "+1",
    "1e2",
    " 1",
    "1 ",
    "1,000",
    "1_0",
    "0x1",
    "NaN",
    "1\n",
    "1.5\n",
    "²",
]


@pytest.mark.parametrize(
    ("price", "error"),
    [
        *((value, WrongTypeError) for value in NO_NUMBERS),
        *((value, PriceInvalidError) for value in (0.001, 1.005, 1e-7, 5e-324, 0.1 + 0.2, 9_999_999_998.999)),
        *((value, PriceInvalidError) for value in NO_TEXTS),
        *((text, PriceInvalidError) for text in ("١٢", "१२", "１", "1.٢")),  # digits of other scripts
        *((value, OutOfRangeError) for value in (-1, -0.01, 10_000_000_000, 1e10, 1e300, 2**64, -(2**64))),
        *((value, OutOfRangeError) for value in (float("inf"), float("nan"), "10000000000", "9" * 100_000)),
    ],
)
def test_any_other_price_is_rejected(price: object, error: type[InvalidError]) -> None:
    assert type(error_of(parse_money, price)) is error


@given(st.integers(0, PRICE_MAX))
def test_a_price_is_returned_as_it_was_given(paise: int) -> None:
    assert parse_money(orjson.loads(orjson.dumps(paise / 100))) == paise
    assert parse_money(f"{paise // 100}.{paise % 100:02}") == paise


@given(st.integers(0, TOTAL_MAX))
def test_the_nearest_double_of_a_total_has_its_digits(paise: int) -> None:
    assert Decimal(repr(paise / 100)) * 100 == paise


@given(st.one_of(st.floats(), st.text(), st.integers(), st.text("0123456789.", max_size=14)))
def test_any_value_is_read_or_rejected(value: Any) -> None:
    try:
        paise = parse_money(value)
    except InvalidError:
        return
    assert 0 <= paise <= PRICE_MAX
    assert Decimal(str(value)) * 100 == paise
