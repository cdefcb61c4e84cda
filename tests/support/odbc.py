"""Microsoft's real ODBC driver, ports without a SQL Server, and a stand-in for pyodbc's `connect`.

The driver comes from the package mssql-python-odbc.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import platform
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import text

from persistence.database.connections import reading, transaction
from tests.support.programs import WAIT_SECONDS

DRIVER_NAME: Final = "ODBC Driver 18 for SQL Server"
ENCRYPT_ON: Final = 1
"""The option in a client's first packet that requests encryption."""
_ENCRYPTION, _TERMINATOR = 1, 255
"""An option of a client's first packet, and the end of its options (MS-TDS 2.2.6.5, PRELOGIN)."""
SECRETS: Final = {"Server": "localhost", "UID": "rollbook_app", "PWD": "{pass;w}}ord}", "Database": "rollbook_db"}
"""Parts of a connection string that must not appear anywhere."""


def find_driver() -> tuple[Path, str]:
    """Returns the driver's file, and a description of what is missing."""
    try:
        importlib.import_module("pyodbc")
    except ImportError as error:
        return Path(), f"pyodbc does not load, it needs unixODBC (Debian: unixodbc): {error}"
    package = importlib.util.find_spec("mssql_python_odbc")
    if package is None or package.origin is None:
        return Path(), "the package mssql-python-odbc, which contains Microsoft's ODBC driver, is not installed"
    folder = Path(package.origin).parent / "libs/linux/debian_ubuntu" / platform.machine() / "lib"
    files = sorted(folder.glob("libmsodbcsql-18.*.so.*"))
    if not files:
        return Path(), f"mssql-python-odbc contains no driver for {platform.system()} on {platform.machine()}"
    try:
        ctypes.CDLL(str(files[-1]))
    except OSError as error:
        return Path(), f"Microsoft's ODBC driver does not load (Debian: libgssapi-krb5-2): {error}"
    return files[-1], ""


def connection_string(**keywords: object) -> str:
    """An ODBC connection string; keywords that are None are left out."""
    return ";".join(f"{keyword}={value}" for keyword, value in keywords.items() if value is not None)


# ---- ports without a SQL Server


def closed_port() -> int:
    """A port on which no program listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def silent_port() -> Iterator[int]:
    """A port on which the system accepts connections that no program reads."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener.getsockname()[1]


class HangingUp:
    """A server that reads each client's first packet, records whether it requests encryption, and disconnects."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.port: int = listener.getsockname()[1]
        self.encryption: list[int] = []

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:  # shut down
                return
            with client, suppress(OSError):  # the client disconnected first
                client.settimeout(WAIT_SECONDS)
                self.encryption.append(self._read_encryption(client))

    def _read_encryption(self, client: socket.socket) -> int:
        packet = b""
        while len(packet) < 4 or len(packet) < int.from_bytes(packet[2:4], "big"):
            received = client.recv(4096)
            if not received:
                return -1
            packet += received
        body = packet[8:]
        for position in range(0, len(body), 5):  # options: a number, an offset and a length each, until 255
            if body[position] == _ENCRYPTION:
                return body[int.from_bytes(body[position + 1 : position + 3], "big")]
            if body[position] == _TERMINATOR:
                break
        return -1


# ---- a stand-in for pyodbc


class Cursor:
    """The part of pyodbc's cursor that SQLAlchemy uses."""

    description = (("", str, None, None, None, None, True),)
    rowcount = -1

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.driver = connection.driver
        self.timeout = connection.timeout  # pyodbc sets it once, when the cursor is created

    def execute(self, statement: str, *_: object) -> Cursor:
        ends_transaction = statement.endswith(("COMMIT", "ROLLBACK"))
        self.connection.note(statement)
        self.driver.sent.append(statement if ends_transaction else "execute")
        self.driver.statements.append(statement)
        self.driver.timeouts.append(self.timeout)
        if ends_transaction and self.driver.fault is not None:
            raise self.driver.fault
        return self

    def fetchone(self) -> tuple[str]:
        return ("12.0.2000.8",)  # any text is enough for SQLAlchemy's initial queries

    def fetchall(self) -> list[tuple[str]]:
        return [self.fetchone()]

    def close(self) -> None:
        pass


class Connection:
    """The part of pyodbc's connection that SQLAlchemy uses."""

    def __init__(self, driver: StandInDriver) -> None:
        self.driver = driver
        self.autocommit = False
        self.in_transaction = False
        self._begins_transactions = False
        self._timeout = 0

    @property
    def timeout(self) -> int:
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: int) -> None:
        if self.driver.timeout_fault is not None:
            raise self.driver.timeout_fault
        self._timeout = seconds

    def note(self, statement: str) -> None:
        """Follows the server's transaction."""
        if "SET IMPLICIT_TRANSACTIONS ON" in statement:
            self._begins_transactions = True
        else:
            self.in_transaction = self._begins_transactions and not statement.endswith(("COMMIT", "ROLLBACK"))

    def cursor(self) -> Cursor:
        return Cursor(self)

    def commit(self) -> None:
        assert self.autocommit  # where the driver sends nothing

    def rollback(self) -> None:
        assert self.autocommit

    def close(self) -> None:
        self.driver.sent.append("close")
        self.driver.closed.append(self)

    def add_output_converter(self, *_: object) -> None:
        pass

    def set_attr(self, *_: object) -> None:
        pass


class StandInDriver:
    """Records logins, what is sent and with which timeouts. A login takes `login_seconds`.

    Logins and commits raise `fault`, and setting a timeout raises `timeout_fault`, where these are set. The next logins
    raise one of `login_faults` each.
    """

    def __init__(self) -> None:
        self.logins: list[SimpleNamespace] = []
        self.connections: list[Connection] = []
        self.closed: list[Connection] = []
        self.sent: list[str] = []
        self.statements: list[str] = []
        self.timeouts: list[int] = []
        self.fault: Exception | None = None
        self.timeout_fault: Exception | None = None
        self.login_faults: list[Exception] = []
        self.login_seconds = 0.0

    def connect(self, connection_string: str, **options: Any) -> Connection:
        self.logins.append(SimpleNamespace(text=connection_string, at=time.monotonic(), **options))
        time.sleep(self.login_seconds)
        if self.login_faults:
            raise self.login_faults.pop()
        if self.fault is not None:
            raise self.fault
        self.connections.append(Connection(self))
        self.connections[-1].autocommit = options["autocommit"]
        return self.connections[-1]


def unreachable() -> Exception:
    """The error with which pyodbc reports a server that cannot be reached."""
    error: Exception = importlib.import_module("pyodbc").OperationalError(
        "08001", f"[08001] [Microsoft][{DRIVER_NAME}]TCP Provider: Error code 0x2749 (10057) (SQLDriverConnect)"
    )
    return error


class Credential:
    """A stand-in for azure-identity's credential: each token differs."""

    requested: list[tuple[str, ...]]
    fault: Exception | None

    def get_token(self, *scopes: str) -> SimpleNamespace:
        self.requested.append(scopes)
        if self.fault is not None:
            raise self.fault
        return SimpleNamespace(token=f"token-{len(self.requested)}", expires_on=0)


# ---- calls


def read() -> str:
    """A call that only reads."""
    with reading() as connection:
        connection.execute(text("SELECT 1"))
    return "done"


def write() -> str:
    """A call that writes."""
    with transaction() as connection:
        connection.execute(text("UPDATE users SET version = 2"))
    return "done"
