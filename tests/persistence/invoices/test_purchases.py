"""Stored purchases: whole or not at all, one invoice per customer, exact sums, copies and order of lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain.errors import RollbookError
from domain.invoices import errors
from domain.invoices.fields import Entry
from domain.invoices.money import PRICE_MAX
from domain.invoices.purchases import plan_addition
from persistence import invoices as store
from persistence.database.connections import reading, transaction
from tests.persistence.invoices.conftest import (
    change,
    everything,
    new_customer,
    new_item,
    new_items,
    numbers,
    on_invoices,
    post,
    put,
    read,
    stock,
)

pytestmark = pytest.mark.usefixtures("app_database")


def test_a_purchase_takes_from_the_stock_and_returns_the_whole_invoice() -> None:
    ann = new_customer()
    kurta, sari = new_item(5, price=55_000), new_item(5, price=179_999)
    first = post(ann.id, (kurta.id, 3))
    second = post(ann.id, (sari.id, 1))
    assert (first.number, second.number, second.total) == (1, 1, 344_999)
    assert [(line.item, line.quantity) for line in second.lines] == [(kurta.id, 3), (sari.id, 1)]
    assert stock() == {kurta.id: 2, sari.id: 4}
    assert read(store.find_invoice, ann.id) == second
    assert second.customer == ann


def test_the_stock_follows_the_difference_and_comes_back() -> None:
    ann, item = new_customer(), new_item(5)
    post(ann.id, (item.id, 3))
    assert stock()[item.id] == 2
    put(ann.id, (item.id, 5))
    assert stock()[item.id] == 0
    put(ann.id, (item.id, 1))
    assert stock()[item.id] == 4
    put(ann.id, (item.id, 0))
    assert stock()[item.id] == 5


def test_pieces_come_back_beyond_what_a_change_would_accept() -> None:
    ann, item = new_customer(), new_item(10)
    post(ann.id, (item.id, 10))
    change(item.id, quantity=1_000_000_000)
    put(ann.id, (item.id, 0))
    assert stock()[item.id] == 1_000_000_010


def test_an_invoice_whose_lines_are_removed_keeps_its_number() -> None:
    ann, bob, item = new_customer(), new_customer(), new_item()
    post(ann.id, (item.id, 1))
    empty = put(ann.id, (item.id, 0))
    assert (empty.number, empty.lines, empty.total) == (1, [], 0)
    assert read(store.find_invoice, ann.id) == empty
    assert put(ann.id, (item.id, 0)) == empty
    assert post(bob.id, (item.id, 1)).number == 2
    again = post(ann.id, (item.id, 2))
    assert (again.number, again.total, numbers()) == (1, 200, [1, 2])


def test_a_line_has_copies_from_when_it_was_added() -> None:
    ann = new_customer()
    item, other = new_item(name="Old", description="Older", price=1), new_item()
    post(ann.id, (item.id, 1), (other.id, 1))
    change(item.id, name="New", description="Newer", price=2)
    kept = put(ann.id, (item.id, 2)).lines[0]
    assert kept[1:5] == ("Old", "Older", 1, 2)
    assert read(store.find_invoice, ann.id).lines[0] == kept
    put(ann.id, (item.id, 0))
    (_, added) = post(ann.id, (item.id, 2)).lines
    assert added[:5] == (item.id, "New", "Newer", 2, 2)
    assert read(store.find_invoice, ann.id).lines[1] == added


def test_lines_stand_in_the_order_in_which_they_were_added() -> None:
    ann = new_customer()
    items = new_items(6)
    post(ann.id, (items[3], 1), (items[0], 1))
    post(ann.id, (items[5], 1))
    invoice = put(ann.id, (items[4], 1), (items[0], 2), (items[1], 1))
    assert [line.item for line in invoice.lines] == [items[n] for n in (3, 0, 5, 4, 1)]
    assert read(store.find_invoice, ann.id) == invoice


def test_sums_are_exact_at_their_largest() -> None:
    ann = new_customer()
    cheap, dear = new_item(1_000_000_000, price=1), new_item(1_000, price=PRICE_MAX)
    invoice = post(ann.id, (dear.id, 1_000), (cheap.id, 999))
    assert invoice.total == 999_999_999_999_999
    with reading() as connection:
        total = connection.exec_driver_sql("SELECT SUM(unit_price * quantity) FROM invoices_lines").scalar_one()
    assert total == invoice.total
    before = everything()
    with pytest.raises(errors.TotalTooLargeError):
        put(ann.id, (cheap.id, 1_000))
    assert everything() == before


def test_a_customer_without_an_invoice_is_another_error_than_no_customer() -> None:
    ann = new_customer()
    with pytest.raises(errors.InvoiceNotFoundError):
        read(store.find_invoice, ann.id)
    with pytest.raises(errors.CustomerNotFoundError):
        read(store.find_invoice, ann.id + 1)


def _bad(error: type[RollbookError], call: Callable[[int, int, int], Any]) -> Any:
    return pytest.param(error, call, id=error.code)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        _bad(errors.CustomerNotFoundError, lambda ann, _, item: post(ann + 999, (item, 1))),
        _bad(errors.InvoiceNotFoundError, lambda _, bob, item: put(bob, (item, 1))),
        _bad(errors.ItemsNotFoundError, lambda _, bob, item: post(bob, (item, 1), (item + 999, 1))),
        _bad(errors.ItemOnInvoiceError, lambda ann, _, item: post(ann, (item + 1, 1), (item, 1))),
        _bad(errors.InsufficientStockError, lambda _, bob, item: post(bob, (item, 1), (item + 1, 11))),
        _bad(errors.InsufficientStockError, lambda ann, _, item: put(ann, (item, 0), (item + 1, 11))),
        _bad(errors.TotalTooLargeError, lambda _, bob, item: post(bob, (item, 1), (item + 2, 1_001))),
    ],
)
def test_one_bad_entry_leaves_nothing_of_the_request(error: type[RollbookError], call: Callable[..., Any]) -> None:
    ann, bob = new_customer(), new_customer()
    item = new_item(10)
    new_item(10)
    new_item(1_001, price=PRICE_MAX)
    post(ann.id, (item.id, 1))
    before = everything()
    with pytest.raises(error):
        call(ann.id, bob.id, item.id)
    assert everything() == before
    assert post(bob.id, (item.id, 1)).number == 2  # no number was used


def test_a_transaction_that_fails_after_its_purchase_uses_no_number() -> None:
    ann, item = new_customer(), new_item()

    def fail() -> None:
        with transaction() as connection:
            loaded = store.load_purchase(connection, ann.id, [item.id])
            store.save_purchase(connection, loaded, plan_addition(loaded, [Entry(item.id, 1)]))
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    assert (numbers(), on_invoices(), stock()) == ([], {}, {item.id: 10})
