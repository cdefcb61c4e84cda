"""How often the database is probed, how old a result may be, and what concurrent probes return."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event

import settings
from api import health
from tests.support.threads import at_once
from tests.support.unreliable_server import UnreliableServer, driver_error

PROBE = "SELECT version_num \nFROM alembic_version"
DATABASE = ["/health?database=1", "/health/database"]
BUDGET = settings.current().db_retry_seconds


# ---- one after the other


def test_many_probes_within_30_seconds_are_one_statement(api: Any, clock: Any, statements: list[str]) -> None:
    for seconds in (0, 1, 14, 14.9):
        clock.now += seconds
        for path in (*DATABASE, "/health?database=1&other=2"):
            assert api.client.get(path).json()["database"] == "reachable"
    assert statements == [PROBE]
    clock.now += 0.2
    for path in DATABASE:
        assert api.client.get(path).json()["database"] == "reachable"
    assert statements == [PROBE] * 2


def test_reusing_a_result_does_not_change_its_age(api: Any, clock: Any, statements: list[str]) -> None:
    for _ in range(10):
        api.client.get("/health?database=1")
        clock.now += 16
    assert statements == [PROBE] * 5


def test_a_bad_result_is_reused_for_30_seconds(api: Any, server: UnreliableServer, clock: Any, problem_of: Any) -> None:
    server.fault = driver_error()
    assert problem_of(api.client.get("/health?database=1")) == "database-unavailable"
    logins = server.logins
    server.fault = None
    for seconds in (0, 15, 14.9):
        clock.now += seconds
        for path in DATABASE:
            assert problem_of(api.client.get(path)) == "database-unavailable"
    assert server.logins == logins
    clock.now += 0.2
    assert api.client.get("/health?database=1").json()["database"] == "reachable"
    assert server.logins == logins + 1


def test_a_good_result_is_reused_for_30_seconds(
    api: Any, server: UnreliableServer, clock: Any, problem_of: Any
) -> None:
    assert api.client.get("/health?database=1").status_code == 200
    server.place, server.fault = "execute", driver_error()
    clock.now += 29.9
    assert api.client.get("/health?database=1").status_code == 200
    clock.now += 0.2
    assert problem_of(api.client.get("/health?database=1")) == "database-unavailable"


# ---- concurrent probes


@pytest.fixture
def slow_statements(api: Any) -> Iterator[None]:
    """Every statement takes a while, so that concurrent probes meet."""

    def delay(*_: Any) -> None:
        time.sleep(0.1)

    event.listen(Engine, "before_cursor_execute", delay)
    yield
    event.remove(Engine, "before_cursor_execute", delay)


@pytest.mark.usefixtures("slow_statements")
def test_31_of_32_concurrent_probes_get_the_previous_result(api: Any, clock: Any, statements: list[str]) -> None:
    assert api.client.get("/health?database=1").status_code == 200
    clock.now += 31
    responses = at_once(32, lambda number: api.client.get(DATABASE[number % 2]))
    assert {response.status_code for response in responses} == {200}
    assert {response.json()["database"] for response in responses} == {"reachable"}
    assert statements == [PROBE] * 2


@pytest.mark.usefixtures("slow_statements", "clock")
def test_32_first_probes_at_once_are_one_statement(api: Any, statements: list[str]) -> None:
    responses = at_once(32, lambda _: api.client.get("/health?database=1"))
    assert statements == [PROBE]
    assert {response.status_code for response in responses} <= {200, 503}
    assert 200 in {response.status_code for response in responses}
    assert api.client.get("/health?database=1").status_code == 200


def test_a_probe_whose_predecessor_just_ended_reuses_its_result(
    api: Any, clock: Any, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another probe ends between the look at the last result and the lock."""

    class Overtaken:
        def acquire(self, **options: Any) -> bool:
            health._last_probe = health.Probe(clock.now, None)
            return lock.acquire(**options)

        def release(self) -> None:
            lock.release()

    lock = threading.Lock()
    monkeypatch.setattr(health, "_probe_lock", Overtaken())
    assert api.client.get("/health?database=1").status_code == 200
    assert statements == []
    assert not lock.locked()


# ---- while a probe hangs


class Hanging:
    """A probe that hangs at the server, in a pool of callers."""

    def __init__(self, api: Any, server: UnreliableServer, pool: ThreadPoolExecutor) -> None:
        self.api = api
        self.pool = pool
        server.hang()
        self.probe = self.call()
        assert server.reached.wait(30)

    def call(self) -> Future[httpx.Response]:
        return self.pool.submit(self.api.client.get, "/health?database=1")

    def call_twice(self) -> tuple[httpx.Response, Future[httpx.Response]]:
        """The response to the one of two calls that does not wait for the probe, and the other call."""
        calls = {self.call(), self.call()}
        done, waiting = wait(calls, timeout=30, return_when=FIRST_COMPLETED)
        (first,), (second,) = done, waiting
        assert not self.probe.done()
        return first.result(), second


@pytest.fixture
def hanging(api: Any, server: UnreliableServer) -> Iterator[Any]:
    """A function that begins a probe that hangs."""
    with ThreadPoolExecutor(8) as pool:
        yield lambda: Hanging(api, server, pool)
        server.released.set()


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("up", [True, False])
def test_the_first_two_probes_are_right_and_a_third_does_not_wait(
    server: UnreliableServer, hanging: Any, problem_of: Any, up: bool
) -> None:
    server.fault = None if up else driver_error("18456")
    first = hanging()
    third, second = first.call_twice()
    assert problem_of(third) == "database-unavailable"
    for _ in range(20):  # more than the app has threads
        assert problem_of(first.call().result(30)) == "database-unavailable"
    server.released.set()
    for response in (first.probe.result(30), second.result(30)):
        if up:
            assert response.json()["database"] == "reachable"
        else:
            assert problem_of(response) == "database-login"
    assert server.logins == 1


def test_a_hanging_probe_serves_the_previous_result_within_its_budget(
    api: Any, server: UnreliableServer, clock: Any, hanging: Any, problem_of: Any
) -> None:
    server.place = "execute"
    assert api.client.get("/health?database=1").status_code == 200
    clock.now += 30.1
    server.fault = driver_error("18456")
    probe = hanging()
    for seconds in (0, BUDGET - 0.2):
        clock.now += seconds
        assert api.client.get("/health?database=1").json()["database"] == "reachable"
    clock.now += 0.2
    response, waiting = probe.call_twice()
    assert problem_of(response) == "database-unavailable"
    server.released.set()
    assert problem_of(probe.probe.result(30)) == "database-login"
    assert problem_of(waiting.result(30)) == "database-login"


def test_a_probe_that_raises_leaves_the_lock_and_no_old_result(
    api: Any, server: UnreliableServer, clock: Any, hanging: Any, problem_of: Any
) -> None:
    server.place = "execute"
    assert api.client.get("/health?database=1").status_code == 200
    clock.now += 100
    server.fault, server.times = SystemExit(), 1
    probe = hanging()
    response, waiting = probe.call_twice()
    assert problem_of(response) == "database-unavailable"
    server.released.set()
    assert probe.probe.result(30).status_code == 500
    assert waiting.result(30).json()["database"] == "reachable"
    assert server.logins == 2
    assert api.client.get("/health?database=1").json()["database"] == "reachable"


def test_a_liveness_check_does_not_wait_for_a_probe(api: Any, server: UnreliableServer, hanging: Any) -> None:
    probe = hanging()
    assert api.client.get("/health").status_code == 200
    assert not probe.probe.done()
    server.released.set()
    assert probe.probe.result(30).json()["database"] == "reachable"
