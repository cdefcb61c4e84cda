"""Invoice numbers as people read them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.invoices.numbers import NUMBER_MAX, format_invoice_number


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "#00001-AAA"),
        (99_999, "#99999-AAA"),
        (100_000, "#00000-AAB"),
        (100_001, "#00001-AAB"),
        (2_599_999, "#99999-AAZ"),
        (2_600_000, "#00000-ABA"),
        (67_600_000, "#00000-BAA"),
        (NUMBER_MAX, "#99999-ZZZ"),
    ],
)
def test_the_nth_number_is_its_place_and_its_series(number: int, text: str) -> None:
    assert format_invoice_number(number) == text


@given(st.integers(1, NUMBER_MAX))
def test_every_number_has_a_text_of_its_own(number: int) -> None:
    match = re.fullmatch(r"#([0-9]{5})-([A-Z])([A-Z])([A-Z])", format_invoice_number(number))
    assert match
    first, second, third = (ord(letter) - ord("A") for letter in match.groups()[1:])
    assert ((first * 26 + second) * 26 + third) * 100_000 + int(match[1]) == number


@pytest.mark.parametrize("number", [0, -1, NUMBER_MAX + 1])
def test_a_number_that_has_no_text_is_a_defect(number: int) -> None:
    with pytest.raises(ValueError, match="used up"):
        format_invoice_number(number)
