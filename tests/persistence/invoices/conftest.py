"""Items, customers and purchases in transactions of their own, as an endpoint makes them."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, Engine, event, insert, select
from sqlalchemy.sql import ClauseElement

from domain.invoices.errors import ItemNotFoundError
from domain.invoices.fields import Entry
from domain.invoices.purchases import Change, Customer, Invoice, NewCustomer, Purchase, plan_addition, plan_update
from domain.invoices.stock import Item, NewItem, change_item
from persistence import invoices as store
from persistence.database.connections import reading, transaction
from persistence.database.retries import run_with_retries
from persistence.invoices.tables import COUNTERS, INVOICES, ITEMS, LINES
from tests.support.tsql import compile_tsql

T = TypeVar("T")

NOW = "2026-11-21T10:00:00.000000Z"
Plan = Callable[[Purchase, list[Entry]], Change]
_numbers = itertools.count()


def write(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Returns the result of a function of the store, in a transaction with retries."""

    def attempt() -> T:
        with transaction() as connection:
            return function(connection, *arguments, **named)

    return run_with_retries(attempt)


def read(function: Callable[..., T], *arguments: Any) -> T:
    """Returns the result of a function of the store that reads."""
    with reading() as connection:
        return function(connection, *arguments)


def new_item(quantity: int = 10, **fields: Any) -> Item:
    """Stores an item, with a description of its own unless it is given."""
    number = next(_numbers)
    defaults = {"name": f"Item {number}", "description": f"The item {number}", "price": 100, "quantity": quantity}
    return write(store.insert_item, NewItem(**{**defaults, **fields}))


def new_items(count: int, quantity: int = 10) -> list[int]:
    """Stores items and returns their ids."""
    known = len(stock())
    names = [f"Item {next(_numbers)}" for _ in range(count)]
    texts = [{"name": name, "description": name, "description_hash": name} for name in names]
    rows = [{**each, "price": 100, "quantity": quantity} for each in texts]
    write(lambda connection: connection.execute(insert(ITEMS), rows))
    return [*stock()][known:]


def new_customer(**fields: Any) -> Customer:
    """Stores a customer."""
    given = NewCustomer(**{"name": "Ann", "phone": "9876543210", "address": "Delhi", **fields})
    return write(store.insert_customer, given, uid=str(uuid.uuid4()), now=NOW)


def change(item_id: int, **changes: Any) -> Item:
    """Changes an item as PATCH does, and returns it."""

    def attempt(connection: Connection) -> Item:
        item = store.load_item(connection, item_id)
        if item is None:
            raise ItemNotFoundError
        changed = change_item(item, changes)
        store.update_item(connection, changed)
        return changed

    return write(attempt)


def purchase(plan: Plan, customer_id: int, entries: Iterable[tuple[int, int]]) -> Invoice:
    """Makes a purchase and returns the whole invoice."""
    wanted = [Entry(*entry) for entry in entries]

    def attempt(connection: Connection) -> Invoice:
        loaded = store.load_purchase(connection, customer_id, [entry.item for entry in wanted])
        return store.save_purchase(connection, loaded, plan(loaded, wanted))

    return write(attempt)


def post(customer_id: int, *entries: tuple[int, int]) -> Invoice:
    """Makes a purchase as POST does."""
    return purchase(plan_addition, customer_id, entries)


def put(customer_id: int, *entries: tuple[int, int]) -> Invoice:
    """Changes a purchase as PUT does."""
    return purchase(plan_update, customer_id, entries)


def stock(after: int = 0) -> dict[int, int]:
    """Returns the quantity in stock by item, of the items after an id."""
    return {item.id: item.quantity for item in read(store.list_items, after, 1_000_000)}


def on_invoices(after: int = 0) -> dict[int, int]:
    """Returns the quantity on all invoices by item, of the items after an id."""
    found: Counter[int] = Counter()
    query = select(LINES.c.item_id, LINES.c.quantity).where(LINES.c.item_id > after)
    with reading() as connection:
        for item, quantity in connection.execute(query):
            found[item] += quantity
    return found


def numbers() -> list[int]:
    """Returns the numbers of all invoices in their order, after a check of the counter."""
    with reading() as connection:
        taken = [*connection.execute(select(INVOICES.c.number).order_by(INVOICES.c.number)).scalars()]
        assert connection.execute(select(COUNTERS.c.last_number)).scalar_one() == max(taken, default=0)
    return taken


def everything() -> list[Any]:
    """Returns every row that a purchase may change."""
    with reading() as connection:
        return [connection.execute(select(table)).all() for table in (ITEMS, INVOICES, LINES, COUNTERS)]


@pytest.fixture
def executed(app_database: None) -> Iterator[list[tuple[str, Any]]]:
    """The executed statements in order, as SQL Server gets them, with their parameters."""
    found: list[tuple[str, Any]] = []

    def record(_connection: object, statement: object, multiparams: Any, params: Any, _options: object) -> None:
        if isinstance(statement, ClauseElement):
            given = multiparams[0] if multiparams else params
            found.append((compile_tsql(statement, given), given))

    event.listen(Engine, "before_execute", record)
    yield found
    event.remove(Engine, "before_execute", record)
