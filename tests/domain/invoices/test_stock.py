"""Changes of one item."""

from __future__ import annotations

import pytest

from domain.invoices.errors import InsufficientStockError, QuantityTooLargeError
from domain.invoices.stock import Item, change_item, default_name

ITEM = Item(7, "Kurta", "Cotton kurta", 55_000, 10, "2026-12-31", 3)


def test_the_name_of_an_item_without_one_begins_its_description() -> None:
    assert default_name("Cotton kurta") == "Cotton kurta"
    assert default_name("क" * 500) == "क" * 200
    assert default_name("क" * 198 + " \u3000" + "क" * 300) == "क" * 198


def test_a_change_replaces_the_given_keys_and_no_other() -> None:
    assert change_item(ITEM, {"price": 0, "name": "K"}) == ITEM._replace(price=0, name="K")
    assert change_item(ITEM, {"expiry_date": None}) == ITEM._replace(expiry_date=None)
    assert change_item(ITEM, {"low_stock_threshold": None}) == ITEM._replace(low_stock_threshold=None)
    assert change_item(ITEM, {}) == ITEM


def test_a_quantity_is_set_and_a_quantity_change_is_added() -> None:
    assert change_item(ITEM, {"quantity": 3}).quantity == 3
    assert change_item(ITEM, {"quantity_change": 3}).quantity == 13
    assert change_item(ITEM, {"quantity_change": -10}).quantity == 0


def test_a_quantity_below_zero_is_rejected_with_what_is_there() -> None:
    with pytest.raises(InsufficientStockError) as caught:
        change_item(ITEM, {"quantity_change": -11, "price": 5})
    (violation,) = caught.value.violations
    assert (violation.path, violation.members) == (("quantity_change",), {"item": 7, "available": 10})


@pytest.mark.parametrize(
    ("quantity", "change", "is_accepted"),
    [
        (10, 999_999_990, True),
        (10, 999_999_991, False),
        (1_000_000_005, 1, False),  # pieces came back from invoices
        (1_000_000_005, 0, True),
        (1_000_000_005, -1, True),
    ],
)
def test_no_change_raises_a_quantity_above_its_maximum(quantity: int, change: int, is_accepted: bool) -> None:
    item = ITEM._replace(quantity=quantity)
    if is_accepted:
        assert change_item(item, {"quantity_change": change}).quantity == quantity + change
    else:
        with pytest.raises(QuantityTooLargeError):
            change_item(item, {"quantity_change": change})
