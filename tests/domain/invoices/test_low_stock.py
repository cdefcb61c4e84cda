"""Which items are on the list of low stock, why, and how the list is written."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.invoices.low_stock import EMPTY_LIST, Item, find_reasons, format_list

TODAY = date(2026, 11, 21)
HEADER = "Item ID,Description,Quantity,Expiry Date,Reason\n"


def item(quantity: int = 100, expiry_date: str | None = None, threshold: int | None = None) -> Item:
    """An item with enough in stock."""
    return Item(1, "K", quantity, expiry_date, threshold)


@pytest.mark.parametrize(
    ("listed", "reasons"),
    [
        (item(0), ["low stock"]),
        (item(5), ["low stock"]),
        (item(6), []),
        (item(6, threshold=6), ["low stock"]),
        (item(5, threshold=4), []),
        (item(0, threshold=0), ["low stock"]),
        (item(1, threshold=0), []),
        (item(1_000_000_000, threshold=1_000_000_000), ["low stock"]),
        (item(expiry_date="2026-11-20"), ["expired"]),
        (item(expiry_date="0001-01-01"), ["expired"]),
        (item(expiry_date="2026-11-21"), ["expires"]),
        (item(expiry_date="2026-11-28"), ["expires"]),
        (item(expiry_date="2026-11-29"), []),
        (item(expiry_date="9999-12-31"), []),
        (item(5, "2026-11-28"), ["low stock", "expires"]),
        (item(3, "2026-11-01", 3), ["low stock", "expired"]),
    ],
)
def test_an_item_is_listed_because_it_is_low_or_expires(listed: Item, reasons: list[str]) -> None:
    assert find_reasons(listed, TODAY, 7) == reasons
    expected = f"1,K,{listed.quantity},{listed.expiry_date or ''},{'; '.join(reasons)}\n" if reasons else ""
    assert format_list([listed], TODAY, 7) == HEADER + expected


def test_the_number_of_days_is_a_setting() -> None:
    assert find_reasons(item(expiry_date="2026-11-21"), TODAY, 0) == ["expires"]
    assert find_reasons(item(expiry_date="2026-11-22"), TODAY, 0) == []
    assert find_reasons(item(expiry_date="2027-11-21"), TODAY, 365) == ["expires"]


def test_a_list_without_items_is_the_header_alone() -> None:
    assert EMPTY_LIST == format_list([], TODAY, 7) == HEADER


def test_fields_are_quoted_where_rfc_4180_says() -> None:
    texts = [
        "plain",
        "a,b",
        'the "best"',
        "  blanks  ",
        "naïve ₹ चावल 🙂",
        "=1+2",
        "-5",
        "@x",
        "+91",
        "semi; colon",
        "'",
    ]
    written = format_list([Item(n, text, 0, None, None) for n, text in enumerate(texts, 1)], TODAY, 7)
    lines = ["plain", '"a,b"', '"the ""best"""', *texts[3:]]
    assert written == HEADER + "".join(f"{n},{line},0,,low stock\n" for n, line in enumerate(lines, 1))


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)))
def test_every_reader_of_csv_gets_the_descriptions(texts: list[str]) -> None:
    """Items have no control characters, such as line feeds."""
    written = format_list([Item(n, text, n % 6, "2026-11-20", None) for n, text in enumerate(texts)], TODAY, 7)
    read = [*csv.reader(io.StringIO(written, newline=""))]
    assert read[1:] == [[str(n), text, str(n % 6), "2026-11-20", "low stock; expired"] for n, text in enumerate(texts)]
