"""The statements of the list of low stock on SQL Server: requests, parameters, locks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from api.invoices import low_stock
from persistence.database import connections
from persistence.invoices.low_stock import find_list, make_list, save_first_day
from persistence.invoices.tables import ITEMS
from tests.support.counting_driver import URL, Server, counting_driver
from tests.support.low_stock import HEADER, Clock, Process
from tests.support.rows import insert_rows


@pytest.fixture
def server(database_file: Path) -> Iterator[Server]:
    """The app on SQL Server, over a driver that counts what it sends."""
    with counting_driver(database_file) as server:
        connections.connect(URL, threads=8)
        yield server
        connections.close()


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Process:
    """A process with its clock."""
    clock = Clock("2026-11-20T06:30")
    monkeypatch.setattr(low_stock, "datetime", clock)
    return Process(tmp_path, clock)


def test_a_tick_sends_nothing_unless_it_is_the_first_of_a_day(server: Server, process: Process) -> None:
    process.tick("2026-11-19T18:30")
    sent = {
        tick: [request.text for request in server.sent_by(partial(process.tick, f"2026-11-20T{tick}"))]
        for tick in ("06:30", "06:45", "18:15", "18:30", "18:45")
    }
    assert [tick for tick, requests in sent.items() if requests] == ["18:30"]
    statements = [text for text in sent["18:30"] if "invoices_" in text]
    assert len(statements) == 3
    assert "WITH (UPDLOCK, ROWLOCK)" in statements[0]


def test_a_new_process_reads_one_statement_and_locks_nothing(server: Server, process: Process) -> None:
    with connections.transaction() as connection:
        save_first_day(connection, date(2026, 11, 20))
    server.sent_by(lambda: process.tick("2026-11-20T06:30"))
    (execution,) = server.executions
    assert "UPDLOCK" not in execution.text
    assert not [request for request in server.requests if request.kind in ("begin", "commit")]


def test_a_list_of_20_000_items_is_two_statements(server: Server) -> None:
    rows = [
        {"id": number, "description": f"Item {number} ₹", "description_hash": f"{number:064}", "quantity": number % 10}
        for number in range(20_000, 0, -1)
    ]
    with connections.transaction() as connection:
        insert_rows(connection, ITEMS, rows, name="Item", price=1)
    server.executions.clear()
    with connections.transaction() as connection:
        made = make_list(connection, date(2026, 11, 21), 7, now="2026-11-20T18:30:00.000000Z")
    assert len(server.executions) == 2
    listed = [f"{number},Item {number} ₹,{number % 10},,low stock\n" for number in range(20_001) if number % 10 <= 5]
    assert made == HEADER + "".join(listed[1:])
    with connections.reading() as connection:
        assert find_list(connection) == made


def test_parameters_are_declared_by_their_columns(server: Server, process: Process) -> None:
    process.tick("2026-11-20T18:15")
    process.tick("2026-11-20T18:30")
    declared = {
        pair for execution in server.executions for pair in zip(execution.names, execution.declared, strict=True)
    }
    assert declared == {
        ("threshold", "bigint"),
        ("last_expiry", "char(10)"),
        ("day", "char(10)"),
        ("first_day", "char(10)"),
        ("made_at", "datetime2(6)"),
        ("content", "nvarchar(max)"),
    }
