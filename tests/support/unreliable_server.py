"""A database server whose logins and statements fail or hang on demand."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool


class _Connection(sqlite3.Connection):
    server: UnreliableServer

    def cursor(self, *_: Any) -> Any:
        self.server.reach("execute")
        return super().cursor()


class UnreliableServer:
    """Logins and statements of a SQL Server, over SQLite.

    Calls at `place` ("connect" or "execute") wait until `released` is set; `times` of them raise `fault`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logins = 0
        self.place = "connect"
        self.fault: BaseException | None = None
        self.times = 10**9
        self.reached = threading.Event()
        self.released = threading.Event()
        self.released.set()

    def reach(self, place: str) -> None:
        """Waits or raises if `place` is the configured one."""
        if place != self.place:
            return
        self.reached.set()
        assert self.released.wait(30)
        if self.fault is not None and self.times > 0:
            self.times -= 1
            raise self.fault

    def hang(self) -> None:
        """Makes calls at the place wait from now on."""
        self.reached.clear()
        self.released.clear()

    def connect(self) -> sqlite3.Connection:
        """Logs in."""
        self.logins += 1
        self.reach("connect")
        connection = sqlite3.connect(self.path, factory=_Connection, check_same_thread=False)
        connection.server = self
        return connection

    def engine(self, **options: Any) -> Engine:
        """An engine whose connections are logins here."""
        return create_engine(
            "sqlite://", creator=self.connect, poolclass=QueuePool, pool_reset_on_return=None, **options
        )


def driver_error(number: str = "40613") -> sqlite3.OperationalError:
    """An error as pyodbc raises it, with a name in its text that no response and no log may show."""
    text = f"[42000] [Microsoft][SQL Server]Database 'secret-db' is away. ({number}) (SQLDriverConnect)"
    return sqlite3.OperationalError("42000", text)
