"""The fields of items and customers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain.errors import OutOfRangeError, WrongTypeError
from domain.invoices import fields
from domain.invoices.errors import (
    AddressInvalidError,
    DateInvalidError,
    DescriptionInvalidError,
    NameInvalidError,
    PhoneInvalidError,
)
from tests.support.parsing import error_of

TEXTS = [
    (fields.parse_name, 200, NameInvalidError),
    (fields.parse_description, 500, DescriptionInvalidError),
    (fields.parse_address, 500, AddressInvalidError),
]
Parse = Callable[[object], Any]
NO_TEXTS = [None, True, 1, 1.5, b"a", [], ["a"], {}, {"a": 1}]


@pytest.mark.parametrize(("parse", "most", "error"), TEXTS)
def test_a_text_is_trimmed_and_has_from_one_character_to_its_maximum(parse: Parse, most: int, error: Any) -> None:
    assert parse("\u00a0 कुर्ता  \u3000") == "कुर्ता"
    assert parse(" " + "😀" * most + " ") == "😀" * most
    assert parse("Cafe\u0301") == "Cafe\u0301" != parse("Caf\u00e9")
    for text in ("", "  ", "a" * (most + 1), "😀" * (most + 1)):
        assert type(error_of(parse, text)) is error


@pytest.mark.parametrize(("parse", "most", "error"), TEXTS)
def test_control_characters_are_rejected_in_texts(parse: Parse, most: int, error: Any) -> None:
    for character in ("\x00", "\t", "\n", "\x1f", "\x7f", "\x85", "\x9f", "\ud800"):
        for text in (f"a{character}b", f"a{character}", f"{character}a"):
            assert type(error_of(parse, text)) is error


@pytest.mark.parametrize("parse", [parse for parse, _, _ in TEXTS] + [fields.parse_phone, fields.parse_date])
def test_what_is_no_string_is_no_text(parse: Parse) -> None:
    assert {type(error_of(parse, value)) for value in NO_TEXTS} == {WrongTypeError}


@pytest.mark.parametrize(
    ("phone", "stored"),
    [
        ("9876543210", "9876543210"),
        ("+91 98765-43210", "+919876543210"),
        ("+ 91-98765 43210", "+919876543210"),
        (" 98765 43210 ", "9876543210"),
        ("-9876543210-", "9876543210"),
        ("123456789012345", "123456789012345"),
        ("+123456789012345", "+123456789012345"),
    ],
)
def test_a_phone_has_10_to_15_digits_and_keeps_its_plus(phone: str, stored: str) -> None:
    assert fields.parse_phone(phone) == stored == fields.parse_phone(stored)


@pytest.mark.parametrize(
    "phone",
    [
        *("", "+", "987654321", "1234567890123456", "++919876543210", "9876543210+", "98765a3210", "(987) 654-3210"),
        *("९८७६५४३२१०", "٩٨٧٦٥٤٣٢١٠", "9876543210\n", "9876543210\t", "98765\u00a043210", "98765–43210"),
    ],
)
def test_any_other_phone_is_rejected(phone: str) -> None:
    assert type(error_of(fields.parse_phone, phone)) is PhoneInvalidError


@pytest.mark.parametrize("day", ["2026-11-21", "0001-01-01", "9999-12-31", "2024-02-29"])
def test_a_date_is_one_of_the_calendar(day: str) -> None:
    assert fields.parse_date(day) == day


@pytest.mark.parametrize(
    "day",
    [
        *("", "2026-02-29", "2026-13-01", "2026-00-10", "2026-1-1", "20260101", "2026-W01-1", "0000-01-01", "26-01-01"),
        *("2026-01-01T00:00:00", " 2026-01-01", "2026-01-01\n", "२०२६-०१-०१", "2026/01/01", "-2026-01-01"),
    ],
)
def test_any_other_date_is_rejected(day: str) -> None:
    assert type(error_of(fields.parse_date, day)) is DateInvalidError


@pytest.mark.parametrize(
    ("parse", "least", "most"),
    [(fields.parse_stock, 0, 1_000_000_000), (fields.parse_quantity_change, -1_000_000_000, 1_000_000_000)],
)
def test_quantities_are_whole_numbers_within_their_limits(parse: Parse, least: int, most: int) -> None:
    assert (parse(least), parse(most)) == (least, most)
    for value in (least - 1, most + 1, 2**63, -(2**63) - 1):
        assert type(error_of(parse, value)) is OutOfRangeError
    wrong_types: list[Any] = [None, True, 1.0, 1.5, "1", [], {}, float("nan")]
    for wrong in wrong_types:
        assert type(error_of(parse, wrong)) is WrongTypeError


@pytest.mark.parametrize(
    ("text", "row_id"),
    [("1", 1), ("42", 42), (str(2**63 - 1), 2**63 - 1)]
    + [
        (text, None)
        for text in ("", "0", "01", "-1", "+1", "1.0", "1e3", " 1", "1\n", "a", "१", str(2**63), "9" * 5000)
    ],
)
def test_an_id_in_a_path_is_a_positive_number_or_none(text: str, row_id: int | None) -> None:
    assert fields.parse_id(text) == row_id


# ---- entries


def _parse(value: object, least: int = 1) -> list[tuple[int, int]]:
    return [tuple(entry) for entry in fields.parse_entries(value, least=least)]  # type: ignore[misc]


def _found(value: object, least: int = 1) -> list[tuple[Any, ...]]:
    error = error_of(lambda given: fields.parse_entries(given, least=least), value)
    return [(*violation.path, violation.code) for violation in error.violations]


def test_a_purchase_is_an_array_of_1_to_1000_entries() -> None:
    entries = [{"item": item, "quantity": item} for item in range(1000, 0, -1)]
    assert _parse(entries) == [(item, item) for item in range(1000, 0, -1)]
    for wrong in ([], [*entries, {"item": 1001, "quantity": 1}]):
        assert error_of(lambda value: fields.parse_entries(value, least=1), wrong).code == "entries-count"
    for no_array in (None, {}, {"item": 1, "quantity": 1}, "[]", 1):
        assert error_of(lambda value: fields.parse_entries(value, least=1), no_array).code == "wrong-type"


def test_all_bad_entries_are_named() -> None:
    entries: list[Any] = [
        {"item": 1, "quantity": 1},
        {"item": 2, "quantity": 0},
        {"item": "3", "quantity": 1.0},
        5,
        {"item": 4},
        {"quantity": 1_000_001, "price": 1},
        {"item": 1, "quantity": True},
        {"item": 2**63, "quantity": None},
    ]
    assert _found(entries) == [
        (1, "quantity", "out-of-range"),
        (2, "item", "wrong-type"),
        (2, "quantity", "wrong-type"),
        (3, "wrong-type"),
        (4, "quantity", "missing-key"),
        (5, "item", "missing-key"),
        (5, "quantity", "out-of-range"),
        (5, "price", "unknown-key"),
        (6, "quantity", "wrong-type"),
        (6, "item", "duplicate-item"),
        (7, "item", "out-of-range"),
        (7, "quantity", "wrong-type"),
    ]


@pytest.mark.parametrize(("least", "quantities"), [(1, (1, 1_000_000)), (0, (0, 1_000_000))])
def test_a_quantity_begins_at_1_and_for_a_change_at_0(least: int, quantities: tuple[int, int]) -> None:
    lowest, highest = quantities
    assert _parse([{"item": 1, "quantity": lowest}, {"item": 2, "quantity": highest}], least) == [
        (1, lowest),
        (2, highest),
    ]
    for wrong in (lowest - 1, highest + 1):
        assert _found([{"item": 1, "quantity": wrong}], least) == [(0, "quantity", "out-of-range")]
