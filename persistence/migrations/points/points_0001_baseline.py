"""The points ledger, as release 0.1.0 had it.

points_ledger has one row: the grand total, and the lock that every writer takes first. Payers are compared by code
point, whatever the database's collation: Dannon is not DANNON. Transactions and spends are kept for ever.
"""

import sqlalchemy as sa
from alembic import op

from persistence.database.types import RowId, UtcText, UuidText, case_sensitive_text

revision = "points_0001"
down_revision = None
branch_labels = ("points",)


def upgrade() -> None:
    _create_ledger()
    _create_balances()
    _create_transactions()
    _create_spends()
    op.create_index("ux_points_balances_payer", "points_balances", ["payer"], unique=True)
    # The lots in the order in which spends take them: both engines append the row's key, the order of arrival.
    op.create_index(
        "ix_points_transactions_lots",
        "points_transactions",
        ["occurred_at"],
        sqlite_where=sa.text("points_left > 0"),
        mssql_where=sa.text("points_left > 0"),
        mssql_include=["payer_id", "points_left"],
    )


def _create_ledger() -> None:
    op.create_table(
        "points_ledger",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("id = 1", name="ck_points_ledger_one_row"),
        sa.CheckConstraint("total >= 0", name="ck_points_ledger_total"),
    )
    op.execute("INSERT INTO points_ledger (id, total) VALUES (1, 0)")


def _create_balances() -> None:
    op.create_table(
        "points_balances",
        sa.Column("id", RowId, nullable=False),
        sa.Column("payer", case_sensitive_text(400), nullable=False),  # 200 characters of two UTF-16 units each
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("outstanding_debit", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("total >= 0 AND outstanding_debit >= 0", name="ck_points_balances_not_below_zero"),
    )


def _create_transactions() -> None:
    op.create_table(
        "points_transactions",
        sa.Column("id", RowId, nullable=False),
        sa.Column("transaction_id", UuidText, nullable=False),
        sa.Column("payer_id", RowId, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("points_left", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", UtcText, nullable=False),
        sa.Column("recorded_at", UtcText, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("points_left >= 0", name="ck_points_transactions_not_below_zero"),
        sa.ForeignKeyConstraint(["payer_id"], ["points_balances.id"]),
    )


def _create_spends() -> None:
    op.create_table(
        "points_spends",
        sa.Column("id", RowId, nullable=False),
        sa.Column("spend_id", UuidText, nullable=False),
        sa.Column("payer_id", RowId, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcText, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["payer_id"], ["points_balances.id"]),
    )
