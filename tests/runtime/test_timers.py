"""Timers under the worker runtime that Azure runs: indexing, runs, failures. The clock is the real one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.runtime.process import Runtime, running_worker
from tests.support.low_stock import HEADER, zone_at_noon

NAME: Final = "invoices_low_stock_list"
PURGE: Final = "purge_idempotency_keys"
Start = Callable[..., AbstractContextManager[Runtime]]
SETTINGS: Final = {"SERVICES": "invoices", "TIMERS": "on", "LOW_STOCK_SCHEDULE": "0 30,45 18 * * *"}


@pytest.fixture
def start(tmp_path: Path, worker_python: Path) -> Start:
    """A function that starts a worker with invoices; all of them have one database."""
    return lambda **settings: running_worker(tmp_path, worker_python, **{**SETTINGS, **settings})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The database, which exists once a worker has started."""
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        yield connection


def _list(runtime: Runtime) -> str:
    response = runtime.send(httpx.Request("GET", "http://localhost/api/low-stock-items/"))
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    return response.body.decode()


def _day(database: sqlite3.Connection) -> str | None:
    ((day,),) = database.execute("SELECT day FROM invoices_low_stock_lists").fetchall()
    assert day is None or isinstance(day, str)
    return day


def test_the_worker_indexes_timers_with_their_schedules(start: Start) -> None:
    with start() as runtime:
        assert runtime.report.get("timers") == {NAME: SETTINGS["LOW_STOCK_SCHEDULE"], PURGE: "0 0 3 * * *"}
    with start(TIMERS="") as runtime:
        assert runtime.report["timers"] == {}
        assert f"AzureWebJobsStorage is not set: these timers do not run: {NAME}, {PURGE}." in runtime.log
    with start(LOW_STOCK_SCHEDULE="daily") as runtime:
        assert runtime.report["failure"].startswith("SettingsError: LOW_STOCK_SCHEDULE must be six fields of NCRONTAB")


def test_a_missed_tick_is_made_up_for_in_production(start: Start, database: sqlite3.Connection) -> None:
    zone = zone_at_noon()
    today = datetime.now(UTC).astimezone(ZoneInfo(zone)).date()
    with start(TIME_ZONE=zone) as runtime:
        item = {"description": 'चाय, "best"', "price": "10.50", "quantity": 5, "expiry_date": str(today)}
        created = runtime.send(httpx.Request("POST", "http://localhost/api/items/", json=item))
        assert created.status == 201, created.body
        runtime.tick(NAME)
        assert (_day(database), _list(runtime)) == (str(today), HEADER)
        assert f"{NAME} ok 200 " in runtime.log
    yesterday = today - timedelta(days=1)
    database.execute("UPDATE invoices_low_stock_lists SET day = ?, content = 'old'", (str(yesterday),))
    with start(TIME_ZONE=zone) as runtime:
        assert _list(runtime) == "old"
        runtime.tick(NAME, past_due=True)
        assert _day(database) == str(today)
        assert _list(runtime) == f'{HEADER}1,"चाय, ""best""",5,{today},low stock; expires\n'


def test_the_host_learns_of_a_failed_timer_and_of_no_data(start: Start, database: sqlite3.Connection) -> None:
    with start() as runtime:
        database.execute("DROP TABLE invoices_low_stock_lists")
        with pytest.raises(AssertionError, match=f"TimerFailedError: {NAME}: "):
            runtime.tick(NAME)
        assert f"{NAME} failed 500 " in runtime.log


def test_expired_keys_leave_in_production_without_a_call(start: Start, database: sqlite3.Connection) -> None:
    row = "'create_user', 'k', '', '2020-01-01T00:00:00.000000Z', ''"
    with start() as runtime:
        database.execute(
            "INSERT INTO idempotency_keys (trigger_name, idempotency_key, request_hash, created_at, caller)"
            f" VALUES ({row})"
        )
        runtime.tick(PURGE, past_due=True)
        assert database.execute("SELECT id FROM idempotency_keys").fetchall() == []
        assert f"{PURGE} ok 200 " in runtime.log
