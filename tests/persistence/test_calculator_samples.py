"""The records of the sample accounts: in an embedded database, and by the script of add-samples."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import delete, select

from admin.calculator import add_samples
from persistence import calculator as store
from persistence.accounts import find_account
from persistence.accounts.tables import ACCOUNTS
from persistence.calculator.tables import BALANCES, RECORDS
from persistence.database import connections
from tests.support.credits import COSTS, NOW, balance_of, charge, check_books, grants_between, read, records_of

pytestmark = pytest.mark.usefixtures("database_file")

SAMPLES = {"testuser": 10_000, "testuser2": 0}


def _id(username: str) -> int:
    account = read(find_account, username)
    assert account is not None
    return account.id


def _add_samples() -> None:
    with connections.transaction() as connection:
        add_samples(connection, now=NOW)


def _rows() -> list[Any]:
    """The stored rows, without the ids of records."""
    with connections.reading() as connection:
        balances = connection.execute(select(BALANCES).order_by(BALANCES.c.account_id)).all()
        return [*balances, *connection.execute(select(*[*RECORDS.c][1:]).order_by(RECORDS.c.id))]


@pytest.mark.parametrize(("username", "granted"), SAMPLES.items())
def test_the_samples_keep_the_rule(username: str, granted: int) -> None:
    account_id = _id(username)
    check_books(account_id)
    between = grants_between(account_id)
    assert (between[0], sum(between)) == (granted, granted)
    assert all(record["amount"] == COSTS[record["operation_id"]] for record in _records(account_id))


def _records(account_id: int) -> list[store.Record]:
    return records_of(account_id, store.Page(limit=2_000))


def test_testuser_has_1100_records_of_all_kinds_and_testuser2_833_additions() -> None:
    first, second = (_id(username) for username in SAMPLES)
    kinds = Counter(record["operation_id"] for record in _records(first))
    assert kinds == {1: 184, 2: 184, 3: 183, 4: 183, 5: 183, 6: 183}
    assert sum(kinds.values()) == 1_100
    assert Counter(record["operation_id"] for record in _records(second)) == {1: 833}
    assert balance_of(second) == 1


def test_the_script_inserts_the_same_and_once() -> None:
    seeded = _rows()
    assert len(seeded) == 2 + 1_100 + 833
    with connections.transaction() as connection:
        connection.execute(delete(BALANCES))
    assert _rows() == []
    for _ in range(2):
        _add_samples()
        assert _rows() == seeded


def test_no_samples_for_an_account_in_use_or_without_the_mark() -> None:
    with connections.transaction() as connection:
        connection.execute(delete(BALANCES))
        connection.execute(ACCOUNTS.update().where(ACCOUNTS.c.username == "testuser2").values(is_sample=False))
    charge(_id("testuser"))
    _add_samples()
    assert len(_rows()) == 2
