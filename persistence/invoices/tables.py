"""The tables of the invoices service. Money is integers of paise, so that sums are exact and the same on both engines.

Rows are locked in this order: items by id, the customer, its invoice and lines, the counter. A purchase holds the lock
of its customer from before its invoice is read, so that a customer has one invoice, and no number is taken twice.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    CHAR,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Unicode,
    text,
)
from sqlmodel import SQLModel

from persistence.database.types import RowId, UtcText, UuidText

ITEMS: Final = Table(
    "invoices_items",
    SQLModel.metadata,
    Column("id", RowId, primary_key=True),
    Column("name", Unicode(400), nullable=False),  # UTF-16 units: twice the limit
    Column("description", Unicode(1000), nullable=False),
    Column("description_hash", CHAR(64), nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("expiry_date", CHAR(10)),
    Column("low_stock_threshold", Integer),
    CheckConstraint("quantity >= 0", name="ck_invoices_items_quantity"),
    sqlite_autoincrement=True,
)
"""The stock. `description_hash` is SHA-256: an index of 500 characters does not fit SQL Server."""
Index("ux_invoices_items_description_hash", ITEMS.c.description_hash, unique=True)

CUSTOMERS: Final = Table(
    "invoices_customers",
    SQLModel.metadata,
    Column("id", RowId, primary_key=True),
    Column("customer_uid", UuidText, nullable=False),
    Column("name", Unicode(400), nullable=False),
    Column("phone", Unicode(16), nullable=False),
    Column("address", Unicode(1000), nullable=False),
    Column("is_from_peer", Boolean, nullable=False),
    Column("created_at", UtcText, nullable=False),
    sqlite_autoincrement=True,
)
"""Customers. `customer_uid` is the same on both sites; `is_from_peer` marks those that the other site sent."""
Index("ux_invoices_customers_customer_uid", CUSTOMERS.c.customer_uid, unique=True)

INVOICES: Final = Table(
    "invoices_invoices",
    SQLModel.metadata,
    Column("id", RowId, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("customer_id", RowId, ForeignKey("invoices_customers.id"), nullable=False),
)
"""One invoice per customer; it is never removed."""
Index("ux_invoices_invoices_number", INVOICES.c.number, unique=True)
Index("ux_invoices_invoices_customer_id", INVOICES.c.customer_id, unique=True)

LINES: Final = Table(
    "invoices_lines",
    SQLModel.metadata,
    Column("invoice_id", RowId, ForeignKey("invoices_invoices.id"), primary_key=True, autoincrement=False),
    Column("item_id", RowId, ForeignKey("invoices_items.id"), primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
    Column("name", Unicode(400), nullable=False),
    Column("description", Unicode(1000), nullable=False),
    Column("unit_price", BigInteger, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    CheckConstraint("quantity >= 1", name="ck_invoices_lines_quantity"),
)
"""The lines of invoices, with copies of what the item was when the line was added."""

COUNTERS: Final = Table(
    "invoices_counters",
    SQLModel.metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("last_number", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="ck_invoices_counters_one_row"),
)
"""The number of the last invoice: one row, which the schema creates."""

LOW_STOCK_LISTS: Final = Table(
    "invoices_low_stock_lists",
    SQLModel.metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("day", CHAR(10)),
    Column("made_at", UtcText),
    Column("content", Unicode),
    CheckConstraint("id = 1", name="ck_invoices_low_stock_lists_one_row"),
)
"""The last list of low stock: one row, which the schema creates. Before the first list `content` is NULL, and `day` is
that of the first tick of the timer, or NULL."""

OUTBOX: Final = Table(
    "invoices_outbox",
    SQLModel.metadata,
    Column("id", RowId, primary_key=True),
    Column("customer_id", RowId, ForeignKey("invoices_customers.id"), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("first_queued_at", UtcText, nullable=False),
    Column("next_attempt_at", UtcText, nullable=False),
    Column("claimed_until", UtcText),
    Column("claim", UuidText),
    Column("set_aside_reason", Unicode(200)),
    Column("last_error", Unicode(200)),
    sqlite_autoincrement=True,
)
"""Customers to deliver to the other site; a delivered row is deleted."""
Index("ux_invoices_outbox_customer_id", OUTBOX.c.customer_id, unique=True)
Index(
    "ix_invoices_outbox_next_attempt_at",
    OUTBOX.c.next_attempt_at,
    sqlite_where=text("set_aside_reason IS NULL"),
    mssql_where=text("set_aside_reason IS NULL"),
)
