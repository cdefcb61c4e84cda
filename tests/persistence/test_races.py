"""Lost races and locks: what a concurrent transaction may change between two statements, and the order of locks.

SQLite has one writer, so the changes of the other transaction are made on the writer's own connection, at the statement
that would have waited for it on a SQL Server; the rollback before the retry takes them back. What only a SQL Server
could show is pinned on the text of its statements.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from sqlalchemy import Engine, event
from sqlalchemy.sql import ClauseElement

from persistence.database import retries
from persistence.database.connections import transaction
from tests.support.keys import call, store_aged_keys, stored_counts
from tests.support.tsql import compile_tsql
from tests.support.users import NORTH, SOUTH


class Change(NamedTuple):
    """A statement of another transaction, made once: before or after the next statement with this beginning."""

    when: str
    beginning: str
    statement: str


@pytest.fixture
def meanwhile(database_file: Path) -> Iterator[Callable[..., None]]:
    """A function that plans a `Change`. Each must cost its call one lost race, and no more."""
    assert database_file.exists()
    planned: list[Change] = []
    made: list[Change] = []
    causes: list[str] = []

    def make(when: str) -> Callable[..., None]:
        def listen(_: object, cursor: sqlite3.Cursor, statement: str, *__: object) -> None:
            for change in [change for change in planned if change.when == when]:
                if statement.startswith(change.beginning):
                    planned.remove(change)
                    made.append(change)
                    cursor.connection.execute(change.statement)

        return listen

    listeners = {f"{when}_cursor_execute": make(when) for when in ("before", "after")}
    for name, listener in listeners.items():
        event.listen(Engine, name, listener)
    retries.set_retry_observer(causes.append)
    yield lambda *change: planned.append(Change(*change))
    retries.set_retry_observer(None)
    for name, listener in listeners.items():
        event.remove(Engine, name, listener)
    assert planned == []
    assert causes == ["lost-race"]


LOAD, CLOSE = "SELECT users.id, users.user_id", "UPDATE users SET updated_at=?, is_active="


# ---- checks of users

NAME, MANAGER = {"full_name": "New"}, {"manager_id": SOUTH}


@pytest.mark.parametrize(
    ("changes", "count", "missed"), [(NAME, 1, 1), (MANAGER, 1, 1), (MANAGER, 2, 1), (MANAGER, 2, 2)]
)
def test_an_update_that_missed_a_superseded_row_is_retried(
    api: Any, meanwhile: Any, changes: dict[str, str], count: int, missed: int
) -> None:
    ids = [api.create(manager_id=NORTH)["user_id"] for _ in range(count)]
    # The load waits for the lock, finds that the row is superseded, and does not see the row that superseded it.
    meanwhile("before", LOAD, f"UPDATE users SET is_active = 0 WHERE id <= {missed}")
    meanwhile("before", "SELECT count(*)", "UPDATE users SET is_active = 1")
    response = api.update(ids, **changes)
    assert (response.status_code, response.json().get("updated")) == (200, ids)


@pytest.mark.parametrize(("changes", "versions"), [(NAME, 1), (MANAGER, 2)])
def test_an_update_of_a_row_superseded_since_its_load_is_retried(
    api: Any, meanwhile: Any, stored: Any, changes: dict[str, str], versions: int
) -> None:
    user_id = api.create(manager_id=NORTH)["user_id"]
    meanwhile("after", LOAD, "UPDATE users SET is_active = 0")
    assert api.update([user_id], **changes).json()["updated"] == [user_id]
    assert len(stored("id")) == versions


def test_a_next_version_that_another_transaction_stored_first_is_retried(api: Any, meanwhile: Any, stored: Any) -> None:
    user_id = api.create(manager_id=NORTH)["user_id"]
    meanwhile("after", CLOSE, "UPDATE users SET is_active = 1")  # the index of current versions has the user again
    assert api.update([user_id], manager_id=SOUTH).status_code == 200
    assert stored("version", "is_active") == [(1, False), (2, True)]


@pytest.mark.parametrize(
    "meanwhile_done",
    [
        f"UPDATE managers SET is_active = 0 WHERE manager_id = '{NORTH}'",
        f"DELETE FROM managers WHERE manager_id = '{NORTH}'",
        "UPDATE users SET is_active = 1",  # another user takes the second number
    ],
)
def test_a_creation_that_lost_a_number_or_a_manager_since_its_checks_is_retried(
    api: Any, meanwhile: Any, stored: Any, meanwhile_done: str
) -> None:
    free = api.create()
    with transaction() as connection:
        connection.exec_driver_sql("UPDATE users SET is_active = 0")
    bodies = [api.new_user(manager_id=NORTH), api.new_user(mob_num=free["mob_num"])]
    meanwhile("before", "INSERT INTO users", meanwhile_done)
    response = api.post("create_users", {"users": bodies})
    assert response.status_code == 201
    assert stored("mob_num", "is_active")[1:] == [(body["mob_num"], True) for body in bodies]


# ---- checks of keys and lots


def test_a_claim_that_is_gone_before_its_response_is_stored_is_retried(api: Any, meanwhile: Any) -> None:
    meanwhile("before", "UPDATE idempotency_keys SET status", "DELETE FROM idempotency_keys")
    assert call(api, "addTransaction", "key-1").status_code == 201
    assert stored_counts() == (1, 1, 0)


def test_a_spend_of_a_lot_that_is_gone_is_retried(api: Any, meanwhile: Any) -> None:
    call(api, "addTransaction")
    meanwhile("before", "UPDATE points_transactions", "DELETE FROM points_transactions")
    assert call(api, "spend").json() == [{"payer": "DANNON", "points": -100}]
    assert stored_counts() == (0, 1, 1)


# ---- the order of locks, and their hints


@pytest.fixture
def executed(app_database: None) -> Iterator[list[tuple[str, Any]]]:
    """The executed statements in order, as SQL Server gets them, with their parameters."""
    executed: list[tuple[str, Any]] = []

    def record(_connection: object, statement: object, multiparams: Any, params: Any, _options: object) -> None:
        if isinstance(statement, ClauseElement):
            given = multiparams[0] if multiparams else params
            executed.append((compile_tsql(statement, given), given))

    event.listen(Engine, "before_execute", record)
    yield executed
    event.remove(Engine, "before_execute", record)


def test_rows_are_locked_in_the_order_of_their_ids(api: Any, executed: Any) -> None:
    users = [api.create(manager_id=NORTH if number % 2 else None)["user_id"] for number in range(20)]
    executed.clear()
    assert api.update(sorted(users, reverse=True), manager_id=SOUTH).status_code == 200
    arrays = [orjson.loads(value) for _, given in executed for name, value in given.items() if name.endswith("_ids")]
    assert [len(array) for array in arrays] == [20, 10, 10, 10, 20]  # load, set in place, close, open, log the values
    assert arrays == [sorted(array) for array in arrays]


def test_a_flush_locks_the_ledger_first_and_the_keys_last(api: Any, executed: Any) -> None:
    """A call with a key has locked the key and waits for the ledger: the flush skips that key."""
    assert api.post("flushDB").status_code == 200
    assert [re.findall(r"UPDATE \w+|DELETE FROM \w+", text)[0].split()[-1] for text, _ in executed] == [
        "points_ledger",
        "points_spends",
        "points_transactions",
        "points_balances",
        "idempotency_keys",
        "idempotency_keys",
    ]


LOCKED, FREE = "UPDLOCK, ROWLOCK", "UPDLOCK, ROWLOCK, READPAST, READCOMMITTEDLOCK"


def test_the_statements_that_lock_rows_or_skip_locked_ones_say_so(api: Any, executed: Any) -> None:
    users = [api.create()["user_id"] for _ in range(2)]
    store_aged_keys(3, hours=30)
    executed.clear()
    api.update(users[:1], full_name="New")
    api.update(users, manager_id=NORTH)
    api.post("delete_user", {"user_id": users[0]})
    api.get(manager_id=NORTH)
    call(api, "addTransaction", "key-1")
    call(api, "spend")
    api.client.get("/balance")
    api.post("flushDB")
    hinted = [(text.split()[0], *found) for text, _ in executed for found in re.findall(r"(\w+) WITH \((.+?)\)", text)]
    assert hinted == [
        ("SELECT", "users", LOCKED),
        ("SELECT", "users", LOCKED),
        ("SELECT", "idempotency_keys", FREE),
        ("DELETE", "idempotency_keys", FREE),
        ("DELETE", "idempotency_keys", FREE),
    ]
    values, lots = [text for text, _ in executed if " OPTION " in text]
    assert values.startswith("INSERT INTO user_change_values")
    assert values.endswith("OPTION (LOOP JOIN)")
    assert lots.startswith("SELECT points_transactions.id")
    assert lots.endswith("OPTION (FAST 100)")
