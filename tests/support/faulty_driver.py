"""Faults of SQL Server without a server: a driver that raises like pyodbc and stores its data in SQLite.

The faults are injected below SQLAlchemy, whose real pools, connections and transactions run over this driver.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool

from persistence.database import connections

NUMBERS: Final = [
    "40613", "40197", "40501", "49918", "49919", "49920", "4060", "4221", "10928", "10929", "10053", "10054", "10060",
    "18401", "701", "40549", "40550", "40551", "40552", "40553", "10936", "8645",
]  # fmt: skip
"""Transient errors of SQL Server."""

STATES: Final = ["08001", "08S01", "HYT00", "IMC06"]
"""SQLSTATEs of lost connections and timeouts."""


NO_DIAGNOSTIC: Final = "HY000"
"""The SQLSTATE of pyodbc's error for a call that failed without a diagnostic record."""

CONSTRAINT: Final = "547"
"""A violated foreign key or CHECK."""

_LOGIN_STATES: Final = {"18456": "28000", "18463": "28000", "FA004": "FA004", "916": "08004", "40615": "42000"}


def fault(code: str) -> sqlite3.Error:
    """An error as pyodbc raises it: SQLSTATE, then a message with the server's number."""
    if code == NO_DIAGNOSTIC:
        return sqlite3.DatabaseError("HY000", "The driver did not supply an error!")
    if code == CONSTRAINT:
        return sqlite3.IntegrityError("23000", "[23000] [Microsoft][SQL Server]Conflict. (547) (SQLExecDirectW)")
    if state := _LOGIN_STATES.get(code):
        number = code if code.isdigit() else "0"
        return sqlite3.OperationalError(state, f"[{state}] [Microsoft][SQL Server]Login. ({number}) (SQLDriverConnect)")
    if code in STATES:
        return sqlite3.OperationalError(code, f"[{code}] [Microsoft][ODBC Driver 18 for SQL Server]Lost (0) (SQLExec)")
    state = "40001" if code == "1205" else "42000"
    return sqlite3.OperationalError(state, f"[{state}] [Microsoft][SQL Server]Not now. ({code}) (SQLExecDirectW)")


class Faults:
    """The codes that the driver raises next, by place; `committed` is after a commit that succeeded."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[str]] = {
            place: [] for place in ("connect", "execute", "write", "fetch", "commit", "committed", "rollback")
        }
        self.logins = 0

    def meet(self, place: str) -> None:
        if self.waiting[place]:
            raise fault(self.waiting[place].pop(0))


class _Cursor(sqlite3.Cursor):
    def fetchmany(self, *arguments: Any, **options: Any) -> list[Any]:
        self.connection.faults.meet("fetch")  # type: ignore[attr-defined]
        return super().fetchmany(*arguments, **options)

    def execute(self, *arguments: Any) -> _Cursor:
        self.connection.faults.meet("execute")  # type: ignore[attr-defined]
        if self.connection.faults.waiting["write"] and not arguments[0].startswith(("SELECT", "PRAGMA")):  # type: ignore[attr-defined]
            self.connection.faults.meet("write")  # type: ignore[attr-defined]
        super().execute(*arguments)
        return self


class _Connection(sqlite3.Connection):
    faults: Faults

    def cursor(self, *_: Any) -> Any:
        return super().cursor(_Cursor)

    def commit(self) -> None:
        self.faults.meet("commit")
        super().commit()
        self.faults.meet("committed")

    def rollback(self) -> None:
        self.faults.meet("rollback")
        super().rollback()


def connect_with_faults(database_file: Path) -> Faults:
    """Connects the app with the engines of SQL Server over the faulty driver; returns the faults to raise."""
    faults = Faults()

    def connect() -> _Connection:
        faults.logins += 1
        faults.meet("connect")
        connection = sqlite3.connect(database_file, factory=_Connection, check_same_thread=False)
        connection.faults = faults
        return connection

    def engine(**options: Any) -> Engine:
        return create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_reset_on_return=None, **options)

    reader = engine(isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)
    connections.connect_engines(reader, engine(), retry_seconds=5)
    return faults
