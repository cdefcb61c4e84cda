"""Any sequence of calls keeps the rule of balances, and so do calls at the same time; lost races and locks."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, insert
from sqlalchemy.sql import ClauseElement

from domain.calculator import FIRST_CREDIT, InsufficientBalanceError, RecordNotFoundError
from persistence import calculator as store
from persistence.calculator.tables import BALANCES
from persistence.database import connections
from persistence.database.errors import LostRaceError
from persistence.migrations.scripts import SQL, split_batches
from tests.support.credits import (
    COSTS,
    NOW,
    balance_of,
    charge,
    check_books,
    delete,
    grant,
    grants_between,
    live_balances,
    new_account,
    write,
)
from tests.support.threads import at_once
from tests.support.tsql import compile_tsql

pytestmark = pytest.mark.usefixtures("app_database")


# ---- any sequence


class Charge(NamedTuple):
    """A charge of this amount; it is rejected where the balance is less."""

    amount: int


class Delete(NamedTuple):
    """A deletion of a record by its place among those that were ever charged, or of what is not the account's."""

    place: int


class Grant(NamedTuple):
    """A grant of this amount."""

    amount: int


STEPS = st.lists(
    st.one_of(
        st.builds(Charge, st.sampled_from([*COSTS.values(), 1_000, 2_497, 2_500, 2_501])),
        st.builds(Delete, st.integers(0, 40)),
        st.builds(Grant, st.integers(1, 3_000)),
    ),
    max_size=25,
)


class Books:
    """What the rule says of one account: grants and charges in their order, and the records that are deleted."""

    def __init__(self, others: int) -> None:
        self.account_id, self.username = new_account()
        self.history: list[tuple[int, int]] = []  # id of the record, or 0 for a grant, and what the balance gained
        self.deleted: set[int] = set()
        self.others = others

    def run(self, step: Charge | Delete | Grant) -> None:
        """Makes a call and records it, unless it is rejected as it must be."""
        match step:
            case Charge(amount) if amount > self.balance():
                with pytest.raises(InsufficientBalanceError):
                    charge(self.account_id, amount=amount)
            case Charge(amount):
                self.history.append((charge(self.account_id, amount=amount), -amount))
            case Grant(amount):
                grant(self.username, amount)
                self.history.append((0, amount))
            case Delete(place):
                ids = [record_id for record_id, _ in self.history if record_id] + [self.others, 2**62]
                self.delete(ids[place % len(ids)])

    def delete(self, record_id: int) -> None:
        """Deletes a record, which is rejected unless it is a live one of the account."""
        if record_id in {own for own, _ in self.history} - self.deleted:
            delete(self.account_id, record_id)
            self.deleted.add(record_id)
        else:
            with pytest.raises(RecordNotFoundError):
                delete(self.account_id, record_id)

    def balance(self) -> int:
        """The balance by the rule."""
        return FIRST_CREDIT + sum(gain for record_id, gain in self.history if record_id not in self.deleted)

    def live_balances(self) -> dict[int, int]:
        """`user_balance` of the live records by the rule."""
        balance = FIRST_CREDIT
        balances: dict[int, int] = {}
        for record_id, gain in self.history:
            if record_id not in self.deleted:
                balance += gain
                balances |= {record_id: balance} if record_id else {}
        return balances


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_sequence_of_calls_keeps_the_rule(steps: list[Charge | Delete | Grant]) -> None:
    other_id, _ = new_account()
    books = Books(charge(other_id))
    for step in steps:
        books.run(step)
        assert balance_of(books.account_id) == books.balance() >= 0
        assert live_balances(books.account_id) == books.live_balances()
        check_books(books.account_id)
    assert live_balances(other_id) == {books.others: FIRST_CREDIT - 3}


# ---- at the same time


@pytest.fixture
def account() -> tuple[int, str]:
    """The id and the name of a new account."""
    return new_account()


def test_charges_at_once_never_take_more_than_the_balance(account: tuple[int, str]) -> None:
    account_id, _ = account

    def work(_: int) -> int:
        charged = 0
        for _ in range(12):
            try:
                charge(account_id, 6)
                charged += 1
            except InsufficientBalanceError:
                assert balance_of(account_id) < 8
        return charged

    assert sum(at_once(32, work)) == 312  # of 384; 2,500 // 8
    assert balance_of(account_id) == 4
    assert [*live_balances(account_id).values()] == [*range(2492, 3, -8)]
    check_books(account_id)


def test_32_threads_on_one_account_keep_the_rule(account: tuple[int, str]) -> None:
    account_id, username = account

    def work(number: int) -> int:
        chance = random.Random(number)
        own: list[int] = []
        granted = 0
        for _ in range(15):
            step = chance.random()
            if step < 0.6:
                own.append(charge(account_id, chance.randint(1, 6)))
            elif step < 0.9 and own:
                delete(account_id, own.pop(chance.randrange(len(own))))
            else:
                granted += grant(username, 7) and 7
        return granted

    granted = sum(at_once(32, work))
    between = grants_between(account_id)
    assert sum(between) == granted > 0
    assert all(amount >= 0 and amount % 7 == 0 for amount in between)
    check_books(account_id)


def test_two_deletions_of_one_record_at_once_refund_it_once(account: tuple[int, str]) -> None:
    account_id, _ = account
    for _ in range(10):
        record_id, later_id = charge(account_id, 6), charge(account_id)

        def work(_: int, record_id: int = record_id) -> bool:
            try:
                delete(account_id, record_id)
            except RecordNotFoundError:
                return False
            return True

        assert sorted(at_once(2, work)) == [False, True]
        delete(account_id, later_id)
        assert balance_of(account_id) == FIRST_CREDIT
    check_books(account_id)


# ---- lost races: what another transaction changes between two statements. SQLite has one writer, so its own connection
# makes the change, at the statement that would have waited on a SQL Server. The rollback takes it back.


@pytest.fixture
def meanwhile(database_file: Any) -> Iterator[Callable[[str, str], None]]:
    """A function that plans a statement of another transaction, before the next statement with a beginning."""
    planned: dict[str, str] = {}

    def make(_: object, cursor: Any, statement: str, *__: object) -> None:
        for beginning in [each for each in planned if statement.startswith(each)]:
            cursor.connection.execute(planned.pop(beginning))

    event.listen(Engine, "before_cursor_execute", make)
    yield planned.__setitem__
    event.remove(Engine, "before_cursor_execute", make)
    assert planned == {}


FIRST_INSERT = "INSERT INTO calculator_balances"


def _insert_balance(account_id: int, balance: int) -> str:
    return f"INSERT INTO calculator_balances VALUES ({account_id}, {balance}, 0, 0)"


def _attempt(function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    with connections.transaction() as connection:
        function(connection, *arguments, **named)


def test_a_record_deleted_between_the_statements_of_a_deletion_is_a_lost_race(
    account: tuple[int, str], meanwhile: Any
) -> None:
    account_id, _ = account
    record_id = charge(account_id)
    other = ("UPDATE calculator_records SET deleted_at", f"UPDATE calculator_records SET deleted_at = '{NOW}'")
    meanwhile(*other)
    with pytest.raises(LostRaceError):
        _attempt(store.delete_record, account_id, record_id, now=NOW)
    assert balance_of(account_id) == 2497
    check_books(account_id)
    meanwhile(*other)
    write(store.delete_record, account_id, record_id, now=NOW)
    assert balance_of(account_id) == FIRST_CREDIT


def test_a_first_charge_that_finds_a_balance_meanwhile_is_retried(account: tuple[int, str], meanwhile: Any) -> None:
    account_id, _ = account
    meanwhile(FIRST_INSERT, _insert_balance(account_id, FIRST_CREDIT))
    charge(account_id)
    assert balance_of(account_id) == 2497


def test_a_first_charge_that_finds_too_little_meanwhile_is_rejected(account: tuple[int, str], meanwhile: Any) -> None:
    account_id, _ = account
    meanwhile(FIRST_INSERT, _insert_balance(account_id, 2))
    with pytest.raises(InsufficientBalanceError):
        _attempt(store.charge, account_id, 1, 3, "1", now=NOW)


def test_a_first_grant_that_finds_a_balance_meanwhile_is_retried(account: tuple[int, str], meanwhile: Any) -> None:
    account_id, username = account
    meanwhile(FIRST_INSERT, _insert_balance(account_id, FIRST_CREDIT))
    assert grant(username, 5) == balance_of(account_id) == 2505


def test_an_account_that_is_deleted_meanwhile_is_a_lost_race(account: tuple[int, str], meanwhile: Any) -> None:
    account_id, username = account
    gone = (FIRST_INSERT, f"DELETE FROM accounts WHERE id = {account_id}")
    meanwhile(*gone)
    with pytest.raises(LostRaceError):
        _attempt(store.charge, account_id, 1, 3, "1", now=NOW)
    meanwhile(*gone)
    with pytest.raises(LostRaceError):
        _attempt(store.grant, username, 5)
    charge(account_id)  # the rollback brought it back


# ---- locks, on the text of what SQL Server gets


def test_writes_lock_the_balance_first_and_rows_only(account: tuple[int, str]) -> None:
    account_id, username = account
    with connections.transaction() as connection:
        values = {"account_id": account_id, "balance": FIRST_CREDIT, "granted": 0, "records": 0}
        connection.execute(insert(BALANCES), values)
    texts: list[str] = []

    def record(_connection: object, statement: object, multiparams: Any, params: Any, _options: object) -> None:
        if isinstance(statement, ClauseElement):
            texts.append(compile_tsql(statement, multiparams[0] if multiparams else params))

    event.listen(Engine, "before_execute", record)
    record_id = charge(account_id)
    delete(account_id, record_id)
    grant(username, 1)
    event.remove(Engine, "before_execute", record)
    written = [re.match(r"(?:UPDATE|INSERT INTO) (\w+(?: WITH \(\w+\))?)", text) for text in texts]
    assert [match[1] for match in written if match] == [
        "calculator_balances",
        "calculator_records",
        "calculator_balances",
        "calculator_records",
        "calculator_records WITH (ROWLOCK)",
        "calculator_balances",
    ]
    assert "OPENJSON" not in "".join(texts)


def test_the_records_of_an_account_are_a_range_whose_locks_never_escalate() -> None:
    batches = split_batches((SQL / "calculator" / "001_baseline.sql").read_text("utf-8"))
    statements = [batch.removeprefix("IF @@TRANCOUNT > 0\n") for batch in batches]
    assert "ALTER TABLE calculator_records SET (LOCK_ESCALATION = DISABLE);" in statements
    clustered = "CREATE UNIQUE CLUSTERED INDEX ux_calculator_records_account ON calculator_records "
    assert f"{clustered}(account_id, deleted_at, id);" in statements
