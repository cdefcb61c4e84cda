"""The app during an outage, over HTTP: Microsoft's driver, and no SQL Server at the other end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.support.odbc import DRIVER_NAME, SECRETS, closed_port, connection_string, silent_port
from tests.support.programs import PROJECT, Program, running

THREADS, BUDGET = 6, 9
AT_ONCE = 6
"""Seconds within which a call ends that does not wait for the budget, on a busy machine."""


@contextmanager
def _serving(folder: Path, installed: dict[str, str], port: int) -> Iterator[Program]:
    keywords = {**SECRETS, "Server": f"tcp:127.0.0.1,{port}"}
    settings = {
        "DATABASE_URL": connection_string(Driver=f"{{{DRIVER_NAME}}}", **keywords),
        "DB_RETRY_SECONDS": str(BUDGET),
        "HEALTH_CHECK": "on",
        "PYTHON_THREADPOOL_THREAD_COUNT": str(THREADS),
    }
    with running(folder, PROJECT, **installed, **settings) as program:
        yield program


@pytest.mark.parametrize("unreachable", [lambda: nullcontext(closed_port()), silent_port], ids=["closed", "silent"])
def test_the_app_stays_alive_in_an_outage(
    tmp_path: Path, installed: dict[str, str], unreachable: Callable[[], AbstractContextManager[int]]
) -> None:
    with unreachable() as port, _serving(tmp_path, installed, port) as program, ThreadPoolExecutor(2 * THREADS) as pool:
        started = time.monotonic()
        calls = [pool.submit(program.post, "get_users", {}) for _ in range(2 * THREADS)]
        time.sleep(0.2)
        health = program.client.get(program.urls["health"])
        alive_after = time.monotonic() - started
        assert health.json()["status"] == "ok"
        assert alive_after < AT_ONCE
        rejected = 0
        for call in as_completed(calls):
            response = call.result()
            assert response.status_code == 503
            assert response.json()["type"] == "/problems/database-unavailable"
            assert int(response.headers["retry-after"]) > 0
            rejected += time.monotonic() - started < AT_ONCE
        assert rejected >= THREADS
        assert rejected < 2 * THREADS  # the others waited for the database


def test_probes_of_the_database_occupy_one_thread_in_an_outage(tmp_path: Path, installed: dict[str, str]) -> None:
    with (
        _serving(tmp_path, installed, closed_port()) as program,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        started = time.monotonic()
        url = f"{program.urls['health']}?database=1"
        ended = []
        for probe in as_completed([pool.submit(program.client.get, url) for _ in range(THREADS)]):
            assert probe.result().status_code == 503
            ended.append(time.monotonic() - started)
        assert ended[-2] < AT_ONCE
        assert ended[-1] > BUDGET - 1  # the probe itself
