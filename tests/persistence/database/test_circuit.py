"""The circuit breaker around logins, with a stand-in for pyodbc's `connect`; test_outage.py shows it over HTTP."""

from __future__ import annotations

import importlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import DBAPIError

from persistence.database import circuit as circuit_module
from persistence.database import retries
from persistence.database.circuit import LOGIN_INTERVAL_SECONDS, STALL_SECONDS, Circuit, raising_rejections
from persistence.database.connections import connect, logins_fail, reading
from persistence.database.errors import DatabaseLoginError, TransientError, UnavailableError
from persistence.database.retries import run_with_retries
from persistence.database.sqlserver import Limits
from tests.support.faulty_driver import fault
from tests.support.odbc import StandInDriver, read, unreachable, write
from tests.support.threads import at_once

AT_ONCE = STALL_SECONDS + 1.5
"""Seconds within which a caller is rejected that does not wait, on a busy machine."""


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    retries.set_budget(retries.DEFAULT_BUDGET_SECONDS)
    retries.set_retry_observer(None)


def _login_fault(number: str) -> Exception:
    error: Exception = importlib.import_module("pyodbc").OperationalError("42000", f"[42000] Away. ({number}) (SQLDrv)")
    return error


def _call(work: Callable[[], str]) -> tuple[str, float]:
    """What a call returns or raises, and its seconds."""
    started = time.monotonic()
    try:
        outcome = run_with_retries(work)
    except UnavailableError as error:
        outcome = type(error).__name__
    return outcome, time.monotonic() - started


def _failing_for(driver: StandInDriver, seconds: float, error: Exception) -> float:
    """Makes logins fail from now on; returns when they succeed again (`time.monotonic()`)."""
    driver.fault = error

    def wake() -> None:
        driver.fault = None

    threading.Timer(seconds, wake).start()
    return time.monotonic() + seconds


def test_half_of_the_threads_survive_an_outage(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=6, retry_seconds=30)
    driver.login_seconds = 0.3  # so that several logins fail together
    woken_at = _failing_for(driver, 5, unreachable())
    with ThreadPoolExecutor(6) as pool:  # both pools log in through one circuit
        calls = [pool.submit(_call, work) for work in (read, write) * 4]
        outcomes = [call.result(60) for call in calls]
    rejected = [seconds for outcome, seconds in outcomes if outcome == "UnavailableError"]
    assert sorted(outcome for outcome, _ in outcomes) == ["UnavailableError"] * 5 + ["done"] * 3
    assert max(rejected) < AT_ONCE
    assert not logins_fail()
    failed = [login.at for login in driver.logins if login.at < woken_at]
    probes = [at for at in failed if at > failed[0] + 1]
    assert len(probes) == 2
    for before, after in zip([failed[0], *probes], probes, strict=False):
        assert after - before >= LOGIN_INTERVAL_SECONDS - 0.01


def test_one_failed_login_among_good_connections_fails_no_call(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=6)
    with reading(), reading():  # two connections in the pool
        pass
    with ThreadPoolExecutor(1) as pool:
        with reading(), reading():
            _failing_for(driver, 1, unreachable())
            third = pool.submit(_call, read)
            while not driver.logins[2:] or not logins_fail():
                time.sleep(0.01)
        for _ in range(20):
            outcome, seconds = _call(read)
            assert (outcome, seconds < AT_ONCE) == ("done", True)
        assert logins_fail()
        assert third.result(30)[0] == "done"
    assert len(driver.logins) == 4


def test_calls_that_come_during_an_outage_take_half_too(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=6)
    _failing_for(driver, 3, unreachable())
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(_call, read)
        time.sleep(1)
        later = [pool.submit(_call, read) for _ in range(5)]
        outcomes = [call.result(60)[0] for call in (first, *later)]
    assert sorted(outcomes) == ["UnavailableError"] * 3 + ["done"] * 3


def test_one_failed_login_of_a_burst_fails_no_call(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=6)
    driver.login_seconds, driver.login_faults = 0.2, [unreachable()]
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(_call, read) for _ in range(12)]
        assert [call.result(60)[0] for call in calls] == ["done"] * 12


def test_the_replacement_of_an_old_connection_waits_too(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=4, limits=Limits(connection_age=1))
    read()
    time.sleep(1.1)
    _failing_for(driver, 1, unreachable())
    assert _call(read)[0] == "done"
    assert len(driver.logins) == 3
    assert driver.logins[2].at - driver.logins[1].at >= LOGIN_INTERVAL_SECONDS - 0.01


def test_the_connections_that_others_return_stay_in_use(odbc: Callable[..., str], driver: StandInDriver) -> None:
    """A connection that was invalidated does not come before the good ones of its pool."""
    connect(odbc(), threads=4)
    with reading() as broken:
        with reading():
            pass
        broken.invalidate()
    driver.fault = unreachable()
    assert _call(read)[0] == "done"
    assert len(driver.logins) == 2


def test_a_login_that_is_rejected_for_good_is_left_to_its_caller(
    odbc: Callable[..., str], driver: StandInDriver
) -> None:
    connect(odbc(), threads=4)
    driver.fault = _login_fault("18456")
    with pytest.raises((DBAPIError, UnavailableError)):
        run_with_retries(read)
    assert not logins_fail()
    driver.fault = None
    outcome, seconds = _call(read)
    assert (outcome, seconds < AT_ONCE, len(driver.logins)) == ("done", True, 2)


def test_waiting_ends_with_the_budget_of_the_call(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=4, retry_seconds=3)
    driver.fault = unreachable()
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(_call, work) for work in (read, write)]
        outcomes = [call.result(60) for call in calls]
    for outcome, seconds in outcomes:
        assert outcome == "TransientError"
        assert 2.9 < seconds < 8
    assert len(driver.logins) <= 3  # at most both at the start, and one probe


def test_each_further_login_of_a_call_is_a_retry(odbc: Callable[..., str], driver: StandInDriver) -> None:
    codes: list[str] = []
    retries.set_retry_observer(codes.append)
    connect(odbc(), threads=4, retry_seconds=5)
    driver.fault = unreachable()
    with pytest.raises(TransientError) as caught:
        run_with_retries(read)
    assert isinstance(caught.value.__cause__, DBAPIError)  # the log line shows its code
    assert len(driver.logins) == 3
    assert codes == ["08001", "08001"]


def test_a_call_without_a_budget_left_does_not_log_in(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=4, retry_seconds=1)
    driver.fault = unreachable()
    assert _call(read)[0] == "TransientError"
    logins = len(driver.logins)
    retries.set_budget(0)
    assert _call(read)[0] == "TransientError"
    assert len(driver.logins) == logins


def test_a_silent_server_leaves_a_thread_free(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=4, retry_seconds=10)
    driver.login_seconds, driver.fault = 4, unreachable()

    def wake() -> None:
        driver.login_seconds, driver.fault = 0, None

    threading.Timer(3, wake).start()
    outcomes = at_once(8, lambda _: _call(read))
    assert sorted(outcome for outcome, _ in outcomes) == ["UnavailableError"] * 5 + ["done"] * 3
    assert max(seconds for outcome, seconds in outcomes if outcome != "done") < AT_ONCE + 0.8


def test_a_burst_on_a_good_server_is_served(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=4)
    driver.login_seconds = 0.3
    assert [outcome for outcome, _ in at_once(4, lambda _: _call(read))] == ["done"] * 4


def test_the_command_line_gets_a_rejection_at_once(odbc: Callable[..., str], driver: StandInDriver) -> None:
    connect(odbc(), threads=4)
    driver.fault = _login_fault("4060")
    started = time.monotonic()
    with pytest.raises(TransientError), raising_rejections(), reading():
        pass
    assert time.monotonic() - started < AT_ONCE
    assert len(driver.logins) == 1


# ---- races


def test_a_probe_that_ends_abnormally_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_module, "LOGIN_INTERVAL_SECONDS", 0.05)
    circuit, faults = Circuit(threads=8), [fault("40613"), SystemExit()]

    def attempt() -> str:
        if faults:
            raise faults.pop(0)
        return "done"

    with pytest.raises(SystemExit):
        circuit.log_in(attempt)
    assert circuit.is_failing()
    assert circuit.log_in(attempt) == "done"
    assert not circuit.is_failing()


def test_a_caller_without_an_access_token_does_not_close_the_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_module, "LOGIN_INTERVAL_SECONDS", 0.05)
    circuit, faults = Circuit(threads=8), [fault("40613"), DatabaseLoginError()]

    def attempt() -> str:
        if faults:
            raise faults.pop(0)
        return "done"

    with pytest.raises(DatabaseLoginError):
        circuit.log_in(attempt)
    assert circuit.is_failing()
    assert circuit.log_in(attempt) == "done"
    assert not circuit.is_failing()


def test_no_waiter_misses_the_success_of_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_module, "LOGIN_INTERVAL_SECONDS", 0.002)
    circuit, chance = Circuit(threads=16), random.Random(1)

    def attempt() -> str:
        time.sleep(0.0005)
        if chance.random() < 0.6:
            raise fault("40613")
        return "done"

    started = time.monotonic()
    for _ in range(60):
        assert at_once(8, lambda _: circuit.log_in(attempt)) == ["done"] * 8
        assert not circuit._callers
    assert time.monotonic() - started < 30  # a lost wake-up lasts a whole budget
