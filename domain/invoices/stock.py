"""Items of the stock, and what a caller may change of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from domain.errors import Violation
from domain.invoices.errors import InsufficientStockError, QuantityTooLargeError
from domain.invoices.fields import NAME_MAX, QUANTITY_MAX


class NewItem(NamedTuple):
    """An item before it is stored. `price` is in paise, `expiry_date` is `YYYY-MM-DD`."""

    name: str
    description: str
    price: int
    quantity: int
    expiry_date: str | None = None
    low_stock_threshold: int | None = None


class Item(NamedTuple):
    """An item in stock. `price` is in paise, `expiry_date` is `YYYY-MM-DD`."""

    id: int
    name: str
    description: str
    price: int
    quantity: int
    expiry_date: str | None = None
    low_stock_threshold: int | None = None


def default_name(description: str) -> str:
    """Returns the name of an item that was given none: the first 200 characters of its description, trimmed."""
    return description[:NAME_MAX].rstrip()


def change_item(item: Item, changes: Mapping[str, Any]) -> Item:
    """Returns the item with the given keys changed; `quantity_change` is added to its quantity.

    Raises `InsufficientStockError` below zero, `QuantityTooLargeError` where it rises above the maximum.
    """
    new = dict(changes)
    change = new.pop("quantity_change", 0)
    quantity = item.quantity + change
    if quantity < 0:
        raise insufficient_stock([(("quantity_change",), item.id, item.quantity)])
    if change > 0 and quantity > QUANTITY_MAX:  # pieces that came back may have left more than that
        raise QuantityTooLargeError
    return item._replace(**{"quantity": quantity, **new})


Place = tuple[tuple[str | int, ...], int, int]
"""The path of a quantity in a request, its item, and the largest quantity that it could take."""


def insufficient_stock(places: Sequence[Place]) -> InsufficientStockError:
    """Returns the error that names the places."""
    return InsufficientStockError(
        violations=[
            Violation(
                path,
                InsufficientStockError.code,
                InsufficientStockError.detail,
                {"item": item_id, "available": available},
            )
            for path, item_id, available in places
        ]
    )
