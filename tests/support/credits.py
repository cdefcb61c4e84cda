"""Accounts of the calculator, their charges and grants in transactions of their own, and the stored rows."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import select

from domain.calculator import FIRST_CREDIT, OPERATIONS
from persistence import calculator as store
from persistence.accounts import find_account, insert_account
from persistence.calculator.tables import BALANCES, RECORDS
from persistence.database import connections
from persistence.database.retries import run_with_retries

T = TypeVar("T")

NOW: Final = "2026-11-21T10:00:00.000000Z"
COSTS: Final = {operation.id: operation.cost for operation in OPERATIONS}

_numbers = itertools.count()


def new_account() -> tuple[int, str]:
    """Inserts an account; returns its id and its name."""
    username = f"account{next(_numbers)}"
    with connections.transaction() as connection:
        insert_account(connection, username, "hash", role="USER", now=NOW)
        account = find_account(connection, username)
    assert account is not None
    return account.id, username


def write(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Returns the result of a function of the store, in a transaction with retries."""

    def attempt() -> T:
        with connections.transaction() as connection:
            return function(connection, *arguments, **named)

    return run_with_retries(attempt)


def read(function: Callable[..., T], *arguments: Any) -> T:
    """Returns the result of a function of the store that reads."""
    with connections.reading() as connection:
        return function(connection, *arguments)


def charge(account_id: int, operation_id: int = 1, *, amount: int | None = None, response: str = "1") -> int:
    """Charges an operation, for its cost unless an amount is given. Returns the id of the record."""
    cost = COSTS[operation_id] if amount is None else amount
    return write(store.charge, account_id, operation_id, cost, response, now=NOW)[0]


delete = functools.partial(write, store.delete_record, now=NOW)
grant = functools.partial(write, store.grant)
balance_of = functools.partial(read, store.find_balance)
records_of = functools.partial(read, store.list_records)


def live_balances(account_id: int) -> dict[int, int]:
    """Returns `user_balance` of an account's live records by id, in the order of ids."""
    page = store.Page(descending=False, limit=1_000_000)
    return {record["id"]: record["user_balance"] for record in records_of(account_id, page)}


def check_books(account_id: int) -> None:
    """Asserts the rule of balances, whatever the order of grants: `grants_between` has the rest of it."""
    with connections.reading() as connection:
        row = connection.execute(select(BALANCES).where(BALANCES.c.account_id == account_id)).one_or_none()
        amounts = connection.execute(
            select(RECORDS.c.amount).where(RECORDS.c.account_id == account_id, RECORDS.c.deleted_at.is_(None))
        ).scalars()
        live = [*amounts]
    granted, records = (0, 0) if row is None else (row.granted, row.records)
    assert balance_of(account_id) == FIRST_CREDIT + granted - sum(live) >= 0
    assert records == len(live) == read(store.count_records, account_id)
    assert sum(grants_between(account_id)) == granted


def grants_between(account_id: int) -> list[int]:
    """Returns what was granted before the first live record, between each two of them, and after the last one."""
    amounts = {record["id"]: record["amount"] for record in records_of(account_id, store.Page(limit=1_000_000))}
    before, granted = FIRST_CREDIT, []
    for record_id, balance in live_balances(account_id).items():
        granted.append(balance + amounts[record_id] - before)
        before = balance
    return [*granted, balance_of(account_id) - before]
