"""Stored items and customers: lists, pages, changes, and descriptions that are unique code point by code point."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import delete, select

from domain.invoices.errors import DescriptionTakenError, InsufficientStockError
from domain.invoices.purchases import Customer, NewCustomer
from domain.invoices.stock import Item
from persistence import invoices as store
from persistence.database.connections import transaction
from persistence.database.errors import LostRaceError
from persistence.invoices.tables import CUSTOMERS, ITEMS
from tests.persistence.invoices.conftest import NOW, change, new_customer, new_item, read, stock, write
from tests.support.threads import at_once

pytestmark = pytest.mark.usefixtures("app_database")

LONG = {"name": "😀" * 200, "description": "😀" * 500}
LARGEST = {"price": 999_999_999_999, "quantity": 1_000_000_000, "low_stock_threshold": 1_000_000_000}


def test_items_are_listed_by_id_with_all_their_fields() -> None:
    items = [
        new_item(0, name="Kurta", description="कुर्ता", price=0),
        new_item(**LONG, **LARGEST, expiry_date="9999-12-31"),  # type: ignore[arg-type]
        new_item(5, expiry_date="2026-12-31", low_stock_threshold=0),
    ]
    assert read(store.list_items) == items
    assert items[0] == Item(items[0].id, "Kurta", "कुर्ता", 0, 0, None, None)
    assert items[0].id < items[1].id < items[2].id


def test_the_id_of_a_deleted_item_or_customer_is_not_given_again() -> None:
    item, ann = new_item(), new_customer()
    for table, row in ((ITEMS, item), (CUSTOMERS, ann)):
        with transaction() as connection:
            connection.execute(delete(table).where(table.c.id == row.id))
    assert new_item().id > item.id
    assert new_customer().id > ann.id


def test_pages_of_items_have_every_item_once() -> None:
    items = [new_item() for _ in range(5)]
    assert read(store.list_items, 0, 2) == items[:2]
    assert read(store.list_items, items[1].id, 2) == items[2:4]
    assert read(store.list_items, items[3].id, 2) == items[4:]
    assert read(store.list_items, items[4].id, 2) == []


@pytest.mark.parametrize("other", ["cafe", "CAFÉ", "Cafe\u0301", "Café.", "Ca fé", "Café\u200b"])
def test_descriptions_are_compared_code_point_by_code_point(other: str) -> None:
    first = new_item(description="Café")
    second = new_item(description=other)
    with pytest.raises(DescriptionTakenError):
        new_item(description="Café")
    with pytest.raises(DescriptionTakenError):
        change(second.id, description="Café")
    assert read(store.list_items) == [first, second]


def test_descriptions_that_differ_at_their_500th_character_are_different() -> None:
    new_item(description="क" * 499 + "ख")
    assert new_item(description="क" * 500).description == "क" * 500


def test_an_item_keeps_its_own_description_and_frees_the_old_one() -> None:
    item = new_item(description="Old")
    assert change(item.id, description="Old", price=7) == item._replace(price=7)
    change(item.id, description="New")
    assert new_item(description="Old").description == "Old"


@pytest.mark.parametrize(
    "changes",
    [
        *({"name": "K"}, {"price": 999_999_999_999}, {"quantity": 0}, {"expiry_date": "2030-01-01"}),
        *({"expiry_date": None}, {"low_stock_threshold": None}, {"low_stock_threshold": 0}, {"description": "D"}),
    ],
)
def test_a_change_is_stored_and_changes_no_other_key(changes: dict[str, Any]) -> None:
    item, other = (new_item(expiry_date="2026-12-31", low_stock_threshold=2) for _ in range(2))
    assert change(item.id, **changes) == item._replace(**changes)
    assert read(store.list_items) == [item._replace(**changes), other]


def test_an_item_that_does_not_exist_is_none() -> None:
    assert write(store.load_item, new_item().id + 1) is None


def test_changes_of_a_quantity_at_once_are_all_counted() -> None:
    item = new_item(100)

    def work(number: int) -> bool:
        try:
            change(item.id, quantity_change=-9 if number % 2 else 1)
        except InsufficientStockError:
            return False
        return True

    results = at_once(32, work)
    assert stock()[item.id] == 100 + 16 - 9 * sum(results[1::2]) >= 0
    assert all(results[::2])


def test_one_of_many_items_with_a_description_at_once_is_stored() -> None:
    def work(_: int) -> bool:
        try:
            new_item(description="Same")
        except DescriptionTakenError:
            return False
        return True

    assert sum(at_once(16, work)) == 1


# ---- customers


def test_customers_are_listed_by_id_and_need_no_different_names() -> None:
    customers = [new_customer(name="अंजलि", address="😀" * 500, phone="+123456789012345"), new_customer(name="अंजलि")]
    assert read(store.list_customers) == customers
    assert customers[0] == Customer(customers[0].id, "अंजलि", "+123456789012345", "😀" * 500)
    assert read(store.list_customers, 0, 1) == customers[:1]
    assert read(store.list_customers, customers[0].id, 1) == customers[1:]


def test_a_customer_has_a_global_id_that_is_stored_once() -> None:
    uid, given = str(uuid.uuid4()), NewCustomer("Ann", "9876543210", "Delhi")
    write(store.insert_customer, given, uid=uid, now=NOW, is_from_peer=True)
    assert read(lambda connection: connection.execute(select(CUSTOMERS)).one()[1:]) == (uid, *given, True, NOW)
    with pytest.raises(LostRaceError), transaction() as connection:
        store.insert_customer(connection, given, uid=uid, now=NOW)
