"""The connection pool for SQL Server: it closes connections that were idle for some time, also when no call comes.

Azure SQL pauses a serverless database only while it has no session, so an idle connection keeps it awake:
learn.microsoft.com/azure/azure-sql/database/serverless-tier-auto-pause-resume.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, Pool

WAIT_SECONDS: Final = 30
"""How long a check-out waits while every connection of the pool is in use, as SQLAlchemy's own pool does."""


class IdleClosingPool(Pool):
    """At most `pool_size` connections; one that was idle for `idle_seconds` is closed by a daemon thread.

    The most recently returned connection is handed out first, so that surplus connections age. The thread exists only
    while connections are idle. SQLAlchemy's `QueuePool` has no idle timeout (`pool_recycle` acts at a check-out alone)
    and no public access to its idle connections. This class implements what SQLAlchemy's own pools implement.
    """

    def __init__(self, creator: Any, pool_size: int = 5, idle_seconds: float = 120, **options: Any) -> None:
        super().__init__(creator, **options)
        self._size, self._idle_seconds, self._in_use = pool_size, idle_seconds, 0
        # Guards everything below. Reentrant: the garbage collector may return a connection at any moment.
        self._changed = threading.Condition(threading.RLock())
        self._idle: deque[tuple[float, ConnectionPoolEntry]] = deque()  # with the time of return; the last is newest
        self._closer: threading.Thread | None = None

    def _do_get(self) -> ConnectionPoolEntry:
        with self._changed:
            if not self._changed.wait_for(lambda: self._in_use < self._size, WAIT_SECONDS):
                raise PoolTimeoutError(f"All {self._size} connections of the pool are in use.")
            self._in_use += 1
            if self._idle:
                return self._idle.pop()[1]
        try:
            return self._create_connection()
        except BaseException:
            self._free_place()
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if record.dbapi_connection is not None:  # an invalidated one must not come before connections that are good
            with self._changed:
                self._idle.append((time.monotonic(), record))
                self._ensure_closer()
        self._free_place()

    def _free_place(self) -> None:
        with self._changed:
            self._in_use -= 1
            self._changed.notify_all()

    def _ensure_closer(self) -> None:
        if self._closer is None:
            closer = threading.Thread(target=self._close_expired, name="idle-connections", daemon=True)
            with suppress(RuntimeError):  # the process has no more threads or is ending: the connection stays open
                closer.start()
                self._closer = closer

    def _close_expired(self) -> None:
        while expired := self._wait_for_expired():
            for record in expired:
                _close(record)

    def _wait_for_expired(self) -> list[ConnectionPoolEntry]:
        """Waits for connections whose time is over and returns them; none if no connection is idle any more."""
        with self._changed:
            while self._idle:
                now = time.monotonic()
                expired: list[ConnectionPoolEntry] = []
                while self._idle and self._idle[0][0] + self._idle_seconds <= now:
                    expired.append(self._idle.popleft()[1])
                if expired:
                    return expired
                self._changed.wait(self._idle[0][0] + self._idle_seconds - now)
            self._closer = None
            return []

    def dispose(self) -> None:
        """Closes the idle connections. Others are closed once they were returned and idle."""
        with self._changed:
            idle, self._idle = self._idle, deque()
            self._changed.notify_all()
        for _, record in idle:
            _close(record)

    def recreate(self) -> IdleClosingPool:
        """Returns a new pool with the same options."""
        return self.__class__(
            self._creator,
            pool_size=self._size,
            idle_seconds=self._idle_seconds,
            recycle=self._recycle,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            reset_on_return=self._reset_on_return,
            pre_ping=self._pre_ping,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )

    def status(self) -> str:
        """Returns the size of the pool and the number of idle connections."""
        return f"Pool size: {self._size}  Idle connections: {len(self._idle)}"

    def size(self) -> int:
        """Returns the maximum number of connections."""
        return self._size


def _close(record: ConnectionPoolEntry) -> None:
    with suppress(Exception):  # the connection leaves the pool in any case
        record.close()
