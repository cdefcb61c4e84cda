"""The tables of the calculator.

Records refer to the balance of their account, not to the account: a charge, which has the balance locked, locks nothing
else, and an account takes its balance and its records with it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    bindparam,
)
from sqlmodel import SQLModel

from persistence.database.types import RowId, UtcText, case_sensitive_text

BALANCES: Final = Table(
    "calculator_balances",
    SQLModel.metadata,
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("balance", BigInteger, nullable=False),
    Column("granted", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    CheckConstraint("balance >= 0", name="ck_calculator_balances_balance"),
)
"""The balances of accounts, each from its first charge or grant on; `records` is the number of its live records."""

RECORDS: Final = Table(
    "calculator_records",
    SQLModel.metadata,
    Column("id", RowId),
    Column("account_id", RowId, ForeignKey("calculator_balances.account_id", ondelete="CASCADE"), nullable=False),
    Column("operation_id", SmallInteger, nullable=False),
    Column("amount", Integer, nullable=False),
    Column("user_balance", BigInteger, nullable=False),
    Column("operation_response", case_sensitive_text(230), nullable=False),
    Column("created_at", UtcText, nullable=False),
    Column("deleted_at", UtcText),
    PrimaryKeyConstraint("id", mssql_clustered=False),
    sqlite_autoincrement=True,
)
"""Charged operations, live until `deleted_at`. `id` is the order of charges and is never used again."""

# The live records of an account in the order of their ids. On SQL Server it is the table itself: every statement on an
# account's records is a range of it, and no plan is cheaper that would read, and lock, the rows of other accounts.
_LIVE_BY_ID = (RECORDS.c.account_id, RECORDS.c.deleted_at, RECORDS.c.id)
Index("ux_calculator_records_account", *_LIVE_BY_ID, unique=True, mssql_clustered=True)

ACCOUNT: Final = bindparam("of_account", type_=RowId)
OWN_BALANCE: Final = BALANCES.c.account_id == ACCOUNT
LIVE: Final = (RECORDS.c.account_id == ACCOUNT, RECORDS.c.deleted_at.is_(None))
"""The conditions of the balance and of the live records of the account in the parameter `of_account`."""
