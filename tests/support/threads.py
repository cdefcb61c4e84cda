"""Work that many threads begin simultaneously."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Returns the results of `work` in `count` threads that begin together."""
    barrier = Barrier(count)

    def begin(number: int) -> Any:
        barrier.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))
