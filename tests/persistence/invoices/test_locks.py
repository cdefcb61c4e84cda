"""Statements of purchases: their number, the order of their locks on SQL Server, lost races, and plans."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, event

from persistence import invoices as store
from persistence.database import retries
from persistence.migrations.scripts import SQL
from tests.persistence.invoices.conftest import (
    change,
    new_customer,
    new_item,
    new_items,
    numbers,
    post,
    put,
    read,
    stock,
)

pytestmark = pytest.mark.usefixtures("app_database")


# ---- the number of statements


def _count(executed: list[Any], call: Callable[[], Any]) -> int:
    executed.clear()
    call()
    return len(executed)


@pytest.mark.parametrize("lines", [1, 1000])
def test_a_purchase_costs_a_fixed_number_of_statements(executed: Any, lines: int) -> None:
    items = new_items(3 * lines)
    first, second, third = items[:lines], items[lines : 2 * lines], items[2 * lines :]
    ann = new_customer().id
    assert _count(executed, lambda: post(ann, *((item, 1) for item in first))) == 7
    assert _count(executed, lambda: post(ann, *((item, 1) for item in second))) == 5
    mixed = [*((item, 0) for item in first), *((item, 2) for item in second), *((item, 3) for item in third)][-1000:]
    assert _count(executed, lambda: put(ann, *mixed)) == (7 if lines == 1 else 5)
    assert _count(executed, lambda: put(ann, *mixed)) == 3  # nothing changes
    assert _count(executed, lambda: read(store.find_invoice, ann)) == 1


def test_a_put_of_1000_that_adds_changes_and_removes_costs_7_statements(executed: Any) -> None:
    items, ann = new_items(1000), new_customer().id
    post(ann, *((item, 2) for item in items[:600]))
    wanted = [*((item, 0) for item in items[:300]), *((item, 3) for item in items[300:])]
    assert _count(executed, lambda: put(ann, *wanted)) == 7
    assert [line.item for line in read(store.find_invoice, ann).lines] == items[300:]


def test_lists_and_changes_of_items_cost_one_and_two_statements(executed: Any) -> None:
    item = new_item()
    assert _count(executed, lambda: read(store.list_items)) == 1
    assert _count(executed, lambda: read(store.list_customers, 0, 1)) == 1
    assert _count(executed, lambda: change(item.id, price=1)) == 2


# ---- locks, on the text of what SQL Server gets


def _targets(executed: list[tuple[str, Any]]) -> list[tuple[str, ...]]:
    """The verb, the table and the hint of each statement."""
    found: list[tuple[str, ...]] = []
    for text, _ in executed:
        match = re.search(r"\b(?:FROM|UPDATE|INTO) invoices_(\w+)(?: WITH \(([^)]+)\))?", text)
        assert match, text
        found.append((text.split()[0], match[1], match[2] or ""))
    return found


LOCKED = "UPDLOCK, ROWLOCK"
LOADED = [("SELECT", "items", f"{LOCKED}, FORCESEEK"), ("SELECT", "customers", LOCKED), ("SELECT", "invoices", "")]


def test_items_are_locked_first_then_the_customer_and_the_counter_last(executed: Any) -> None:
    items, ann = new_items(3), new_customer().id
    executed.clear()
    post(ann, (items[0], 1), (items[1], 1))
    assert _targets(executed) == [
        *LOADED,
        ("UPDATE", "items", ""),
        ("UPDATE", "counters", ""),
        ("INSERT", "invoices", ""),  # rows that no other transaction sees
        ("INSERT", "lines", ""),
    ]
    executed.clear()
    put(ann, (items[0], 0), (items[1], 2), (items[2], 1))
    assert _targets(executed) == [
        *LOADED,
        ("UPDATE", "items", ""),
        ("DELETE", "lines", "ROWLOCK"),
        ("UPDATE", "lines", ""),
        ("INSERT", "lines", ""),
    ]


def test_items_are_locked_in_the_order_of_their_ids(executed: Any) -> None:
    items, ann = new_items(30), new_customer().id
    executed.clear()
    post(ann, *((item, 1) for item in reversed(items)))
    (text, given), *_ = executed
    assert orjson.loads(given["wanted"]) == [[item] for item in sorted(items)]
    assert text.endswith("ORDER BY invoices_items.id")


def test_writes_of_items_and_lines_wait_for_no_row_of_another_purchase(executed: Any) -> None:
    items, ann = new_items(2), new_customer().id
    post(ann, (items[0], 1))
    executed.clear()
    put(ann, (items[0], 2), (items[1], 1))
    updates = [text for text, _ in executed if text.startswith("UPDATE")]
    for text, table, keys in zip(updates, ("items", "lines"), (["id"], ["invoice_id", "item_id"]), strict=True):
        assert text.endswith(f"OPTION (TABLE HINT (invoices_{table}, FORCESEEK))")
        assert re.findall(rf"invoices_{table}\.(\w+) = \w+\.\1\b", text) == keys  # the whole key, in its order
        assert all(f"AS BIGINT) AS {key}" in text for key in keys)  # compared as what it is


def test_a_change_of_an_item_locks_it_before_it_is_read(executed: Any) -> None:
    item = new_item()
    executed.clear()
    change(item.id, price=1)
    assert _targets(executed) == [("SELECT", "items", LOCKED), ("UPDATE", "items", "")]


def test_a_read_locks_nothing(executed: Any) -> None:
    item, ann = new_item(), new_customer().id
    post(ann, (item.id, 1))
    executed.clear()
    read(store.find_invoice, ann)
    read(store.list_items)
    read(store.list_customers)
    assert "WITH" not in "".join(text for text, _ in executed)


# ---- permissions


def test_the_app_may_do_what_it_does_and_remove_no_item_customer_or_invoice(executed: Any) -> None:
    script = (SQL / "invoices" / "permissions.sql").read_text("utf-8")
    granted: dict[str, set[str]] = {}
    for verbs, table in re.findall(r"GRANT ([A-Z, ]+?)(?: \(quantity\))? ON dbo\.invoices_(\w+) TO", script):
        granted.setdefault(table, set()).update(verbs.split(", "))
    items, ann = new_items(3), new_customer().id
    change(items[0], price=1)
    post(ann, (items[0], 1), (items[1], 1))
    put(ann, (items[0], 0), (items[1], 2), (items[2], 1))
    new_item()
    done = {(verb, table) for verb, table, _ in _targets(executed)}
    assert len(done) == 11
    assert {verb for verb, table in done if verb not in granted[table]} == set()
    assert [table for table, verbs in granted.items() if "DELETE" in verbs] == ["lines", "outbox"]
    assert "UPDATE" not in granted["customers"] | granted["invoices"]


# ---- lost races: SQLite has one writer, so its own connection makes the change of the other transaction


@pytest.fixture
def meanwhile(database_file: Any) -> Iterator[Callable[[str, str], None]]:
    """A function that plans a statement of another transaction, before the next statement with a beginning."""
    planned: dict[str, str] = {}
    causes: list[str] = []

    def make(_: object, cursor: Any, statement: str, *__: object) -> None:
        for beginning in [each for each in planned if statement.startswith(each)]:
            cursor.connection.execute(planned.pop(beginning))

    event.listen(Engine, "before_cursor_execute", make)
    retries.set_retry_observer(causes.append)
    yield planned.__setitem__
    retries.set_retry_observer(None)
    event.remove(Engine, "before_cursor_execute", make)
    assert planned == {}
    assert causes == ["SQLITE_CONSTRAINT_UNIQUE"]


def test_a_second_invoice_of_a_customer_is_a_lost_race(meanwhile: Any) -> None:
    item, ann = new_item(), new_customer().id
    meanwhile("INSERT INTO invoices_invoices", f"INSERT INTO invoices_invoices (number, customer_id) VALUES (9, {ann})")
    assert post(ann, (item.id, 1)).number == 1
    assert (numbers(), stock()) == ([1], {item.id: 9})


# ---- plans

BY_ID = "SEARCH invoices_items USING INTEGER PRIMARY KEY (rowid=?)"
CUSTOMER = "SEARCH invoices_customers USING INTEGER PRIMARY KEY (rowid=?)"
INVOICE = "SEARCH invoices_invoices USING INDEX ux_invoices_invoices_customer_id (customer_id=?)"
OF_INVOICE = "SEARCH invoices_lines USING INDEX sqlite_autoindex_invoices_lines_1 (invoice_id=?) LEFT-JOIN"
LINE = "SEARCH invoices_lines USING INDEX sqlite_autoindex_invoices_lines_1 (invoice_id=? AND item_id=?)"
SORTED = "USE TEMP B-TREE FOR ORDER BY"  # the items of one purchase, and the lines of one invoice


def _steps(plans: Any, call: Callable[[], Any]) -> list[str]:
    ignored = ("SUBQUERY", " VIRTUAL TABLE ")  # the rows of a JSON array
    return [step for step in dict.fromkeys(plans(call)) if not any(each in step for each in ignored)]


def test_purchases_seek_every_row(plans: Any) -> None:
    items, ann = new_items(4), new_customer().id
    first = _steps(plans, lambda: post(ann, (items[0], 1), (items[1], 1), (items[3], 1)))
    assert first == [BY_ID, SORTED, CUSTOMER, INVOICE, OF_INVOICE, "SCAN invoices_counters"]
    changed = _steps(plans, lambda: put(ann, (items[0], 0), (items[1], 2), (items[2], 1)))
    assert changed == [BY_ID, SORTED, CUSTOMER, INVOICE, OF_INVOICE, LINE, LINE.replace("INDEX", "COVERING INDEX")]
    read_ = _steps(plans, lambda: read(store.find_invoice, ann))
    assert read_ == [CUSTOMER, f"{INVOICE} LEFT-JOIN", OF_INVOICE, SORTED]


def test_lists_and_changes_of_items_seek(plans: Any) -> None:
    item = new_item()
    assert _steps(plans, lambda: change(item.id, price=1)) == [BY_ID]
    assert _steps(plans, lambda: read(store.list_items)) == ["SCAN invoices_items"]
    assert _steps(plans, lambda: read(store.list_items, 5, 5)) == [BY_ID.replace("=", ">")]
    assert _steps(plans, lambda: read(store.list_customers, 5, 5)) == [CUSTOMER.replace("=", ">")]
