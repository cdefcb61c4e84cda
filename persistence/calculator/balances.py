"""Balances: charges, grants and deletions of records.

A write begins with the account's row of balances, which stays locked until the transaction ends. So the writes of one
account follow each other, ids rise with each charge, and no two transactions lock in opposite orders.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Connection, bindparam, exists, insert, literal_column, not_, select, update

from domain.accounts import AccountNotFoundError
from domain.calculator import FIRST_CREDIT, InsufficientBalanceError, RecordNotFoundError
from persistence.accounts import find_account
from persistence.calculator.tables import ACCOUNT, BALANCES, LIVE, OWN_BALANCE, RECORDS
from persistence.database.clauses import lock_rows
from persistence.database.errors import LostRaceError, raise_on_duplicate_key
from persistence.database.types import RowId, UtcText

_AMOUNT: Final = bindparam("of_amount", type_=BigInteger())
_ZERO, _ONE = literal_column("0", BigInteger), literal_column("1", BigInteger)


# ---- balance

_FIND_BALANCE = select(BALANCES.c.balance).where(OWN_BALANCE)


def find_balance(connection: Connection, account_id: int) -> int:
    """Returns the balance of an account."""
    balance = connection.execute(_FIND_BALANCE, {"of_account": account_id}).scalar_one_or_none()
    return FIRST_CREDIT if balance is None else int(balance)


_GRANT = (
    update(BALANCES)
    .where(OWN_BALANCE)
    .values(balance=BALANCES.c.balance + _AMOUNT, granted=BALANCES.c.granted + _AMOUNT)
    .returning(BALANCES.c.balance)
)
_INSERT_BALANCE = insert(BALANCES).inline()


def grant(connection: Connection, username: str, amount: int) -> int:
    """Adds credit to the balance of an account and changes no record. Returns the new balance.

    Raises `AccountNotFoundError`, and `LostRaceError` if the account is deleted or first used at the same time.
    """
    account = find_account(connection, username)
    if account is None:
        raise AccountNotFoundError
    balance = connection.execute(_GRANT, {"of_account": account.id, "of_amount": amount}).scalar_one_or_none()
    if balance is None:
        balance = FIRST_CREDIT + amount
        first = {"account_id": account.id, "balance": balance, "granted": amount, "records": 0}
        with raise_on_duplicate_key(LostRaceError(), foreign_key=True):
            connection.execute(_INSERT_BALANCE, first)
    return int(balance)


# ---- charge

_TAKE = (
    update(BALANCES)
    .where(OWN_BALANCE, BALANCES.c.balance >= _AMOUNT)
    .values(balance=BALANCES.c.balance - _AMOUNT, records=BALANCES.c.records + _ONE)
    .returning(BALANCES.c.balance)
)
_TAKE_FIRST = insert(BALANCES).from_select(
    ["account_id", "balance", "granted", "records"],
    select(ACCOUNT, bindparam("first_balance", type_=BigInteger()), _ZERO, _ONE).where(
        not_(exists(BALANCES.c.account_id).where(OWN_BALANCE))
    ),
)
_INSERT_RECORD = insert(RECORDS).returning(RECORDS.c.id)


def charge(
    connection: Connection, account_id: int, operation_id: int, amount: int, response: str, *, now: str
) -> tuple[int, int]:
    """Takes `amount` from the balance of an account and stores the record. Returns the record's id and the new balance.

    Costs two statements, three at the first use of an account. Raises `InsufficientBalanceError`, and `LostRaceError`
    if the account is deleted or first used at the same time.
    """
    balance = _take(connection, account_id, amount)
    record = {
        "account_id": account_id,
        "operation_id": operation_id,
        "amount": amount,
        "user_balance": balance,
        "operation_response": response,
        "created_at": now,
    }
    return connection.execute(_INSERT_RECORD, record).scalar_one(), balance


def _take(connection: Connection, account_id: int, amount: int) -> int:
    """Returns the balance after `amount` was taken from it, and counts a record."""
    account = {"of_account": account_id}
    balance = connection.execute(_TAKE, {**account, "of_amount": amount}).scalar_one_or_none()
    if balance is not None:
        return int(balance)
    first = FIRST_CREDIT - amount
    if first >= 0:
        with raise_on_duplicate_key(LostRaceError(), foreign_key=True):
            if connection.execute(_TAKE_FIRST, {**account, "first_balance": first}).rowcount == 1:
                return first
    if find_balance(connection, account_id) >= amount:
        raise LostRaceError  # the row was inserted, or the balance rose, after the first statement
    raise InsufficientBalanceError


# ---- delete

_RECORD = bindparam("of_record", type_=RowId)
_REFUND = (
    update(BALANCES)
    .where(OWN_BALANCE, RECORDS.c.account_id == BALANCES.c.account_id, RECORDS.c.id == _RECORD, *LIVE)
    .values(balance=BALANCES.c.balance + RECORDS.c.amount, records=BALANCES.c.records - _ONE)
)
_DELETE = (
    update(RECORDS)
    .where(*LIVE, RECORDS.c.id == _RECORD)
    .values(deleted_at=bindparam("now", type_=UtcText))
    .returning(RECORDS.c.amount)
)
# Rows, because a page at the end of the range also has records of another account.
_RAISE_LATER = lock_rows(
    update(RECORDS).where(*LIVE, RECORDS.c.id > _RECORD).values(user_balance=RECORDS.c.user_balance + _AMOUNT)
)


def delete_record(connection: Connection, account_id: int, record_id: int, *, now: str) -> None:
    """Deletes a live record, returns its amount to the balance, and raises `user_balance` of all later live records.

    Costs three statements. Raises `RecordNotFoundError`, and `LostRaceError` if another transaction deleted it first.
    """
    record = {"of_account": account_id, "of_record": record_id}
    if connection.execute(_REFUND, record).rowcount == 0:
        raise RecordNotFoundError
    amount = connection.execute(_DELETE, {**record, "now": now}).scalar_one_or_none()
    if amount is None:
        raise LostRaceError  # the first statement waited for the other deletion, and had read the record before
    connection.execute(_RAISE_LATER, {**record, "of_amount": amount})
