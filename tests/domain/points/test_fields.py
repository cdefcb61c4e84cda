"""The values that payer and points accept."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from domain.points import PAYER_MAX, parse_payer, parse_points, parse_points_to_spend
from tests.support.parsing import accepted, error_of

POINTS_PARSERS: list[Callable[[object], int]] = [parse_points, parse_points_to_spend]
NO_INTEGERS: list[Any] = [
    *(None, True, False, "1", "", "one", b"1", 1.5, 1.0, 0.0, -1.0, 1e300, float("nan"), float("inf"), 1j),
    *(Decimal(1), Fraction(1), [], [1], {}, {"points": 1}, (1,), NotImplemented, int),
]

# ---- payer


@pytest.mark.parametrize(
    ("given_name", "stored"),
    [
        ("DANNON", "DANNON"),
        ("MILLER COORS", "MILLER COORS"),
        ("  DANNON ", "DANNON"),
        ("\t\r\nDANNON\n", "DANNON"),
        ("\u00a0\u3000DANNON\u2003", "DANNON"),
        ("Miller  Coors", "Miller  Coors"),
        ("ДАНОН", "ДАНОН"),
        ("達能", "達能"),
        ("Caf\u00e9", "Caf\u00e9"),
        ("Cafe\u0301", "Cafe\u0301"),
        ("'; DROP TABLE points_balances; --", "'; DROP TABLE points_balances; --"),
        ("0", "0"),
        ("X", "X"),
        ("a" * 200, "a" * 200),
        ("\U0001f95b" * 200, "\U0001f95b" * 200),
        (" " * 300 + "a" * 200 + " " * 300, "a" * 200),
    ],
)
def test_a_payer_is_stored_trimmed_and_otherwise_unchanged(given_name: str, stored: str) -> None:
    assert parse_payer(given_name) == stored


def test_the_case_of_a_payer_is_kept() -> None:
    spellings = ["DANNON", "Dannon", "dannon", "Stra\u00dfe", "STRASSE", "\u0130", "i", "\u0131", "\u017f", "s"]
    assert [parse_payer(spelling) for spelling in spellings] == spellings


@pytest.mark.parametrize("given_name", ["", " ", "    ", "\t", "\r\n", "\u00a0", "\u3000\u2003", " " * 201])
def test_a_payer_that_is_empty_after_trimming_is_rejected(given_name: str) -> None:
    assert error_of(parse_payer, given_name).code == "payer-invalid"


@pytest.mark.parametrize("letter", ["a", "é", "\U0001f95b"])
def test_a_payer_has_at_most_200_code_points(letter: str) -> None:
    assert PAYER_MAX == 200
    assert parse_payer(letter * 200) == letter * 200
    for too_long in (letter * 201, letter * 100 + " " + letter * 100, letter * 10_000):
        error = error_of(parse_payer, too_long)
        assert error.code == "payer-invalid"
        assert "200" in error.detail


@pytest.mark.parametrize(
    "given_name", ["DAN\nNON", "DAN\tNON", "DAN\r\nNON", "DAN\x00NON", "\x00DANNON", "DANNON\x00", "DAN\x7fNON", "\x7f"]
)
def test_a_payer_with_a_control_character_inside_is_rejected(given_name: str) -> None:
    assert error_of(parse_payer, given_name).code == "payer-invalid"


def test_a_payer_has_any_character_but_controls_and_lone_surrogates() -> None:
    for code_point in (*range(0x10000), 0x1F600, 0xE0001, 0x10FFFF):
        character = chr(code_point)
        is_rejected = accepted(parse_payer, f"a{character}b") is None
        assert is_rejected == (unicodedata.category(character) in ("Cc", "Cs")), hex(code_point)


# ---- points


@pytest.mark.parametrize("points", [1, -1, 2, -2, 300, -200, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_points_are_any_integer_of_64_bits_but_zero(points: int) -> None:
    assert parse_points(points) == points


def test_points_of_zero_are_rejected() -> None:
    assert error_of(parse_points, 0).code == "points-zero"


@pytest.mark.parametrize("points", [1, 2, 5000, 2**53 + 1, 2**63 - 1])
def test_points_to_spend_are_any_integer_of_64_bits_above_zero(points: int) -> None:
    assert parse_points_to_spend(points) == points


@pytest.mark.parametrize("points", [0, -1, -5000, -(2**63)])
def test_points_to_spend_of_zero_or_less_are_rejected(points: int) -> None:
    error = error_of(parse_points_to_spend, points)
    assert error.code == "out-of-range"
    assert "zero" in error.detail


@pytest.mark.parametrize("parse", POINTS_PARSERS)
@pytest.mark.parametrize(
    "points", [2**63, -(2**63) - 1, 2**64, 2**64 + 1, -(2**64), 10**5000, -(10**5000)], ids=int.bit_length
)
def test_points_beyond_64_bits_are_rejected(parse: Callable[[object], int], points: int) -> None:
    error = error_of(parse, points)
    assert error.code == "out-of-range"
    assert "64" in error.detail


@pytest.mark.parametrize("parse", POINTS_PARSERS)
@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
def test_points_that_are_no_integer_are_rejected_and_never_coerced(parse: Callable[[object], int], value: Any) -> None:
    assert error_of(parse, value).code == "wrong-type"
