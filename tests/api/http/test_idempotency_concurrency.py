"""Idempotency keys under concurrency: calls that begin together, lost races, deadlocks and lost commits."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from persistence.database import connections, retries
from tests.support.keys import balance_of, call, code_of, content_of, each_route, stored_counts
from tests.support.threads import at_once

# ---- concurrent calls


@each_route
def test_32_threads_with_one_key_have_one_effect_and_equal_responses(api: Any, route: str) -> None:
    call(api, "addTransaction", points=100_000)
    responses = Counter(at_once(32, lambda _: content_of(call(api, route, "key-1"))))
    assert list(responses.values()) == [32]
    assert next(iter(responses))[0] < 300
    assert stored_counts() == {"addTransaction": (1, 2, 0), "spend": (1, 1, 1)}[route]


def test_two_spends_of_all_points_at_once_under_one_key_both_succeed(api: Any) -> None:
    def spend_all(key: str, _: int) -> Any:
        return content_of(call(api, "spend", key, points=300))

    for number in range(10):
        call(api, "addTransaction")
        responses = at_once(2, partial(spend_all, f"key-{number}"))
        assert responses[0] == responses[1]
        assert responses[0][:2] == (200, b'[{"payer":"DANNON","points":-300}]')
        assert balance_of(api) == {"DANNON": 0}


def test_threads_with_keys_of_their_own_do_not_conflict(api: Any) -> None:
    ids = at_once(16, lambda number: call(api, "addTransaction", f"key-{number % 8}").json()["id"])
    assert ids[:8] == ids[8:]
    assert len({*ids}) == 8
    assert stored_counts() == (8, 8, 0)


def test_one_of_two_concurrent_requests_under_one_key_is_rejected(api: Any) -> None:
    statuses = at_once(16, lambda number: call(api, "addTransaction", "key-1", points=1 + number % 2).status_code)
    assert Counter(statuses) == {201: 8, 409: 8}
    assert stored_counts() == (1, 1, 0)


# ---- SQL Server: the claims of two calls may conflict, and the response to a commit may be lost


class _Connection(sqlite3.Connection):
    """As pyodbc's connections, it may have a `timeout`."""

    server: _Server

    def commit(self) -> None:
        self.server.meet(self, "COMMIT")
        super().commit()
        self.server.meet(self, "end of the COMMIT")


class _Server:
    """The app with the engines of SQL Server over data in SQLite; tests set actions for statements."""

    def __init__(self, path: Path) -> None:
        self.at: dict[str, Callable[[Any], None]] = {}  # by the beginning of the statement; each happens once
        self.executed: list[str] = []

        def connect() -> _Connection:
            connection = sqlite3.connect(path, factory=_Connection, check_same_thread=False)
            connection.server = self
            return connection

        def engine(**options: Any) -> Engine:
            made = create_engine(
                "sqlite://", creator=connect, poolclass=QueuePool, pool_reset_on_return=None, **options
            )
            event.listen(made, "do_execute", self.meet)
            return made

        reader = engine(isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)
        connections.connect_engines(reader, engine(), retry_seconds=5)

    def meet(self, driver: Any, statement: str, *_: Any) -> None:
        self.executed.append(statement)
        for beginning in [beginning for beginning in self.at if statement.startswith(beginning)]:
            self.at.pop(beginning)(driver)


def _fault(state: str, number: str) -> sqlite3.Error:
    """An error as pyodbc raises it: SQLSTATE, then a text with the server's number."""
    kind = sqlite3.IntegrityError if state == "23000" else sqlite3.OperationalError
    return kind(state, f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server]No. ({number}) (SQLExecDirectW)")


@pytest.fixture
def server(database_file: Path) -> _Server:
    """The app on the engines of SQL Server."""
    return _Server(database_file)


CLAIM = "INSERT INTO idempotency_keys"
FIND = "SELECT idempotency_keys.call_hash"


@pytest.mark.parametrize("number", ["2601", "2627"])
@pytest.mark.parametrize(("points", "status"), [(300, 200), (299, 409)])
def test_a_claim_that_loses_is_retried_and_replays_the_winner(
    server: _Server, api: Any, number: str, points: int, status: int
) -> None:
    winners = []

    def lose(_: Any) -> None:
        winners.append(call(api, "spend", "key-1", points=300))  # it commits while this one waits for the key
        raise _fault("23000", number)

    call(api, "addTransaction")
    server.at[CLAIM] = lose
    response = call(api, "spend", "key-1", points=points)
    (winner,) = winners
    assert response.status_code == status
    if status == 200:
        assert content_of(response) == content_of(winner)
    else:
        assert code_of(response) == "idempotency-key-reused"
    assert winner.json() == [{"payer": "DANNON", "points": -300}]
    assert len([statement for statement in server.executed if statement.startswith(CLAIM)]) == 3
    assert stored_counts() == (1, 1, 1)


def test_a_claim_that_loses_every_race_is_a_409_and_stores_nothing(server: _Server, api: Any) -> None:
    attempts = []

    def lose(_: Any) -> None:
        attempts.append(1)
        server.at[CLAIM] = lose
        raise _fault("23000", "2627")

    server.at[CLAIM] = lose
    assert code_of(call(api, "addTransaction", "key-1")) == "lost-race"
    assert len(attempts) == retries.MAX_RACE_ATTEMPTS
    server.at.clear()
    assert stored_counts() == (0, 0, 0)


def test_a_key_deleted_before_it_is_read_is_claimed_again(server: _Server, api: Any) -> None:
    first = call(api, "addTransaction", "key-1")
    server.at[FIND] = lambda cursor: cursor.connection.execute("DELETE FROM idempotency_keys")
    assert content_of(call(api, "addTransaction", "key-1")) == content_of(first)  # the deletion was rolled back with it
    assert stored_counts() == (1, 1, 0)


@pytest.mark.parametrize("beginning", [CLAIM, "UPDATE points_ledger", "UPDATE idempotency_keys", "COMMIT"])
def test_a_deadlock_victim_is_retried_and_has_one_effect(server: _Server, api: Any, beginning: str) -> None:
    def deadlock(_: Any) -> None:
        raise _fault("40001", "1205")

    server.at[beginning] = deadlock
    first = call(api, "addTransaction", "key-1")
    assert first.status_code == 201
    assert server.at == {}
    assert content_of(call(api, "addTransaction", "key-1")) == content_of(first)
    assert stored_counts() == (1, 1, 0)


@each_route
@pytest.mark.parametrize(("place", "effects"), [("COMMIT", 0), ("end of the COMMIT", 1)])
def test_a_call_with_an_unknown_outcome_can_be_repeated_safely(
    server: _Server, api: Any, route: str, place: str, effects: int
) -> None:
    def lose(_: Any) -> None:
        raise _fault("08S01", "10054")

    call(api, "addTransaction")
    server.at[place] = lose
    assert code_of(call(api, route, "key-1")) == "outcome-unknown"
    assert stored_counts()[0] == effects
    first = call(api, route, "key-1")
    assert first.is_success
    assert content_of(call(api, route, "key-1")) == content_of(first)
    assert stored_counts() == {"addTransaction": (1, 2, 0), "spend": (1, 1, 1)}[route]
