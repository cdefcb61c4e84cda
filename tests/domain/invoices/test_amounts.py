from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.invoices.amounts import format_amount


@pytest.mark.parametrize(
    ("paise", "indian", "western"),
    [
        (0, "0.00", "0.00"),
        (5, "0.05", "0.05"),
        (99_999, "999.99", "999.99"),
        (344_999, "3,449.99", "3,449.99"),
        (9_999_999, "99,999.99", "99,999.99"),
        (12_345_678, "1,23,456.78", "123,456.78"),
        (1_234_567_890, "1,23,45,678.90", "12,345,678.90"),
        (999_999_999_999_999, "99,99,99,99,99,999.99", "9,999,999,999,999.99"),
    ],
)
def test_an_amount_has_its_sign_its_groups_and_two_places(paise: int, indian: str, western: str) -> None:
    assert format_amount(paise, "₹") == f"₹{indian}"
    assert format_amount(paise, "$") == f"${western}"
    assert format_amount(paise, "CHF ") == f"CHF {western}"


@given(st.integers(0, 10**18), st.sampled_from(["₹", "€"]))
def test_the_digits_of_an_amount_are_its_paise(paise: int, currency: str) -> None:
    text = format_amount(paise, currency)
    assert text.startswith(currency)
    assert Decimal(text[1:].replace(",", "")) * 100 == paise
    last, *groups = reversed(text[1:].partition(".")[0].split(","))
    assert not groups or len(last) == 3
    assert {len(group) for group in groups[:-1]} <= {2 if currency == "₹" else 3}
