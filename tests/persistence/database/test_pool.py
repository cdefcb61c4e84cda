"""The pools for SQL Server: which connection is handed out, when idle ones are closed, and what they leave behind."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from persistence.database import pool as pool_module
from persistence.database import retries
from persistence.database.connections import close, connect, engines, reading, transaction
from persistence.database.errors import TransientError
from persistence.database.pool import IdleClosingPool
from persistence.database.retries import run_with_retries
from persistence.database.sqlserver import Limits
from tests.support.odbc import Connection, StandInDriver, read, unreachable, write
from tests.support.programs import PROJECT, WAIT_SECONDS
from tests.support.threads import at_once


def _closers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "idle-connections"]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _no_closers_of_other_tests() -> None:
    gc.collect()  # a connection that another test dropped returns to its pool
    _until(lambda: _closers() == [])


@pytest.mark.parametrize("fails", [False, True])
def test_idle_connections_are_closed_without_a_call(
    odbc: Callable[..., str], driver: StandInDriver, *, fails: bool
) -> None:
    def fail(connection: Connection, _: object) -> None:
        if fails:
            connection.close()
            raise unreachable()

    connect(odbc(), threads=3, limits=Limits(idle=1))
    for engine in engines():
        event.listen(engine, "close", fail)
    with reading(), reading(), transaction():
        assert _closers() == []
        time.sleep(1.2)  # they are in use
    assert (driver.closed, len(_closers())) == ([], 2)
    _until(lambda: len(driver.closed) == 3)
    _until(lambda: _closers() == [])
    read()
    write()
    assert len(driver.logins) == 5


def test_the_last_returned_connection_is_used_first_so_that_others_age(
    odbc: Callable[..., str], driver: StandInDriver
) -> None:
    connect(odbc(), threads=3, limits=Limits(idle=1))
    with reading(), reading(), reading():
        pass

    def only_one_is_left() -> bool:
        read()
        return len(driver.closed) == 2

    _until(only_one_is_left)
    read()
    assert len(driver.logins) == 3


def test_an_idle_connection_is_in_no_transaction(odbc: Callable[..., str], driver: StandInDriver) -> None:
    def fail() -> None:
        with transaction() as connection:
            connection.execute(text("UPDATE users SET version = 2"))
            raise LookupError

    def do_nothing() -> None:
        with transaction():
            pass

    connect(odbc(), threads=1)
    for work in (do_nothing, write, read):
        work()
        assert not any(connection.in_transaction for connection in driver.connections)
    with pytest.raises(LookupError):
        fail()
    assert not any(connection.in_transaction for connection in driver.connections)
    assert len(driver.connections) == 2


@pytest.mark.parametrize("block", [reading, transaction])
def test_a_driver_error_before_the_first_statement_drops_the_connection(
    odbc: Callable[..., str], driver: StandInDriver, block: Callable[[], Any]
) -> None:
    def work() -> None:
        with block() as connection:
            connection.execute(text("SELECT 1"))

    connect(odbc(), threads=1)
    work()
    driver.timeout_fault = type(unreachable())("HY000", "[HY000] Any text (0) (SQLSetConnectAttr)")
    retries.set_budget(0)  # so that a statement has a limit of its own
    with pytest.raises(TransientError), retries.retry_budget():
        work()
    assert driver.closed == driver.connections
    driver.timeout_fault = None
    retries.set_budget(retries.DEFAULT_BUDGET_SECONDS)
    run_with_retries(work)
    assert len(driver.logins) == 2


def test_an_old_connection_is_replaced_although_it_is_in_use(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=1, limits=Limits(connection_age=1, idle=60))
    for engine in engines():
        engine.dispose()  # the next pool has the same options
    deadline = time.monotonic() + WAIT_SECONDS
    while not driver.closed and time.monotonic() < deadline:
        read()
        time.sleep(0.1)
    assert (len(driver.closed), len(driver.logins)) == (1, 2)


def test_closing_the_database_ends_the_threads(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=2, limits=Limits(idle=3600))
    read()
    write()
    recreated = [engine.pool.recreate() for engine in engines()]
    assert {pool.status() for pool in recreated} == {"Pool size: 2  Idle connections: 0"}
    close()
    assert len(driver.closed) == 2
    _until(lambda: _closers() == [])


def test_an_idle_connection_does_not_keep_the_process_alive() -> None:
    program = (
        "from sqlalchemy import create_engine\n"
        "from persistence.database.pool import IdleClosingPool\n"
        "create_engine('sqlite://', poolclass=IdleClosingPool, idle_seconds=3600).connect().close()\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, timeout=WAIT_SECONDS, check=True)


# ---- without a driver


def _pool(**options: Any) -> tuple[IdleClosingPool, list[Connection]]:
    """A pool of stand-in connections, and those that were opened."""
    driver = StandInDriver()
    return IdleClosingPool(
        lambda: driver.connect("", autocommit=True), reset_on_return=None, **options
    ), driver.connections


def test_a_pool_that_is_used_up_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "WAIT_SECONDS", 0.01)
    pool, opened = _pool(pool_size=1)
    first = pool.connect()
    with pytest.raises(PoolTimeoutError):
        pool.connect()
    first.invalidate()
    first.close()
    pool.connect().close()
    assert (len(opened), pool.size()) == (2, 1)
    pool.dispose()


def test_a_failed_login_leaves_its_place_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "WAIT_SECONDS", 0.01)
    driver = StandInDriver()
    pool = IdleClosingPool(lambda: driver.connect("", autocommit=True), pool_size=1, reset_on_return=None)
    driver.fault = unreachable()
    for _ in range(2):
        with pytest.raises(type(driver.fault)):
            pool.connect()
    driver.fault = None
    pool.connect().close()
    pool.dispose()


def test_a_connection_that_is_handed_out_is_never_closed() -> None:
    """Check-outs and the closing of idle connections meet all the time."""
    pool, opened = _pool(pool_size=8, idle_seconds=0.001)

    def use(_: int) -> int:
        for number in range(300):
            connection = pool.connect()
            driver_connection: Any = connection.driver_connection
            assert driver_connection not in driver_connection.driver.closed
            if number % 3 == 0:
                time.sleep(0.001)
            assert driver_connection not in driver_connection.driver.closed
            connection.close()
        return 300

    assert sum(at_once(8, use)) == 2400
    closed = opened[0].driver.closed
    _until(lambda: len(closed) == len(opened))
    assert len(set(map(id, closed))) == len(opened)
    _until(lambda: _closers() == [])


def test_sqlite_has_no_thread_for_idle_connections(app_database: None) -> None:
    with reading() as connection:
        connection.execute(text("SELECT 1"))
    assert _closers() == []
    assert not isinstance(create_engine("sqlite://").pool, IdleClosingPool)
