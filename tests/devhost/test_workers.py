"""The threads of the development host survive jobs whose callers no longer wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from devhost.workers import WorkerPool
from tests.devhost.server import TIMEOUT


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    """One thread."""
    pool = WorkerPool(1)
    yield pool
    pool.close()


async def next_job(pool: WorkerPool) -> Any:
    """Returns the result of a job that waits for the earlier ones."""
    return await asyncio.wait_for(pool.run(lambda: "next"), TIMEOUT)


def test_a_job_that_outlasts_its_event_loop_leaves_the_thread_usable(pool: WorkerPool) -> None:
    release = threading.Event()

    async def leave() -> None:
        pool.run(lambda: release.wait(TIMEOUT))

    asyncio.run(leave())
    release.set()
    assert asyncio.run(next_job(pool)) == "next"


def test_a_cancelled_job_is_no_error(pool: WorkerPool) -> None:
    release, errors = threading.Event(), []

    async def cancel() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        pool.run(lambda: release.wait(TIMEOUT)).cancel()
        release.set()
        assert await next_job(pool) == "next"

    asyncio.run(cancel())
    assert errors == []


def test_closing_waits_for_a_job_in_progress(pool: WorkerPool) -> None:
    ended = []

    def job() -> None:
        time.sleep(0.2)
        ended.append("ended")

    async def leave() -> None:
        pool.run(job)

    asyncio.run(leave())
    pool.close()
    assert ended == ["ended"]
