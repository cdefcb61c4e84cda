"""What the app sends through pyodbc and Microsoft's ODBC driver, and how its calls end if the server falls silent."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import insert

from domain.users.changes import Attribution
from domain.users.errors import MobNumTakenError
from persistence.database.connections import connect, reading, transaction
from persistence.database.errors import OutcomeUnknownError, UnavailableError
from persistence.database.retries import run_with_retries
from persistence.database.sqlserver import Limits
from persistence.users.lists import FETCH_SIZE, Filters, list_users
from persistence.users.records import insert_user, load_for_update
from persistence.users.tables import MANAGERS
from tests.support.tds import Delay, Failure, Freeze, Reset, Result, TdsServer, tds_server

NOW: Final = "2026-01-02T03:04:05.678901Z"
STORED: Final = {
    "user_id": uuid.uuid4(),
    "manager_id": None,
    "full_name": "Asha Rao",
    "mob_num": "9876543210",
    "pan_num": "ABCPE1234F",
    "created_at": datetime.fromisoformat(NOW).replace(tzinfo=None),
    "updated_at": None,
    "changed_at": datetime.fromisoformat(NOW).replace(tzinfo=None),
    "is_active": True,
}
ROWS: Final = 2500
CREATE: Final = ["sp_prepexec"] * 3
"""The requests of a creation: the user, the change, the values after it."""
BUDGET, LIMIT, MARGIN = 2, 3, 3
"""Seconds: the retry budget, the limit of a statement, and what a call may take beyond both.

The app promises 5. With 3, a driver that waits for three times the limit is noticed.
"""


def respond(statement: str, _: list[Any]) -> Result:
    """Many rows for a query, and one changed row for another statement."""
    if not statement.startswith("SELECT"):
        return 1
    selected = re.split(r",(?![^()]*\))", statement.split("\nFROM", 1)[0])
    columns = [re.split(r"[. ]", column.strip())[-1] for column in selected]
    return columns, [[STORED.get(column, number) for column in columns] for number in range(ROWS)]


@pytest.fixture
def server(odbc: Callable[..., str], tmp_path: Path) -> Iterator[TdsServer]:
    """A server to which the app is connected, with one connection for reads and one for transactions."""
    with tds_server(respond, tmp_path) as server:
        url = odbc(Server=f"tcp:127.0.0.1,{server.port}", TrustServerCertificate="yes")
        connect(url, threads=1, retry_seconds=BUDGET, limits=Limits(read=LIMIT, write=LIMIT))
        yield server


def _read(filters: Filters = Filters(user_id=str(uuid.uuid4()))) -> int:  # noqa: B008 - immutable
    with reading() as connection:
        return sum(len(records) for records in list_users(connection, filters))


def _create(**fields: Any) -> None:
    record: Any = {**STORED, "user_id": str(uuid.uuid4()), "manager_id": str(uuid.uuid4()), "created_at": NOW, **fields}
    with transaction() as connection:
        assert insert_user(connection, record, Attribution())


def _load(count: int = 1) -> None:
    with transaction() as connection:
        load_for_update(connection, [str(uuid.uuid4()) for _ in range(count)], None)


def _names(server: TdsServer) -> list[str]:
    return [request.name for request in server.take()]


# ---- requests


def test_a_first_read_of_a_connection_has_at_most_four_requests(server: TdsServer) -> None:
    assert _read() == ROWS
    login, *others = _names(server)
    assert login == "login"
    assert others == ["sp_prepexec"]


def test_a_repeated_statement_is_one_request(server: TdsServer) -> None:
    for _ in range(2):
        _read()
        _read(Filters(mob_num="9876543210"))
    assert _names(server)[-3:] == ["sp_prepexec"] * 3
    for _ in range(2):
        _create()
    assert _names(server)[-8:] == [*CREATE, "commit"] * 2


def test_a_partly_read_result_does_not_block_the_connection(server: TdsServer) -> None:
    everyone = Filters()
    with transaction() as connection:
        for _ in range(2):
            assert len(next(list_users(connection, everyone))) == FETCH_SIZE
            load_for_update(connection, [str(uuid.uuid4())], None)
    with reading() as connection:
        assert len(next(list_users(connection, everyone))) == FETCH_SIZE
    assert _read() == ROWS


def test_declared_types_do_not_depend_on_values(server: TdsServer) -> None:
    _create(full_name="A")
    _create(full_name="A" * 400, mob_num="6000000000")
    sent = [request for request in server.take() if request.name == "sp_prepexec"]
    assert [(request.types, request.declared) for request in sent[:3]] == [
        (request.types, request.declared) for request in sent[3:]
    ]
    first = sent[0]
    assert sorted(set(first.types)) == ["bit", "char(10)", "datetime2(6)", "int", "nvarchar(400)", "uniqueidentifier"]
    assert first.values[3] == "A"


def test_a_null_costs_no_request(server: TdsServer) -> None:
    row = {"full_name": "A", "is_active": True, "created_at": NOW}
    for updated_at in (None, NOW, None):
        with transaction() as connection:
            connection.execute(insert(MANAGERS), {**row, "manager_id": str(uuid.uuid4()), "updated_at": updated_at})
    sent = [request for request in server.take() if request.is_call]
    assert [request.name for request in sent] == ["sp_prepexec"] * 3
    assert [request.values[-1] is None for request in sent] == [True, False, True]
    assert sent[0].types == sent[1].types == sent[2].types


def test_long_json_travels_with_its_statement(server: TdsServer) -> None:
    for count in (1, 100, 2000):
        _load(count)
        (sent,) = (request for request in server.take() if request.is_call)
        assert (sent.name, sent.types) == ("sp_prepexec", ["nvarchar(max)"])
        assert sent.values[0].count(",") == count - 1


# ---- faults


@contextmanager
def _ends_with(error: type[UnavailableError], server: TdsServer) -> Iterator[None]:
    """Expects an error, and disconnects the clients if it does not come in time."""
    seconds = BUDGET + LIMIT + MARGIN
    watchdog = threading.Timer(seconds, server.disconnect)
    watchdog.start()
    started = time.monotonic()
    try:
        with pytest.raises(error):
            yield
        assert time.monotonic() - started < seconds
    finally:
        watchdog.cancel()
        watchdog.join()


@pytest.mark.slow
@pytest.mark.parametrize("call", [_read, _create])
def test_a_frozen_server_ends_a_call_in_time(server: TdsServer, call: Callable[[], object]) -> None:
    call()
    server.faults[""] = Freeze()
    with _ends_with(UnavailableError, server):
        run_with_retries(call)
    server.faults.clear()
    call()


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Freeze(), Reset()])
def test_a_lost_commit_has_an_unknown_outcome_in_time(server: TdsServer, fault: Freeze | Reset) -> None:
    server.faults["commit"] = fault
    with _ends_with(OutcomeUnknownError, server):
        run_with_retries(_create)
    assert _names(server).count("commit") == 1
    server.faults.clear()
    _create()


@pytest.mark.slow
@pytest.mark.parametrize("call", [_read, _load])
def test_silence_inside_a_result_ends_a_call_in_time(server: TdsServer, call: Callable[[], object]) -> None:
    server.faults["SELECT users"] = server.faults["SELECT anon_1"] = Freeze(after_rows=1500)
    with _ends_with(UnavailableError, server):
        run_with_retries(call)
    server.faults.clear()
    call()


@pytest.mark.slow
def test_a_statement_may_use_its_limit_beyond_the_budget(server: TdsServer) -> None:
    server.faults["SELECT anon_1"] = Delay(LIMIT - 0.5)
    assert run_with_retries(_read) == ROWS
    server.faults["SELECT anon_1"] = Delay(LIMIT + 20)
    with _ends_with(UnavailableError, server):
        run_with_retries(_read)
    assert _names(server)[-1] == "attention"


def test_a_connection_that_the_server_closed_is_replaced(server: TdsServer) -> None:
    assert _read() == ROWS
    server.take()
    server.disconnect()
    assert run_with_retries(_read) == ROWS
    assert _names(server) == ["login", "sp_prepexec"]


def test_an_error_of_a_statement_leaves_its_connection_usable(server: TdsServer) -> None:
    _create()
    server.faults["INSERT"] = Failure(2627)
    with pytest.raises(MobNumTakenError):
        _create()
    server.faults.clear()
    server.take()
    _create()
    assert _names(server) == [*CREATE, "commit"]
