"""The tables of the calculator.

Records refer to the balance of their account, not to the account: a charge, which has the balance locked, locks nothing
else, and an account takes its balance and its records with it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, PrimaryKeyConstraint, SmallInteger, Table, bindparam
from sqlmodel import Field, SQLModel

from persistence.database.types import RowId, UtcText, case_sensitive_text


class BalanceRow(SQLModel, table=True):
    """The balance of an account, from its first charge or grant on; `records` is the number of its live records."""

    __tablename__: ClassVar[str] = "calculator_balances"
    __table_args__: ClassVar[tuple[Any, ...]] = (
        CheckConstraint("balance >= 0", name="ck_calculator_balances_balance"),
    )

    account_id: int = Field(primary_key=True, foreign_key="accounts.id", ondelete="CASCADE", sa_type=RowId)
    balance: int = Field(sa_type=BigInteger)
    granted: int = Field(sa_type=BigInteger)
    records: int = Field(sa_type=BigInteger)


class RecordRow(SQLModel, table=True):
    """A charged operation; live until `deleted_at`. `id` is the order of charges and is never used again."""

    __tablename__: ClassVar[str] = "calculator_records"
    __table_args__: ClassVar[tuple[Any, ...]] = (
        PrimaryKeyConstraint("id", mssql_clustered=False),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    account_id: int = Field(foreign_key="calculator_balances.account_id", ondelete="CASCADE", sa_type=RowId)
    operation_id: int = Field(sa_type=SmallInteger)
    amount: int = Field(sa_type=Integer)
    user_balance: int = Field(sa_type=BigInteger)
    operation_response: str = Field(sa_type=case_sensitive_text(230))
    created_at: str = Field(sa_type=UtcText)
    deleted_at: str | None = Field(default=None, sa_type=UtcText)


BALANCES: Final[Table] = SQLModel.metadata.tables["calculator_balances"]
RECORDS: Final[Table] = SQLModel.metadata.tables["calculator_records"]

# The live records of an account in the order of their ids. On SQL Server it is the table itself: every statement on an
# account's records is a range of it, and no plan is cheaper that would read, and lock, the rows of other accounts.
_LIVE_BY_ID = (RECORDS.c.account_id, RECORDS.c.deleted_at, RECORDS.c.id)
Index("ux_calculator_records_account", *_LIVE_BY_ID, unique=True, mssql_clustered=True)

ACCOUNT: Final = bindparam("of_account", type_=RowId)
OWN_BALANCE: Final = BALANCES.c.account_id == ACCOUNT
LIVE: Final = (RECORDS.c.account_id == ACCOUNT, RECORDS.c.deleted_at.is_(None))
"""The conditions of the balance and of the live records of the account in the parameter `of_account`."""
