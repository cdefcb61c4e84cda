"""The tables of the points ledger, and their statements.

Every write begins with `adjust_grand_total`. Its row is the ledger's lock, held until the transaction ends: rows that
are read afterwards cannot change, every total keeps its bounds, and no payer is deleted before a row refers to it (so
a violated foreign key is a defect). Writers serialize on this one row, because each writer changes the grand total and
a spend may take points from every payer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import orjson
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Connection,
    Index,
    SmallInteger,
    Table,
    bindparam,
    case,
    delete,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlmodel import Field, SQLModel

from domain.points import POINTS_MAX, Balance, LedgerEntry, Lot, SpendPlan
from persistence.database.clauses import in_json_array, json_rows, optimize_for_first
from persistence.database.errors import LostRaceError
from persistence.database.types import RowId, UtcText, UuidText, case_sensitive_text

LOT_FETCH_SIZE: Final = 100
"""Lots that a spend fetches at a time."""


class LedgerRow(SQLModel, table=True):
    """The grand total: one row, which the schema creates."""

    __tablename__: ClassVar[str] = "points_ledger"
    __table_args__: ClassVar[tuple[CheckConstraint, ...]] = (
        CheckConstraint("id = 1", name="ck_points_ledger_one_row"),
        CheckConstraint("total >= 0", name="ck_points_ledger_total"),
    )

    id: int = Field(primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False})
    total: int = Field(sa_type=BigInteger)


class BalanceRow(SQLModel, table=True):
    """A payer: its total, and the part of its debits that no spend has settled yet."""

    __tablename__: ClassVar[str] = "points_balances"
    __table_args__: ClassVar[tuple[CheckConstraint, ...]] = (
        CheckConstraint("total >= 0 AND outstanding_debit >= 0", name="ck_points_balances_not_below_zero"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    payer: str = Field(sa_type=case_sensitive_text(400))  # UTF-16 units: twice the limit
    total: int = Field(sa_type=BigInteger)
    outstanding_debit: int = Field(sa_type=BigInteger)


class TransactionRow(SQLModel, table=True):
    """A transaction; a lot while `points_left` is positive. `id` is the order of arrival. Only a flush deletes it."""

    __tablename__: ClassVar[str] = "points_transactions"
    __table_args__: ClassVar[tuple[CheckConstraint, ...]] = (
        CheckConstraint("points_left >= 0", name="ck_points_transactions_not_below_zero"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    transaction_id: str = Field(sa_type=UuidText)
    payer_id: int = Field(foreign_key="points_balances.id", sa_type=RowId)
    points: int = Field(sa_type=BigInteger)
    points_left: int = Field(sa_type=BigInteger)
    occurred_at: str = Field(sa_type=UtcText)
    recorded_at: str = Field(sa_type=UtcText)


class SpendRow(SQLModel, table=True):
    """The points (positive) that one payer paid for one spend; only a flush deletes them."""

    __tablename__: ClassVar[str] = "points_spends"

    id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    spend_id: str = Field(sa_type=UuidText)
    payer_id: int = Field(foreign_key="points_balances.id", sa_type=RowId)
    points: int = Field(sa_type=BigInteger)
    recorded_at: str = Field(sa_type=UtcText)


LEDGER: Final[Table] = SQLModel.metadata.tables["points_ledger"]
BALANCES: Final[Table] = SQLModel.metadata.tables["points_balances"]
TRANSACTIONS: Final[Table] = SQLModel.metadata.tables["points_transactions"]
SPENDS: Final[Table] = SQLModel.metadata.tables["points_spends"]

# One balance per name. The second index has the lots in the order of spends: both engines append the key, which is the
# order of arrival. It excludes debits and empty lots, so it stays small while the ledger grows.
Index("ux_points_balances_payer", BALANCES.c.payer, unique=True)
Index(
    "ix_points_transactions_lots",
    TRANSACTIONS.c.occurred_at,
    sqlite_where=text("points_left > 0"),
    mssql_where=text("points_left > 0"),
    mssql_include=["payer_id", "points_left"],
)


# ---- the grand total

_ADJUST_GRAND_TOTAL = (
    update(LEDGER)
    .where(LEDGER.c.total > bindparam("below"), LEDGER.c.total <= bindparam("most"))
    .values(total=LEDGER.c.total + bindparam("points"))
)


def adjust_grand_total(connection: Connection, points: int) -> bool:
    """Adds `points` to the grand total and locks the ledger until the transaction ends.

    Returns False and changes nothing if the total would leave the range of 0 to 2^63 - 1.
    """
    # Compares with bounds, because the sum may overflow; -points - 1 never does.
    bounds = {"below": -points - 1, "most": POINTS_MAX - max(0, points)}
    return connection.execute(_ADJUST_GRAND_TOTAL, {**bounds, "points": points}).rowcount == 1


# ---- transactions

_FIND_BALANCE = select(BALANCES.c.id, BALANCES.c.total, BALANCES.c.outstanding_debit).where(
    BALANCES.c.payer == bindparam("payer")
)
_INSERT_BALANCE = insert(BALANCES).returning(BALANCES.c.id)
_UPDATE_BALANCE = (
    update(BALANCES)
    .where(BALANCES.c.id == bindparam("payer_id"))
    .values(total=bindparam("new_total"), outstanding_debit=bindparam("new_outstanding_debit"))
)
_INSERT_TRANSACTION = insert(TRANSACTIONS).inline()


def find_balance(connection: Connection, payer: str) -> tuple[int | None, Balance]:
    """Returns the id and the balance of a payer; None and a balance of zero for an unknown payer."""
    row = connection.execute(_FIND_BALANCE, {"payer": payer}).one_or_none()
    return (None, Balance()) if row is None else (row.id, Balance(row.total, row.outstanding_debit))


def insert_transaction(
    connection: Connection, transaction: LedgerEntry, payer_id: int | None, balance: Balance, *, now: str
) -> None:
    """Stores a transaction and its payer's new `balance`; a payer without an id is inserted."""
    if payer_id is None:
        new = {"payer": transaction["payer"], **balance._asdict()}
        payer_id = connection.execute(_INSERT_BALANCE, new).scalar_one()
    else:
        new_values = {f"new_{name}": value for name, value in balance._asdict().items()}
        connection.execute(_UPDATE_BALANCE, {"payer_id": payer_id, **new_values})
    connection.execute(
        _INSERT_TRANSACTION,
        {
            "transaction_id": transaction["id"],
            "payer_id": payer_id,
            "points": transaction["points"],
            "points_left": max(0, transaction["points"]),
            "occurred_at": transaction["timestamp"],
            "recorded_at": now,
        },
    )


# ---- spends

_ZERO = literal_column("0", BigInteger)
_IS_LOT = TRANSACTIONS.c.points_left > _ZERO  # a literal, as in the index: with a parameter neither engine uses it
_LOTS = optimize_for_first(
    select(
        TRANSACTIONS.c.id,
        TRANSACTIONS.c.payer_id,
        BALANCES.c.payer,
        TRANSACTIONS.c.points_left,
        BALANCES.c.outstanding_debit,
    )
    .join_from(TRANSACTIONS, BALANCES)
    .where(_IS_LOT)
    .order_by(TRANSACTIONS.c.occurred_at, TRANSACTIONS.c.id),
    LOT_FETCH_SIZE,
)
_EMPTY_LOTS = (
    update(TRANSACTIONS)
    .where(in_json_array(TRANSACTIONS.c.id, "lots"))
    .values(
        points_left=case(
            (TRANSACTIONS.c.id == bindparam("last_lot"), bindparam("last_points_left", type_=BigInteger())), else_=_ZERO
        )
    )
)
_TAKEN = json_rows("shares", SPENDS.c.payer_id, BALANCES.c.total, BALANCES.c.outstanding_debit)
_TAKE_FROM_BALANCES = (
    update(BALANCES)
    .where(BALANCES.c.id == _TAKEN.c.payer_id)
    .values(
        total=BALANCES.c.total - _TAKEN.c.total,
        outstanding_debit=BALANCES.c.outstanding_debit - _TAKEN.c.outstanding_debit,
    )
)
_PAID = json_rows("paid", SPENDS.c.payer_id, SPENDS.c.points)
_INSERT_SPENDS = insert(SPENDS).from_select(
    ["spend_id", "payer_id", "points", "recorded_at"],
    select(
        bindparam("spend_id", type_=SPENDS.c.spend_id.type),
        _PAID.c.payer_id,
        _PAID.c.points,
        bindparam("now", type_=SPENDS.c.recorded_at.type),
    ),
)


@contextmanager
def open_lots(connection: Connection) -> Iterator[Iterator[Lot]]:
    """Yields an iterator of all lots by timestamp, then by order of arrival. It fetches only as far as it is read."""
    with connection.execute(_LOTS) as result:
        yield (Lot._make(row) for rows in result.partitions(LOT_FETCH_SIZE) for row in rows)


def save_spend(connection: Connection, plan: SpendPlan, *, spend_id: str, now: str) -> None:
    """Stores a spend under one `spend_id` for all of its payers. Raises `LostRaceError` if a lot is gone."""
    lots, shares = plan.lots, plan.shares
    emptied = {"lots": _json(lots), "last_lot": lots[-1], "last_points_left": plan.last_points_left}
    if connection.execute(_EMPTY_LOTS, emptied).rowcount != len(lots):
        raise LostRaceError
    connection.execute(_TAKE_FROM_BALANCES, {"shares": _json([[s.payer_id, s.paid, s.settled] for s in shares])})
    paid = _json([[share.payer_id, share.paid] for share in shares if share.paid])
    connection.execute(_INSERT_SPENDS, {"paid": paid, "spend_id": spend_id, "now": now})


def _json(rows: list[Any]) -> str:
    return orjson.dumps(rows).decode()


# ---- balance, flush

_TOTALS = select(BALANCES.c.payer, BALANCES.c.total).order_by(BALANCES.c.id)


def list_totals(connection: Connection) -> dict[str, int]:
    """Returns the points of every payer, in the order of their first transactions."""
    return {row.payer: row.total for row in connection.execute(_TOTALS)}


_FLUSH = (update(LEDGER).values(total=0), delete(SPENDS), delete(TRANSACTIONS), delete(BALANCES))


def flush(connection: Connection) -> None:
    """Empties the ledger, including its history."""
    for statement in _FLUSH:
        connection.execute(statement)
