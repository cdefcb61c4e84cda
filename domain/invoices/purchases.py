"""Purchases: what a POST or a PUT does to the lines of an invoice and to the stock.

The sum of an item in stock and on invoices changes only by what the stock is set to or gains: a purchase moves pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from domain.errors import RollbookError, Violation
from domain.invoices.errors import (
    CustomerNotFoundError,
    InvoiceNotFoundError,
    ItemOnInvoiceError,
    ItemsNotFoundError,
    TotalTooLargeError,
)
from domain.invoices.fields import Entry
from domain.invoices.money import TOTAL_MAX
from domain.invoices.stock import Item, Place, insufficient_stock


class NewCustomer(NamedTuple):
    """A customer before it is stored."""

    name: str
    phone: str
    address: str


class Customer(NamedTuple):
    """A customer."""

    id: int
    name: str
    phone: str
    address: str


class Line(NamedTuple):
    """A line of an invoice, with what the item was when the line was added. `unit_price` is in paise."""

    item: int
    name: str
    description: str
    unit_price: int
    quantity: int
    position: int

    @property
    def price(self) -> int:
        """The price of the line in paise."""
        return self.unit_price * self.quantity


class Invoice(NamedTuple):
    """The invoice of a customer; `number` counts all invoices from 1, `lines` stand in their order."""

    id: int
    number: int
    customer: Customer
    lines: Sequence[Line]

    @property
    def total(self) -> int:
        """The sum of the lines in paise."""
        return total_of(self.lines)


class Purchase(NamedTuple):
    """What a purchase is decided on: the customer, its invoice, and those items of the entries that exist, by id."""

    customer: Customer | None
    invoice: Invoice | None
    items: Mapping[int, Item]


class Change(NamedTuple):
    """What a purchase changes: pieces that leave the stock (or come back) by item, and lines. `lines` are all after it.

    `added` are new lines, `changed` has new quantities by item, `removed` are items.
    """

    taken: Mapping[int, int]
    added: Sequence[Line]
    changed: Mapping[int, int]
    removed: Sequence[int]
    lines: Sequence[Line]


def total_of(lines: Iterable[Line]) -> int:
    """Returns the sum of lines in paise."""
    return sum(line.price for line in lines)


def plan_addition(purchase: Purchase, entries: Sequence[Entry]) -> Change:
    """Returns what a POST changes: it adds lines.

    Raises `CustomerNotFoundError`, `ItemsNotFoundError`, `ItemOnInvoiceError`, `InsufficientStockError`,
    `TotalTooLargeError`: the first that applies, with all places.
    """
    if purchase.customer is None:
        raise CustomerNotFoundError
    _require_items(purchase, entries)
    present = _lines(purchase)
    _reject(ItemOnInvoiceError, entries, lambda entry: entry.item in present)
    return _plan(purchase, entries)


def plan_update(purchase: Purchase, entries: Sequence[Entry]) -> Change:
    """Returns what a PUT changes: listed lines take the new quantity, 0 removes one, other items are added.

    Raises `CustomerNotFoundError`, `InvoiceNotFoundError`, `ItemsNotFoundError`, `InsufficientStockError`,
    `TotalTooLargeError`: the first that applies, with all places.
    """
    if purchase.customer is None:
        raise CustomerNotFoundError
    if purchase.invoice is None:
        raise InvoiceNotFoundError
    _require_items(purchase, entries)
    return _plan(purchase, entries)


def _lines(purchase: Purchase) -> dict[int, Line]:
    return {} if purchase.invoice is None else {line.item: line for line in purchase.invoice.lines}


def _require_items(purchase: Purchase, entries: Sequence[Entry]) -> None:
    if unknown := [entry.item for entry in entries if entry.item not in purchase.items]:
        places = _places(ItemsNotFoundError, entries, lambda entry: entry.item not in purchase.items)
        raise ItemsNotFoundError(violations=places, member_values={"items": unknown})


def _places(
    error: type[RollbookError], entries: Sequence[Entry], is_bad: Callable[[Entry], bool], key: str = "item"
) -> list[Violation]:
    bad = [position for position, entry in enumerate(entries) if is_bad(entry)]
    return [Violation((position, key), error.code, error.detail) for position in bad]


def _reject(
    error: type[RollbookError], entries: Sequence[Entry], is_bad: Callable[[Entry], bool], key: str = "item"
) -> None:
    if places := _places(error, entries, is_bad, key):
        raise error(violations=places)


def _plan(purchase: Purchase, entries: Sequence[Entry]) -> Change:
    """Returns the change that gives the lines of the entries their quantities."""
    present = _lines(purchase)
    before = {item: line.quantity for item, line in present.items()}
    taken = {entry.item: entry.quantity - before.get(entry.item, 0) for entry in entries}
    _require_stock(purchase, entries, taken)
    wanted = [entry for entry in entries if taken[entry.item]]
    next_position = max((line.position for line in present.values()), default=0) + 1
    new = [entry for entry in wanted if entry.item not in present]
    added = [_new_line(purchase.items[entry.item], entry, next_position + place) for place, entry in enumerate(new)]
    changed = {entry.item: entry.quantity for entry in wanted if entry.item in present and entry.quantity}
    removed = [entry.item for entry in wanted if not entry.quantity]
    kept = [line._replace(quantity=changed.get(item, line.quantity)) for item, line in present.items()]
    lines = [*(line for line in kept if line.item not in {*removed}), *added]
    _require_total(entries, lines)
    return Change({item: pieces for item, pieces in taken.items() if pieces}, added, changed, removed, lines)


def _new_line(item: Item, entry: Entry, position: int) -> Line:
    return Line(item.id, item.name, item.description, item.price, entry.quantity, position)


def _require_stock(purchase: Purchase, entries: Sequence[Entry], taken: Mapping[int, int]) -> None:
    places: list[Place] = [
        ((position, "quantity"), entry.item, entry.quantity - taken[entry.item] + purchase.items[entry.item].quantity)
        for position, entry in enumerate(entries)
        if taken[entry.item] > purchase.items[entry.item].quantity
    ]
    if places:
        raise insufficient_stock(places)


def _require_total(entries: Sequence[Entry], lines: Sequence[Line]) -> None:
    prices = {line.item: line.price for line in lines}
    _reject(TotalTooLargeError, entries, lambda entry: prices.get(entry.item, 0) > TOTAL_MAX, "quantity")
    if sum(prices.values()) > TOTAL_MAX:
        raise TotalTooLargeError
