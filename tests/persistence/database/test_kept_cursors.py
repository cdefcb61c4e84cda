"""Which cursors a connection to SQL Server keeps, and how long their statements may take."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, CursorResult, Select, Unicode, bindparam, insert, select, text

from domain.users.changes import Attribution
from persistence.database import connections, retries
from persistence.database.errors import OutcomeUnknownError
from persistence.users import delete_user
from persistence.users.tables import USERS
from tests.support.counting_driver import Server

READ_SECONDS, WRITE_SECONDS = 30, 10
KEPT = 100


def _statement(number: int = 0) -> Select[Any]:
    """A statement of its own for each number."""
    return select(USERS.c.id).where(USERS.c.full_name == bindparam("name"), text(f"{number} = {number}"))


def _execute(connection: Connection, number: int = 0) -> CursorResult[Any]:
    return connection.execute(_statement(number), {"name": "Asha Rao"})


def _cursor(server: Server, call: Callable[[], Any]) -> tuple[int, int]:
    """The cursor and the timeout of the last statement of a call."""
    server.sent_by(call)
    execution = server.executions[-1]
    return execution.cursor, execution.timeout


def _open(server: Server) -> set[int]:
    return {cursor.number for cursor in server.open_cursors()}


@pytest.fixture
def three_users(api: Any, server: Server) -> None:
    for _ in range(3):
        api.create()


# ---- time


@pytest.mark.parametrize("route", ["get_users", "create_user"])
def test_the_budget_does_not_shorten_a_statement_that_begins_within_it(server: Server, api: Any, route: str) -> None:
    def call() -> Any:
        return api.post(route, api.new_user() if route == "create_user" else {"limit": 1})

    limit = READ_SECONDS if route == "get_users" else WRITE_SECONDS
    cursor, seconds = _cursor(server, call)
    assert seconds == limit
    for budget in (20, 1):
        retries.set_budget(budget)
        assert _cursor(server, call) == (cursor, limit)


@pytest.mark.parametrize(("budget", "expected"), [(-5, {24, 25}), (-100, {1})])
def test_a_statement_after_the_budget_has_the_rest_of_both(
    server: Server, api: Any, budget: int, expected: set[int]
) -> None:
    def call() -> Any:
        return api.get(limit=1)

    kept, _ = _cursor(server, call)
    retries.set_budget(budget)
    cursor, seconds = _cursor(server, call)
    assert seconds in expected
    assert cursor not in _open(server), "it has another limit than later calls need"
    retries.set_budget(20)
    assert _cursor(server, call) == (kept, READ_SECONDS)


# ---- what is kept


@pytest.mark.usefixtures("three_users")
@pytest.mark.parametrize(
    ("read", "is_kept"),
    [
        (CursorResult.all, True),
        (lambda result: result.fetchmany(4), True),
        (lambda result: [*result], True),
        (CursorResult.first, False),
        (lambda result: result.fetchmany(2), False),
    ],
)
def test_a_cursor_is_kept_if_its_result_was_read_to_the_end(
    server: Server, read: Callable[[CursorResult[Any]], Any], *, is_kept: bool
) -> None:
    with connections.reading() as connection:
        with _execute(connection) as result:
            assert read(result)
        cursor = server.executions[-1].cursor
        assert (cursor in _open(server)) == is_kept
        assert _execute(connection, 1).all() == _execute(connection).all(), "no other result is open"
        assert (server.executions[-1].cursor == cursor) == is_kept


@pytest.mark.usefixtures("three_users")
def test_an_abandoned_result_blocks_no_later_call(server: Server) -> None:
    abandoned = []

    def abandon() -> None:
        with connections.reading() as connection:
            abandoned.append(connection.execute(select(USERS.c.id)))  # kept alive, as by a traceback
            assert abandoned[0].fetchone()
            raise LookupError

    with pytest.raises(LookupError):
        abandon()
    with connections.reading() as connection:
        assert len(_execute(connection).all()) == 3


def test_a_cursor_is_closed_after_an_error(server: Server, api: Any) -> None:
    server.sent_by(lambda: api.create(mob_num="9876543210"))
    cursor = server.executions[0].cursor
    assert cursor in _open(server)
    assert api.post("create_user", api.new_user(mob_num="9876543210")).status_code == 409
    assert server.executions[-1].cursor == cursor
    assert cursor not in _open(server)
    assert api.create()


def test_a_connection_keeps_100_statements_and_the_oldest_leaves(server: Server) -> None:
    with connections.reading() as connection:

        def cursor(number: int) -> int:
            _execute(connection, number).all()
            return server.executions[-1].cursor

        first, second, *_ = (cursor(number) for number in range(KEPT))
        assert cursor(0) == first  # so that the second one is the least recently used
        cursor(KEPT)
        assert len(_open(server)) == KEPT
        assert second not in _open(server)
        assert cursor(0) == first
        assert cursor(1) != second


def test_the_end_of_a_connection_closes_its_cursors(server: Server, api: Any) -> None:
    api.create()
    api.get(limit=1)
    assert len(_open(server)) == 4  # a creation is three statements
    connections.close()
    assert _open(server) == set()
    assert all(connection.closed for connection in server.connections)


def test_the_unread_rest_of_a_long_result_does_not_block_the_next_statement(server: Server, api: Any) -> None:
    for _ in range(150):
        api.post("addTransaction", {"payer": "DANNON", "points": 1, "timestamp": "2020-10-31T10:00:00Z"})
    requests = server.sent_by(lambda: api.post("spend", {"points": 1}).raise_for_status())
    assert [request.kind for request in requests].count("attention") == 1


# ---- unusual statements


def test_equal_texts_may_declare_other_types(server: Server) -> None:
    with connections.reading() as connection:
        for length in (5, 50, 5):
            name = bindparam("name", type_=Unicode(length))
            assert (
                connection.execute(select(USERS.c.id).where(USERS.c.full_name == name), {"name": "x" * length}).all()
                == []
            )
            assert server.executions[-1].declared == (f"nvarchar({length})",)


def test_statements_of_sqlalchemy_may_surround_an_insert(server: Server, api: Any) -> None:
    user = api.create()
    with connections.transaction() as connection:
        row = dict(connection.execute(select(USERS).where(USERS.c.is_active)).mappings().one())
        connection.execute(insert(USERS), {**row, "id": 77, "user_id": str(uuid4()), "mob_num": "9876500000"})
    assert [found["mob_num"] for found in api.get()] == [user["mob_num"], "9876500000"]


def test_a_transaction_that_the_server_lost_is_no_success(server: Server, api: Any) -> None:
    user = api.create()

    def delete() -> None:
        with connections.transaction() as connection:
            assert delete_user(connection, "user_id", user["user_id"], Attribution(), now=datetime.now(UTC))
            server.connections[-1].data.rollback()

    with pytest.raises(OutcomeUnknownError):
        delete()
    assert api.get() == [user]
    with connections.transaction():
        pass  # an empty one is no error
