"""A stand-in for SQL Server below SQLAlchemy: it records what is executed and knows alembic_version, nothing else."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine

from persistence.database import connections


def fault(number: str, text: str = "Not now.", state: str = "42000") -> sqlite3.OperationalError:
    """An error as pyodbc raises it: SQLSTATE, then a text with the server's number."""
    return sqlite3.OperationalError(
        state, f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{text} ({number}) (SQLExecDirectW)"
    )


class Server:
    """The server. `faults` are raised, each once, by the first statement that contains their text, or by `login`."""

    def __init__(self) -> None:
        self.schema = "dbo"
        self.names: set[str] = set()  # of tables and indexes
        self.versions: list[str] = []
        self.transactions: list[list[str]] = []  # that were committed, without what only reads
        self.rollbacks: list[list[str]] = []
        self.logins = 0
        self.lock_result = 0  # of sp_getapplock
        self.on_lock: Callable[[], None] = lambda: None
        self.locks: list[str] = []
        self.faults: list[tuple[str, Exception]] = []
        self._open: list[str] = []
        self._saved = list(self.versions)

    @property
    def executed(self) -> list[str]:
        """The statements of all transactions that were committed."""
        return [statement for transaction in self.transactions for statement in transaction]

    def meet(self, statement: str) -> None:
        """Raises the next fault if it is meant for this statement."""
        if self.faults and self.faults[0][0] in statement:
            raise self.faults.pop(0)[1]

    def execute(self, statement: str) -> list[str]:
        """The values of the only column of a result."""
        self.meet(statement)
        if "sp_getapplock" in statement:
            assert not self._open
            self.locks.append(statement)
            self.on_lock()
            return [str(self.lock_result)]
        if not statement.startswith("SELECT"):
            self._open.append(statement)
            return self._change_versions(statement)
        if "SCHEMA_NAME()" in statement:
            return [self.schema]
        if "alembic_version" in statement:
            if "alembic_version" not in self.names:
                raise fault("208", "Invalid object name 'alembic_version'.", "42S02")
            return self.versions
        if "sys.tables" in statement:
            return sorted(self.names)
        return sorted(self.names & {"alembic_version"})  # SQLAlchemy checks whether it exists

    def _change_versions(self, statement: str) -> list[str]:
        if statement.strip().startswith("CREATE TABLE alembic_version"):
            self.names.add("alembic_version")
        revisions = re.findall(r"'(\w+_\d{4})'", statement) if " alembic_version" in statement else []
        if len(revisions) == 2:  # UPDATE … SET version_num=new WHERE version_num = old
            self.versions = [revisions[0] if version == revisions[1] else version for version in self.versions]
        elif revisions:
            self.versions = [*self.versions, *revisions]
        return revisions

    def end(self, *, committed: bool) -> None:
        """The end of a transaction."""
        if committed:
            self._saved = list(self.versions)
        else:
            self.versions = list(self._saved)
        if self._open:
            (self.transactions if committed else self.rollbacks).append(self._open)
        self._open = []


class _Cursor:
    lastrowid = None

    def __init__(self, server: Server) -> None:
        self.server = server

    def execute(self, statement: str, _: object = ()) -> None:
        self.rows = [(value,) for value in self.server.execute(statement)]
        returns_rows = statement.startswith("SELECT") or re.search(" OUTPUT |; SELECT ", statement)
        self.description = (("value", str, None, None, None, None, True),) if returns_rows else None
        self.rowcount = 1

    def fetchall(self) -> list[tuple[str]]:
        rows, self.rows = self.rows, []
        return rows

    def fetchone(self) -> tuple[str] | None:
        return self.rows.pop(0) if self.rows else None

    def setinputsizes(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass


class _Connection:
    timeout = 0

    def __init__(self, server: Server) -> None:
        server.logins += 1
        server.meet("login")
        self.server = server

    def cursor(self) -> _Cursor:
        return _Cursor(self.server)

    def commit(self) -> None:
        self.server.meet("commit")
        self.server.end(committed=True)

    def rollback(self) -> None:
        self.server.end(committed=False)

    def close(self) -> None:
        self.server.end(committed=False)


class _Module:
    """As much of pyodbc as SQLAlchemy's dialect looks at."""

    paramstyle, version = "qmark", "5.3.0"
    Error, Cursor = sqlite3.Error, _Cursor

    def __getattr__(self, name: str) -> Any:
        return 0 if name.startswith("SQL_") else getattr(sqlite3, name)


@contextmanager
def recording_server() -> Iterator[Server]:
    """The app's database is a new server."""
    server = Server()

    def engine() -> Engine:
        engine = create_engine(
            "mssql+pyodbc://",
            module=_Module(),
            creator=lambda: _Connection(server),
            pool_reset_on_return=None,
            _initialize=False,
        )
        engine.dialect.default_schema_name = "dbo"
        return engine

    connections.connect_engines(engine(), engine(), retry_seconds=5)
    yield server
    connections.close()
