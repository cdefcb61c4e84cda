"""Charges, grants and deletions: their effects, their statements, and accounts and records that are gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from domain.accounts import AccountNotFoundError
from domain.calculator import FIRST_CREDIT, InsufficientBalanceError, RecordNotFoundError
from persistence import calculator as store
from persistence.accounts import delete_account
from persistence.calculator.tables import BALANCES, RECORDS
from persistence.database import connections
from persistence.database.errors import LostRaceError
from tests.support.credits import (
    NOW,
    balance_of,
    charge,
    check_books,
    delete,
    grant,
    live_balances,
    new_account,
    read,
    records_of,
    write,
)
from tests.support.rows import insert_rows

pytestmark = pytest.mark.usefixtures("app_database")

LATER = "2026-11-22T10:00:00.000000Z"


def _stored(account_id: int) -> list[Any]:
    with connections.reading() as connection:
        return [*connection.execute(select(BALANCES).where(BALANCES.c.account_id == account_id))]


# ---- effects


def test_a_charge_takes_its_amount_and_stores_the_balance_after_it() -> None:
    account_id, _ = new_account()
    first = write(store.charge, account_id, 5, 4, "1.5", now=NOW)
    second = write(store.charge, account_id, 6, 8, "aB3", now=LATER)
    assert (first[1], second[1]) == (2496, 2488)
    assert second[0] > first[0]
    assert records_of(account_id, store.Page()) == [
        {
            "id": record_id,
            "operation_id": operation_id,
            "operation_type": name,
            "user_id": account_id,
            "amount": amount,
            "user_balance": balance,
            "operation_response": response,
            "created_at": created_at,
        }
        for record_id, operation_id, name, amount, balance, response, created_at in [
            (second[0], 6, "Random String", 8, 2488, "aB3", LATER),
            (first[0], 5, "Square Root", 4, 2496, "1.5", NOW),
        ]
    ]
    check_books(account_id)


@pytest.mark.parametrize("first", [[], [2499]])
def test_a_balance_equal_to_the_cost_is_enough_and_less_is_not(first: list[int]) -> None:
    account_id, _ = new_account()
    for amount in first:
        charge(account_id, amount=amount)
    left = FIRST_CREDIT - sum(first)
    with pytest.raises(InsufficientBalanceError) as caught:
        charge(account_id, amount=left + 1)
    assert caught.value.member_values == {"error": "insufficient balance"}
    assert balance_of(account_id) == left
    charge(account_id, amount=left)
    assert balance_of(account_id) == 0
    with pytest.raises(InsufficientBalanceError):
        charge(account_id, amount=1)
    check_books(account_id)


def test_reading_stores_nothing_and_a_new_account_has_the_first_credit() -> None:
    account_id, _ = new_account()
    assert balance_of(account_id) == FIRST_CREDIT == 2500
    assert (records_of(account_id, store.Page()), read(store.count_records, account_id)) == ([], 0)
    assert _stored(account_id) == []


@pytest.mark.parametrize("used", [False, True])
def test_a_grant_raises_the_balance_and_changes_no_record(used: bool) -> None:
    account_id, username = new_account()
    record_ids = [charge(account_id)] if used else []
    assert grant(username, 1_000) == balance_of(account_id) == 3_500 - 3 * used
    assert grant(username, 1_000_000_000) == 1_000_003_500 - 3 * used
    assert live_balances(account_id) == dict.fromkeys(record_ids, 2497)
    check_books(account_id)


def test_a_grant_to_an_unknown_name_is_an_error() -> None:
    with pytest.raises(AccountNotFoundError):
        grant("unknown", 1)


def test_a_deletion_returns_the_amount_and_raises_later_balances_only() -> None:
    account_id, _ = new_account()
    other_id, _ = new_account()
    ids = [charge(account, operation) for operation in (1, 3, 6) for account in (account_id, other_id)]
    others = live_balances(other_id)
    delete(account_id, ids[2])
    assert live_balances(account_id) == {ids[0]: 2497, ids[4]: 2489}
    assert balance_of(account_id) == 2489
    assert live_balances(other_id) == others
    delete(account_id, ids[0])
    delete(account_id, ids[4])
    assert balance_of(account_id) == FIRST_CREDIT
    for each in (account_id, other_id):
        check_books(each)


def test_a_deleted_record_stays_with_the_time_of_its_deletion() -> None:
    account_id, _ = new_account()
    record_id = charge(account_id)
    write(store.delete_record, account_id, record_id, now=LATER)
    with connections.reading() as connection:
        row = connection.execute(select(RECORDS).where(RECORDS.c.id == record_id)).one()
    assert (row.deleted_at, row.created_at, row.amount, row.user_balance) == (LATER, NOW, 3, 2497)


def test_a_record_that_is_deleted_unknown_or_of_others_is_not_found() -> None:
    account_id, _ = new_account()
    other_id, _ = new_account()
    deleted, others = charge(account_id), charge(other_id)
    delete(account_id, deleted)
    for record_id in (deleted, others, others + 1, 0, -1, 2**63 - 1):
        with pytest.raises(RecordNotFoundError):
            delete(account_id, record_id)
    assert (balance_of(account_id), balance_of(other_id)) == (FIRST_CREDIT, FIRST_CREDIT - 3)


def test_an_id_is_not_used_again_after_its_account_is_gone() -> None:
    (account_id, username), (admin_id, _), (other_id, _) = (new_account() for _ in range(3))
    last = charge(account_id)
    write(delete_account, username, by_id=admin_id)
    assert charge(other_id) > last


# ---- an account that is gone


def test_a_charge_of_a_missing_account_is_a_lost_race() -> None:
    with connections.reading() as connection:
        assert not connection.execute(select(BALANCES).where(BALANCES.c.account_id == 987_654_321)).all()
    with pytest.raises(LostRaceError), connections.transaction() as connection:
        store.charge(connection, 987_654_321, 1, 3, "1", now=NOW)


def test_an_account_takes_its_balance_and_records_with_it() -> None:
    (account_id, username), (other_id, _), (admin_id, _) = (new_account() for _ in range(3))
    for _ in range(3):
        charge(account_id)
        deleted = charge(other_id)
    charge(other_id)
    delete(other_id, deleted)
    kept = live_balances(other_id)
    write(delete_account, username, by_id=admin_id)
    with connections.reading() as connection:
        assert connection.execute(select(RECORDS.c.id).where(RECORDS.c.account_id == account_id)).all() == []
    assert (_stored(account_id), live_balances(other_id)) == ([], kept)
    check_books(other_id)


@pytest.mark.parametrize("table", [BALANCES, RECORDS])
def test_each_foreign_key_cascades_and_has_an_index(table: Any) -> None:
    (key,) = table.foreign_keys
    assert key.ondelete == "CASCADE"
    leading = [next(iter(index.columns)) for index in table.indexes] + [next(iter(table.primary_key.columns))]
    assert key.parent in leading


# ---- statements


def _store_records(account_id: int, count: int) -> None:
    """Stores live additions directly, because charges would take longer; their balances are not checked."""
    with connections.transaction() as connection:
        connection.execute(update(BALANCES).where(BALANCES.c.account_id == account_id).values(records=count + 1))
        rows = [{"user_balance": number} for number in range(count)]
        same = {"account_id": account_id, "operation_id": 1, "amount": 3, "operation_response": "1", "created_at": NOW}
        insert_rows(connection, RECORDS, rows, **same)


def test_the_statements_of_charges_and_grants(count_statements: Callable[[], int]) -> None:
    account_id, username = new_account()
    read(store.find_balance, account_id)  # the first read of a new pool queries the version of a SQL Server, once
    costs = []
    calls: list[Callable[[], Any]] = [
        lambda: charge(account_id),
        lambda: charge(account_id),
        lambda: balance_of(account_id),
        lambda: records_of(account_id, store.Page("a", "amount")),
        lambda: read(store.count_records, account_id),
        lambda: read(store.count_records, account_id, "a"),
        lambda: grant(username, 1),
    ]
    for call in calls:
        count_statements()
        call()
        costs.append(count_statements())
    assert costs == [3, 2, 1, 1, 1, 1, 2]


def test_a_rejected_charge_costs_three_statements(count_statements: Callable[[], int]) -> None:
    account_id, _ = new_account()
    charge(account_id, amount=2500)
    count_statements()
    with pytest.raises(InsufficientBalanceError):
        charge(account_id)
    assert count_statements() == 3


@pytest.mark.parametrize("later", [1, 10, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_deletion_costs_three_statements_whatever_follows(count_statements: Callable[[], int], later: int) -> None:
    account_id, _ = new_account()
    record_id = charge(account_id)
    _store_records(account_id, later)
    count_statements()
    delete(account_id, record_id)
    assert count_statements() == 3
    assert [*live_balances(account_id).values()] == [number + 3 for number in range(later)]
    with pytest.raises(RecordNotFoundError):
        delete(account_id, record_id)
    assert count_statements() == 2  # with the list


# ---- constraints


def test_the_tables_reject_a_balance_below_zero_and_a_second_one() -> None:
    account_id, _ = new_account()
    charge(account_id)
    own = BALANCES.c.account_id == account_id
    for statement in (
        update(BALANCES).where(own).values(balance=-1),
        insert(BALANCES).values(account_id=account_id, balance=1, granted=0, records=0),
        insert(BALANCES).values(account_id=987_654_321, balance=1, granted=0, records=0),
    ):
        with connections.transaction() as connection, pytest.raises(IntegrityError):
            connection.execute(statement)
    check_books(account_id)
