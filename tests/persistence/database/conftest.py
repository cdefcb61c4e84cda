"""Fixtures for tests of SQL Server: a faulty driver, Microsoft's driver, and a stand-in for pyodbc."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from persistence.database import connections
from tests.support.counting_driver import URL, Server, counting_driver
from tests.support.faulty_driver import Faults, connect_with_faults
from tests.support.odbc import (
    DRIVER_NAME,
    SECRETS,
    Credential,
    HangingUp,
    StandInDriver,
    connection_string,
    find_driver,
)


@pytest.fixture
def faults(database_file: Path) -> Faults:
    """The app on the engines of SQL Server, over a driver that raises faults."""
    return connect_with_faults(database_file)


@pytest.fixture(scope="session")
def driver_file() -> Path:
    """The file of Microsoft's ODBC driver, in its own folder: it needs the resources beside it."""
    path, missing = find_driver()
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    return path


@pytest.fixture(scope="session")
def installed(driver_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process in which the driver is installed by name. unixODBC reads it once per process."""
    folder = tmp_path_factory.mktemp("odbc")
    (folder / "odbcinst.ini").write_text(f"[{DRIVER_NAME}]\nDriver={driver_file}\n", "utf-8")
    return {"ODBCSYSINI": str(folder), "ODBCINSTINI": "odbcinst.ini"}


@pytest.fixture
def odbc(driver_file: Path) -> Iterator[Callable[..., str]]:
    """A function that returns a connection string whose driver this process can load."""
    yield lambda **keywords: connection_string(**{"Driver": f"{{{driver_file}}}", **SECRETS, **keywords})
    connections.close()


@pytest.fixture
def hanging_up() -> Iterator[HangingUp]:
    """A server that hangs up."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        server = HangingUp(listener)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept, which a close does not
            thread.join()


@pytest.fixture
def driver(driver_file: Path, monkeypatch: pytest.MonkeyPatch) -> StandInDriver:
    """A stand-in for pyodbc's `connect`, which contacts no server."""
    assert driver_file.exists()
    driver = StandInDriver()
    monkeypatch.setattr("pyodbc.connect", driver.connect)
    return driver


@pytest.fixture
def credential(monkeypatch: pytest.MonkeyPatch) -> type[Credential]:
    """The class of the credential that the app creates."""

    class Mine(Credential):
        requested: list[tuple[str, ...]] = []  # noqa: RUF012 - the app creates the instance
        fault: Exception | None = None

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Mine)
    return Mine


@pytest.fixture
def server(database_file: Path) -> Iterator[Server]:
    """The app on SQL Server, over a driver that counts what it sends."""
    with counting_driver(database_file) as server:
        connections.connect(URL, threads=8)
        yield server
        connections.close()
