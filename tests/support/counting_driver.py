"""A stand-in for pyodbc on which the whole app runs as on SQL Server. It counts what the real driver sends.

SQLAlchemy's dialect, its pools and the app's own code run unchanged above it, with T-SQL and the driver's types. The
data is in a SQLite file: `tsql_data` executes there what the T-SQL says. The rules of requests and of parameter types
are pyodbc's (src/params.cpp, src/cursor.cpp) and those of Microsoft's driver, measured on the wire.
"""

from __future__ import annotations

import itertools
import re
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from sqlalchemy import Engine, event

from tests.support import driver_types
from tests.support.driver_types import Error, OperationalError, ProgrammingError
from tests.support.rowversions import Rowversions
from tests.support.tsql_data import Data, hand_over

DRIVER: Final = "ODBC Driver 18 for SQL Server"
URL: Final = f"Driver={{{DRIVER}}};Server=localhost;Database=rollbook;UID=app;PWD=secret"
"""A connection string with which the app connects to the stand-in."""
_PACKET_ROWS: Final = 50
"""Rows of a result that the driver has received as soon as the first one is there; about a packet's size."""


class Request(NamedTuple):
    """A request to the server: `begin` a login's; `prepexec`, `execute`, `unprepare`, `batch`, `commit` and so on."""

    kind: str
    text: str = ""


class Execution(NamedTuple):
    """A statement as the driver received it: names (from SQLAlchemy) and declared types of its parameters, the
    cursor's timeout in seconds, and the cursor's number.
    """

    text: str
    names: tuple[str, ...]
    declared: tuple[str, ...]
    timeout: int
    cursor: int


class Server:
    """The server: its requests and executed statements in order, and every connection since the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rowversions = Rowversions(path)
        self.requests: list[Request] = []
        self.executions: list[Execution] = []
        self.connections: list[Connection] = []
        self.cursor_numbers = itertools.count()
        self.logins: list[dict[str, Any]] = []

    def connect(self, connection_string: str, **options: Any) -> Connection:
        """Logs in as pyodbc does. The login itself is not counted as a request."""
        if not self.logins:  # pyodbc asks once per process and connection string
            for _ in range(4):
                self.send("sp_datatype_info")
        self.logins.append({"text": connection_string, **options})
        self.connections.append(Connection(self, autocommit=options.get("autocommit", False)))
        return self.connections[-1]

    def send(self, kind: str, text: str = "") -> None:
        """Counts a request."""
        self.requests.append(Request(kind, text))

    def sent_by(self, call: Callable[[], Any]) -> list[Request]:
        """Returns the requests of a call."""
        self.requests.clear()
        self.executions.clear()
        call()
        return [*self.requests]

    def open_cursors(self) -> list[Cursor]:
        """Returns the cursors that hold a handle on the server."""
        return [cursor for connection in self.connections for cursor in connection.cursors if not cursor.closed]


class Connection:
    """A connection of pyodbc."""

    def __init__(self, server: Server, *, autocommit: bool) -> None:
        self.server = server
        self.cursors: weakref.WeakSet[Cursor] = weakref.WeakSet()
        self.data = Data(server.path, server.rowversions)
        self.timeout = self.maxwrite = 0
        self.closed = False
        self._autocommit, self._implicit_transactions = True, False
        if not autocommit:
            self.autocommit = False

    @property
    def autocommit(self) -> bool:
        """Whether each statement is its own transaction."""
        return self._autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        if value and not self._autocommit:
            self.commit()
        if self._autocommit and not value:
            self.server.send("begin")
        self._autocommit = value

    def begin(self) -> None:
        """Begins a transaction, which costs no request: it travels with a statement, or with the last commit."""
        if (self._implicit_transactions or not self._autocommit) and not self.data.in_transaction:
            self.data.begin()

    def set_options(self, batch: str) -> bool:
        """Returns whether a batch sets options of the session or ends its transaction, and does so."""
        if found := re.search(r"\bSET IMPLICIT_TRANSACTIONS (ON|OFF)\b", batch):
            self._implicit_transactions = found[1] == "ON"
        if batch.endswith(("COMMIT", "ROLLBACK")) and self.data.in_transaction:
            (self.data.commit if batch.endswith("COMMIT") else self.data.rollback)()
        elif batch == "COMMIT":
            raise driver_types.ProgrammingError("42000", "The COMMIT TRANSACTION request has no BEGIN. (3902)")
        return batch.startswith(("SET ", "IF @@TRANCOUNT", "COMMIT"))

    def commit(self) -> None:
        self._end("commit", self.data.commit)

    def rollback(self) -> None:
        self._end("rollback", self.data.rollback)

    def _end(self, kind: str, end: Callable[[], None]) -> None:
        """Ends the transaction with a request that also begins the next one. In autocommit nothing is sent."""
        self.require_open()
        for cursor in self.cursors:
            if cursor.unread:
                cursor.cancel()
        if not self._autocommit:
            self.server.send(kind)
        if self.data.in_transaction:
            end()

    def cursor(self) -> Cursor:
        self.require_open()
        cursor = Cursor(self)
        self.cursors.add(cursor)
        return cursor

    def close(self) -> None:
        self.rollback()
        self.closed = True
        self.data.close()
        for cursor in self.cursors:  # the server frees their handles with the session
            cursor.closed = True

    def require_open(self) -> None:
        if self.closed:
            raise ProgrammingError("Attempt to use a closed connection.")

    def require_no_result(self, besides: Cursor) -> None:
        """Raises pyodbc's error if the rows of another cursor were not read: there is no MARS."""
        if any(cursor.unread for cursor in self.cursors if cursor is not besides):
            raise OperationalError("HY000", "[HY000] Connection is busy with results for another command (0) (SQLExec)")

    def add_output_converter(self, *_: object) -> None:
        pass

    def set_attr(self, *_: object) -> None:
        pass


class Cursor:
    """A cursor of pyodbc, with the prepared statement that it holds."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.server = connection.server
        self.number = next(self.server.cursor_numbers)
        self.timeout = connection.timeout  # pyodbc sets it once, when the cursor is created
        self.description: tuple[tuple[Any, ...], ...] | None = None
        self.rowcount = -1
        self.closed = self.unread = False
        self._sizes: Sequence[Any] = ()
        self._rows: list[tuple[Any, ...]] = []
        self._in_packet = True
        self._prepared: str | None = None
        self._described = False

    def setinputsizes(self, sizes: Sequence[Any] | None) -> None:
        self._sizes = sizes or ()

    def execute(self, text: str, *given: Any) -> Cursor:
        values = tuple(given[0] if len(given) == 1 and isinstance(given[0], list | tuple) else given)
        return self._execute(text, values, 0)

    def executemany(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        for index, values in enumerate(rows):
            self._execute(text, tuple(values), index)

    def _execute(self, text: str, values: tuple[Any, ...], row: int) -> Cursor:
        self._require_open()
        self.connection.require_no_result(besides=self)
        self._discard()
        sizes = [*self._sizes, *[None] * len(values)][: len(values)]
        declared = tuple(map(driver_types.declare, sizes, values))  # raises before anything is sent
        self._send(text, values, sizes)
        self._rows, self.description, self.rowcount = [], None, -1
        if self.connection.set_options(text):
            return self
        self.connection.begin()
        statement = self.connection.data.statement(text, row)
        self.server.executions.append(Execution(text, statement.names, declared, self.timeout, self.number))
        try:
            self._rows, self.description, self.rowcount = statement.run()
        except Error:
            self._prepared = None  # the driver has dropped the handle
            raise
        self._in_packet = len(self._rows) <= _PACKET_ROWS
        self.unread = self.description is not None
        return self

    def _send(self, text: str, values: tuple[Any, ...], sizes: list[Any]) -> None:
        if self._prepared is not text:  # pyodbc compares the objects; an equal text of its own is prepared anew
            self._unprepare()
            self._described = False
        if not values:
            self.server.send("batch", text)
            return
        if not self._described and any(value is None for value in values):  # also with setinputsizes
            self.server.send("describe", text)  # sp_describe_undeclared_parameters
            self._described = True
        # Each time, because pyodbc binds each time. It replaces the old handle.
        if any(map(driver_types.is_long, sizes, values, [self.connection.maxwrite] * len(values))):
            self.server.send("prepare", text)
            self.server.send("execute", text)
        else:
            self.server.send("prepexec", text)
        self._prepared = text

    def _unprepare(self) -> None:
        if self._prepared is not None:
            self.server.send("unprepare", self._prepared)
            self._prepared = None

    def _discard(self) -> None:
        """Ends the result. What the server still sends of a long one has to be stopped."""
        if self.unread and not self._in_packet:
            self.server.send("attention")
        self.unread, self._rows = False, []

    def fetchone(self) -> tuple[Any, ...] | None:
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        self._require_open()
        if self.description is None:
            raise ProgrammingError("No results.  Previous SQL was not a query.")
        rows, self._rows = self._rows[:size], self._rows[size:]
        self.unread = bool(self._rows)  # the driver sees the end of a result behind its last row
        return rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.fetchmany(len(self._rows))

    def nextset(self) -> bool:
        self.unread, self._rows = False, []  # reads the rest
        return False

    def cancel(self) -> None:
        self._require_open()
        self._discard()

    def close(self) -> None:
        self._require_open()
        self._discard()
        self._unprepare()
        self.closed = True

    def __del__(self) -> None:  # as pyodbc's deallocation
        if not self.closed and not self.connection.closed:
            self.close()

    def _require_open(self) -> None:
        self.connection.require_open()
        if self.closed:
            raise ProgrammingError("The cursor has been closed.")


def _module(server: Server) -> Any:
    """Returns the stand-in for the module pyodbc, as far as SQLAlchemy and the app use it."""
    errors = {error.__name__: error for error in driver_types.ERRORS}
    return SimpleNamespace(
        **errors,
        **driver_types.CODES,
        apilevel="2.0",
        paramstyle="qmark",
        version="5.5.0",
        pooling=True,
        STRING=str,
        NUMBER=float,
        DATETIME=datetime,
        ROWID=int,
        BINARY=bytearray,
        Binary=bytes,
        BinaryNull=driver_types.BINARY_NULL,
        Connection=Connection,
        Cursor=Cursor,
        connect=server.connect,
        drivers=lambda: [DRIVER],
    )


@contextmanager
def counting_driver(path: Path) -> Iterator[Server]:
    """Replaces pyodbc by the stand-in, for connections that are opened in the block. `path` is a SQLite database."""
    server = Server(path)
    replaced = sys.modules.get("pyodbc")
    sys.modules["pyodbc"] = _module(server)
    event.listen(Engine, "before_cursor_execute", hand_over)
    try:
        yield server
    finally:
        event.remove(Engine, "before_cursor_execute", hand_over)
        del sys.modules["pyodbc"]
        if replaced is not None:
            sys.modules["pyodbc"] = replaced


__all__ = ["URL", "Connection", "Cursor", "Error", "Execution", "Request", "Server", "counting_driver"]
