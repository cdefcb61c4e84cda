"""Threads that run plain functions, as in the worker of Azure Functions."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final

JOIN_SECONDS: Final = 1.0
"""How long `close` waits for the threads; the server has already waited for requests and timers."""


class WorkerPool:
    """Threads that run plain functions for an event loop.

    An Executor would work too, but its futures and locks cost a quarter of the throughput and let single requests
    starve.
    """

    def __init__(self, count: int) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, call: Callable[[], Any]) -> asyncio.Future[Any]:
        """Returns a future for the result of `call`, which must not raise."""
        done = asyncio.get_running_loop().create_future()
        self._jobs.put((call, done))
        return done

    def close(self) -> None:
        """Ends each thread after its current job; waits at most `JOIN_SECONDS`."""
        for _ in self._threads:
            self._jobs.put(None)
        until = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while job := self._jobs.get():
            call, done = job
            result = call()
            with contextlib.suppress(RuntimeError):  # the loop is closed: the job took longer than the stop waits
                done.get_loop().call_soon_threadsafe(_set_result, done, result)
            del job, call, done, result  # an idle thread must not hold a reference to its last response


def _set_result(done: asyncio.Future[Any], result: Any) -> None:
    if not done.cancelled():  # a stop cancels requests that take too long
        done.set_result(result)
