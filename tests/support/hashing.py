"""A watch over the hashes that argon2 computes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Hashing:
    """Counts the hashes that argon2 computes; each waits while the test holds them."""

    def __init__(self) -> None:
        self.started = 0
        self.running = 0
        self.most_at_once = 0
        self._changed = threading.Condition()
        self._go = threading.Event()
        self._go.set()

    def hold(self) -> None:
        """Lets every hash from now on wait."""
        self._go.clear()

    def release(self) -> None:
        """Lets them go on."""
        self._go.set()

    def wait_for(self, running: int) -> None:
        """Waits until so many hashes run at once."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.running == running, 30), self.running

    def watch(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function with the count."""

        def counted(*arguments: Any, **options: Any) -> Any:
            self._count(1)
            try:
                assert self._go.wait(30)
                return compute(*arguments, **options)
            finally:
                self._count(-1)

        return counted

    def _count(self, change: int) -> None:
        with self._changed:
            self.running += change
            self.started += max(change, 0)
            self.most_at_once = max(self.most_at_once, self.running)
            self._changed.notify_all()
