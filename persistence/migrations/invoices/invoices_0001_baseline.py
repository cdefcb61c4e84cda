"""Stock, customers, invoices, the counter of their numbers, the list of low stock, and the outbox to the other site.

Money is integers of paise. Descriptions of items are unique by their SHA-256, because an index of 500 characters does
not fit SQL Server. Customers and invoices are kept for ever; a row of the outbox goes when it is delivered. The counter
and the list of low stock have one row each.
"""

import sqlalchemy as sa
from alembic import op

from persistence.database.types import RowId, UtcText, UuidText

revision = "invoices_0001"
down_revision = None
branch_labels = ("invoices",)


def upgrade() -> None:
    _create_items()
    _create_customers()
    _create_invoices()
    _create_lines()
    _create_counters()
    _create_low_stock_lists()
    _create_outbox()


def _create_items() -> None:
    op.create_table(
        "invoices_items",
        sa.Column("id", RowId, nullable=False),
        sa.Column("name", sa.Unicode(400), nullable=False),  # 200 characters of two UTF-16 units each
        sa.Column("description", sa.Unicode(1000), nullable=False),
        sa.Column("description_hash", sa.CHAR(64), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("expiry_date", sa.CHAR(10), nullable=True),
        sa.Column("low_stock_threshold", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("quantity >= 0", name="ck_invoices_items_quantity"),
        sqlite_autoincrement=True,
    )
    op.create_index("ux_invoices_items_description_hash", "invoices_items", ["description_hash"], unique=True)


def _create_customers() -> None:
    op.create_table(
        "invoices_customers",
        sa.Column("id", RowId, nullable=False),
        sa.Column("customer_uid", UuidText, nullable=False),
        sa.Column("name", sa.Unicode(400), nullable=False),
        sa.Column("phone", sa.Unicode(16), nullable=False),
        sa.Column("address", sa.Unicode(1000), nullable=False),
        sa.Column("is_from_peer", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcText, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ux_invoices_customers_customer_uid", "invoices_customers", ["customer_uid"], unique=True)


def _create_invoices() -> None:
    op.create_table(
        "invoices_invoices",
        sa.Column("id", RowId, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", RowId, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["customer_id"], ["invoices_customers.id"]),
    )
    op.create_index("ux_invoices_invoices_number", "invoices_invoices", ["number"], unique=True)
    op.create_index("ux_invoices_invoices_customer_id", "invoices_invoices", ["customer_id"], unique=True)


def _create_lines() -> None:
    op.create_table(
        "invoices_lines",
        sa.Column("invoice_id", RowId, autoincrement=False, nullable=False),
        sa.Column("item_id", RowId, autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Unicode(400), nullable=False),
        sa.Column("description", sa.Unicode(1000), nullable=False),
        sa.Column("unit_price", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("invoice_id", "item_id"),
        sa.CheckConstraint("quantity >= 1", name="ck_invoices_lines_quantity"),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices_invoices.id"]),
        sa.ForeignKeyConstraint(["item_id"], ["invoices_items.id"]),
    )


def _create_counters() -> None:
    op.create_table(
        "invoices_counters",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("id = 1", name="ck_invoices_counters_one_row"),
    )
    op.execute("INSERT INTO invoices_counters (id, last_number) VALUES (1, 0)")


def _create_low_stock_lists() -> None:
    op.create_table(
        "invoices_low_stock_lists",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.CHAR(10), nullable=True),
        sa.Column("made_at", UtcText, nullable=True),
        sa.Column("content", sa.Unicode(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("id = 1", name="ck_invoices_low_stock_lists_one_row"),
    )
    op.execute("INSERT INTO invoices_low_stock_lists (id) VALUES (1)")


def _create_outbox() -> None:
    op.create_table(
        "invoices_outbox",
        sa.Column("id", RowId, nullable=False),
        sa.Column("customer_id", RowId, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_queued_at", UtcText, nullable=False),
        sa.Column("next_attempt_at", UtcText, nullable=False),
        sa.Column("claimed_until", UtcText, nullable=True),
        sa.Column("claim", UuidText, nullable=True),
        sa.Column("set_aside_reason", sa.Unicode(200), nullable=True),
        sa.Column("last_error", sa.Unicode(200), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["customer_id"], ["invoices_customers.id"]),
        sqlite_autoincrement=True,
    )
    op.create_index("ux_invoices_outbox_customer_id", "invoices_outbox", ["customer_id"], unique=True)
    op.create_index(
        "ix_invoices_outbox_next_attempt_at",
        "invoices_outbox",
        ["next_attempt_at"],
        sqlite_where=sa.text("set_aside_reason IS NULL"),
        mssql_where=sa.text("set_aside_reason IS NULL"),
    )
