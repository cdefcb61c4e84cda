"""Purchases: what they are decided on, with its locks, and what they change. Each costs a fixed number of statements.

Locks are taken in this order, so that purchases wait for each other and never in a circle: the items of the entries by
id, the customer, the counter. The customer's lock covers its invoice and lines: only a purchase of this customer
changes them. It is taken by a statement of its own, because with READ_COMMITTED_SNAPSHOT a statement that waited for it
would still read the lines as they were when it began.

SQL Server seeks the items in the order of the JSON array, which is sorted, or in that of the ORDER BY. Microsoft
documents the order of rows, not that of locks: a deadlock would be retried as a lost race.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, Connection, bindparam, delete, insert, literal_column, select, update

from domain.invoices.errors import CustomerNotFoundError, InvoiceNotFoundError
from domain.invoices.purchases import Change, Customer, Invoice, Line, Purchase
from domain.invoices.stock import Item
from persistence.database.clauses import for_update, for_update_by_seek, in_json_array, json_rows, lock_rows, seek_rows
from persistence.database.types import RowId
from persistence.invoices.customers import COLUMNS as CUSTOMER_COLUMNS
from persistence.invoices.items import COLUMNS as ITEM_COLUMNS
from persistence.invoices.tables import COUNTERS, CUSTOMERS, INVOICES, ITEMS, LINES

_CUSTOMER: Final = bindparam("of_customer", type_=RowId)
_INVOICE: Final = bindparam("of_invoice", type_=RowId)
_LINE_COLUMNS: Final = (LINES.c.item_id, *(LINES.c[name] for name in Line._fields[1:]))


# ---- load

_WANTED = json_rows("wanted", ITEMS.c.id)
_LOAD_ITEMS = for_update_by_seek(
    select(*ITEM_COLUMNS).join_from(ITEMS, _WANTED, ITEMS.c.id == _WANTED.c.id).order_by(ITEMS.c.id), ITEMS
)
_LOAD_CUSTOMER = for_update(select(*CUSTOMER_COLUMNS).where(CUSTOMERS.c.id == _CUSTOMER), CUSTOMERS)
_LOAD_INVOICE = (
    select(INVOICES.c.id, INVOICES.c.number, *_LINE_COLUMNS)
    .join_from(INVOICES, LINES, isouter=True)
    .where(INVOICES.c.customer_id == _CUSTOMER)
    .order_by(LINES.c.position)
)


def load_purchase(connection: Connection, customer_id: int, item_ids: Iterable[int]) -> Purchase:
    """Returns what a purchase is decided on, and locks it until the transaction ends. Costs three statements."""
    items = connection.execute(_LOAD_ITEMS, {"wanted": _json([[item] for item in sorted(item_ids)])}).all()
    row = connection.execute(_LOAD_CUSTOMER, {"of_customer": customer_id}).one_or_none()
    customer = None if row is None else Customer._make(row)
    rows = connection.execute(_LOAD_INVOICE, {"of_customer": customer_id}).all()
    return Purchase(customer, _invoice(customer, rows), {item.id: item for item in map(Item._make, items)})


def _invoice(customer: Customer | None, rows: Sequence[Sequence[Any]]) -> Invoice | None:
    """Returns the invoice in rows of id, number and line; an invoice without lines has one row without a line."""
    if customer is None or not rows:
        return None
    id_, number, *_ = rows[0]
    return Invoice(id_, number, customer, [Line._make(row[2:]) for row in rows if row[2] is not None])


# ---- read

_FIND_INVOICE = (
    select(*CUSTOMER_COLUMNS, INVOICES.c.id, INVOICES.c.number, *_LINE_COLUMNS)
    .select_from(CUSTOMERS.outerjoin(INVOICES).outerjoin(LINES))
    .where(CUSTOMERS.c.id == _CUSTOMER)
    .order_by(LINES.c.position)
)


def find_invoice(connection: Connection, customer_id: int) -> Invoice:
    """Returns the invoice of a customer, by one statement.

    Raises `CustomerNotFoundError`, `InvoiceNotFoundError`.
    """
    rows = connection.execute(_FIND_INVOICE, {"of_customer": customer_id}).all()
    if not rows:
        raise CustomerNotFoundError
    width = len(CUSTOMER_COLUMNS)
    invoice = _invoice(Customer._make(rows[0][:width]), [row[width:] for row in rows if row[width] is not None])
    if invoice is None:
        raise InvoiceNotFoundError
    return invoice


# ---- save

_TAKEN = json_rows("taken", ITEMS.c.id, ITEMS.c.quantity)
# Each row of these updates is a seek of a whole key, for which SQL Server locks rows without a hint.
_TAKE = seek_rows(update(ITEMS).where(ITEMS.c.id == _TAKEN.c.id).values(quantity=ITEMS.c.quantity - _TAKEN.c.quantity))
_ONE = literal_column("1", BigInteger)
_NEXT_NUMBER = update(COUNTERS).values(last_number=COUNTERS.c.last_number + _ONE).returning(COUNTERS.c.last_number)
_INSERT_INVOICE = insert(INVOICES).returning(INVOICES.c.id)
_ADDED = json_rows("added", LINES.c.item_id, LINES.c.position, LINES.c.quantity)
# The items are locked: what is copied is what was loaded.
_INSERT_LINES = insert(LINES).from_select(
    ["invoice_id", "item_id", "position", "name", "description", "unit_price", "quantity"],
    select(
        _INVOICE,
        ITEMS.c.id,
        _ADDED.c.position,
        ITEMS.c.name,
        ITEMS.c.description,
        ITEMS.c.price,
        _ADDED.c.quantity,
    ).join_from(_ADDED, ITEMS, ITEMS.c.id == _ADDED.c.item_id),
)
# The rows have the invoice, so that each is a seek: with a parameter for it SQLite joins every line to every row.
_CHANGED = json_rows("changed", LINES.c.invoice_id, LINES.c.item_id, LINES.c.quantity)
_UPDATE_LINES = seek_rows(
    update(LINES)
    .where(LINES.c.invoice_id == _CHANGED.c.invoice_id, LINES.c.item_id == _CHANGED.c.item_id)
    .values(quantity=_CHANGED.c.quantity)
)
_DELETE_LINES = lock_rows(
    delete(LINES).where(LINES.c.invoice_id == _INVOICE, in_json_array(LINES.c.item_id, "removed"))
)


def save_purchase(connection: Connection, purchase: Purchase, change: Change) -> Invoice:
    """Stores the change of a purchase and returns the invoice. The first one of a customer takes the next number.

    Costs at most four statements, and none for a change of nothing. Raises `CustomerNotFoundError`.
    """
    if purchase.customer is None:
        raise CustomerNotFoundError
    if change.taken:
        connection.execute(_TAKE, {"taken": _json([*change.taken.items()])})
    invoice = purchase.invoice or _insert_invoice(connection, purchase.customer)
    of_invoice = {"of_invoice": invoice.id}
    if change.removed:
        connection.execute(_DELETE_LINES, {**of_invoice, "removed": _json(change.removed)})
    if change.changed:
        changed = [[invoice.id, item, quantity] for item, quantity in change.changed.items()]
        connection.execute(_UPDATE_LINES, {"changed": _json(changed)})
    if change.added:
        added = [[line.item, line.position, line.quantity] for line in change.added]
        connection.execute(_INSERT_LINES, {**of_invoice, "added": _json(added)})
    return invoice._replace(lines=change.lines)


def _insert_invoice(connection: Connection, customer: Customer) -> Invoice:
    number = connection.execute(_NEXT_NUMBER).scalar_one()
    row = {"number": number, "customer_id": customer.id}
    return Invoice(connection.execute(_INSERT_INVOICE, row).scalar_one(), number, customer, [])


def _json(rows: Sequence[Any] | Mapping[Any, Any]) -> str:
    return orjson.dumps(rows).decode()
