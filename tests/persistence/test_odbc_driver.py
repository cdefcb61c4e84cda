"""The way to Azure SQL as far as it goes without one: the app, pyodbc, and Microsoft's real ODBC driver.

The driver comes from the package mssql-python-odbc. What it meets is a port of this machine where no SQL Server
answers; where a login must succeed, a stand-in takes the place of pyodbc's `connect`.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import os
import platform
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from azure.core.exceptions import ClientAuthenticationError
from sqlalchemy import text

from persistence.database import connection_string, connections, retries, sqlserver
from persistence.database.errors import OutcomeUnknownError, TransientError, UnavailableError
from settings import SettingsError
from tests.programs import PATIENCE, PROJECT, refused_start

NAME = "ODBC Driver 18 for SQL Server"
ACCESS_TOKEN = 1256
"""SQL_COPT_SS_ACCESS_TOKEN of msodbcsql.h."""
ENCRYPTION, ENCRYPT_ON, TERMINATOR = 1, 1, 255
"""An option of a client's first packet, what the option says where encryption is asked for, and the end of options
(MS-TDS 2.2.6.5, PRELOGIN)."""
MARGIN = 15
"""Seconds within which a caller has an answer, for a budget of 3 and a machine that is busy."""
HIDDEN = {"Server": "localhost", "UID": "rollbook_app", "PWD": "{pass;w}}ord}", "Database": "rollbook_db"}
"""Parts of a connection string that nobody may read anywhere."""


# ---- the driver


def _find_driver() -> tuple[Path, str]:
    """The driver's file, and what is missing."""
    try:
        importlib.import_module("pyodbc")
    except ImportError as error:
        return Path(), f"pyodbc does not load, it needs unixODBC (Debian: unixodbc): {error}"
    package = importlib.util.find_spec("mssql_python_odbc")
    if package is None or package.origin is None:
        return Path(), "the package mssql-python-odbc, which carries Microsoft's ODBC driver, is not installed"
    folder = Path(package.origin).parent / "libs/linux/debian_ubuntu" / platform.machine() / "lib"
    files = sorted(folder.glob("libmsodbcsql-18.*.so.*"))
    if not files:
        return Path(), f"mssql-python-odbc carries no driver for {platform.system()} on {platform.machine()}"
    try:
        ctypes.CDLL(str(files[-1]))
    except OSError as error:
        return Path(), f"Microsoft's ODBC driver does not load (Debian: libgssapi-krb5-2): {error}"
    return files[-1], ""


@pytest.fixture(scope="session")
def driver_file() -> Path:
    """The file of Microsoft's ODBC driver, where it is: it finds its resources beside it."""
    path, missing = _find_driver()
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    return path


@pytest.fixture(scope="session")
def installed(driver_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a process in which the driver is installed by name. unixODBC reads them once per process."""
    folder = tmp_path_factory.mktemp("odbc")
    (folder / "odbcinst.ini").write_text(f"[{NAME}]\nDriver={driver_file}\n", "utf-8")
    return {"ODBCSYSINI": str(folder), "ODBCINSTINI": "odbcinst.ini"}


def _odbc(**keywords: object) -> str:
    return ";".join(f"{keyword}={value}" for keyword, value in keywords.items() if value is not None)


@pytest.fixture
def odbc(driver_file: Path) -> Iterator[Callable[..., str]]:
    """A function that answers a connection string whose driver this process can load."""

    def connection_string(**keywords: object) -> str:
        return _odbc(**{"Driver": f"{{{driver_file}}}", **HIDDEN, **keywords})

    yield connection_string
    connections.close()


# ---- places where no SQL Server answers


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def _silent_port() -> Iterator[int]:
    """A port at which the system takes connections, and nobody reads them."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener.getsockname()[1]


class Hanging:
    """A server that reads the first packet of each client, notes whether it asks for encryption, and hangs up."""

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
            with client, suppress(OSError):  # the client went first
                client.settimeout(PATIENCE)
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
            if body[position] == ENCRYPTION:
                return body[int.from_bytes(body[position + 1 : position + 3], "big")]
            if body[position] == TERMINATOR:
                break
        return -1


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """A server that hangs up."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        server = Hanging(listener)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept, which a close does not
            thread.join()


# ---- the app in a process of its own


class Program:
    """A development host, called and read."""

    def __init__(self, process: subprocess.Popen[str], log_file: Path, client: httpx.Client) -> None:
        self.log_file = log_file
        self.client = client
        assert process.stdout is not None
        self.printed = ""
        watchdog = threading.Timer(PATIENCE, process.kill)  # reading has no time-out
        watchdog.start()
        try:
            for line in process.stdout:
                self.printed += line
                if "Ctrl-C" in line:
                    break
        finally:
            watchdog.cancel()
            watchdog.join()
        assert "Ctrl-C" in self.printed, log_file.read_text("utf-8")
        self.urls = dict(re.findall(r"^  (\w+): \[[\w ,]+\] (http://\S+)$", self.printed, re.MULTILINE))

    def expect_absence(self) -> None:
        """A read and a write at the same time are told that the database is away, and nothing else is told."""
        started = time.monotonic()
        bodies = {
            "get_users": {},
            "create_user": {"full_name": "A B", "mob_num": "9876543210", "pan_num": "ABCPE1234F"},
        }
        with ThreadPoolExecutor(len(bodies)) as callers:
            answers = list(
                callers.map(lambda trigger: self.client.post(self.urls[trigger], json=bodies[trigger]), bodies)
            )
        assert time.monotonic() - started < MARGIN
        for answer in answers:
            assert answer.status_code == 503, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["retry-after"].isdigit()
            problem = answer.json()
            assert problem["type"] == "/problems/database-unavailable"
            assert problem["status"] == 503
            assert problem["errors"] == []
        log = self.log_file.read_text("utf-8")
        assert len(re.findall(r"^\w+ failed 503 .* database-unavailable:\w+$", log, re.MULTILINE)) == len(bodies)
        assert len(log.splitlines()) == len(bodies), log
        told = "\n".join([log, self.printed, *(f"{answer.headers}\n{answer.text}" for answer in answers)])
        for value in (*HIDDEN.values(), "pass;w", "Microsoft", "SQLDriverConnect"):
            assert value not in told


def _environment(installed: dict[str, str], database_url: str) -> dict[str, str]:
    return {
        **os.environ,
        **installed,
        "DATABASE_URL": database_url,
        "DB_RETRY_SECONDS": "3",
        "DB_POOL_RECYCLE_SECONDS": "",
        "HOST": "127.0.0.1",
        "PAN_HOLDER_CHECK": "on",
        "PORT": "0",
        "PYTHON_THREADPOOL_THREAD_COUNT": "4",
        "SERVICES": "users",
        "WEBSITE_SITE_NAME": "",
    }


@pytest.fixture
def serving(installed: dict[str, str], tmp_path: Path) -> Iterator[Callable[[int], Program]]:
    """A function that starts the app over the database at a port."""
    log_file = tmp_path / "stderr.txt"
    processes: list[subprocess.Popen[str]] = []
    with log_file.open("w") as log, httpx.Client(timeout=PATIENCE, verify=False, trust_env=False) as client:  # noqa: S501

        def start(port: int) -> Program:
            keywords = {**HIDDEN, "Server": f"tcp:{HIDDEN['Server']},{port}"}
            process = subprocess.Popen(
                [sys.executable, "-m", "devhost"],
                cwd=PROJECT,
                env=_environment(installed, _odbc(Driver=f"{{{NAME}}}", **keywords)),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            processes.append(process)
            return Program(process, log_file, client)

        try:
            yield start
        finally:
            for process in processes:
                process.terminate()
                try:
                    process.communicate(timeout=PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()


def test_the_driver_is_listed_and_speaks(installed: dict[str, str]) -> None:
    program = (
        "import json, pyodbc, sys\n"
        "try:\n"
        "    pyodbc.connect(sys.argv[1], timeout=1)\n"
        "except pyodbc.Error as error:\n"
        "    print(json.dumps([pyodbc.drivers(), *error.args]))\n"
    )
    connection_string = _odbc(Driver=f"{{{NAME}}}", Server=f"tcp:127.0.0.1,{_closed_port()}", UID="u")
    done = subprocess.run(
        [sys.executable, "-c", program, connection_string],
        env={**os.environ, **installed},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    drivers, state, message = json.loads(done.stdout)
    assert drivers == [NAME]
    assert state in ("08001", "HYT00")
    assert f"[Microsoft][{NAME}]" in message


def test_a_closed_port_is_a_503_within_the_budget(serving: Callable[[int], Program]) -> None:
    serving(_closed_port()).expect_absence()


def test_a_server_that_accepts_and_never_answers_is_a_503_within_the_budget(serving: Callable[[int], Program]) -> None:
    with _silent_port() as port:
        serving(port).expect_absence()


def test_a_server_that_accepts_and_hangs_up_is_a_503_within_the_budget(
    serving: Callable[[int], Program], hanging: Hanging
) -> None:
    serving(hanging.port).expect_absence()
    assert len(hanging.encryption) > 2
    assert set(hanging.encryption) == {ENCRYPT_ON}


def test_a_driver_that_is_not_installed_is_one_sentence_at_the_start(installed: dict[str, str]) -> None:
    line = refused_start(_environment(installed, _odbc(Driver="{ODBC Driver 99}", **HIDDEN)))
    assert line.startswith("Cannot start: DATABASE_URL names the driver 'ODBC Driver 99', which is not installed")
    for value in (*HIDDEN.values(), "pass;w"):
        assert value not in line


# ---- what the connection string may say


def test_a_url_without_a_driver_gets_microsofts() -> None:
    keywords = connection_string.read_odbc(connection_string.parse_database_url("mssql+pyodbc://user:secret@server/db"))
    assert keywords == {"driver": f"{{{NAME}}}", "server": "server", "database": "db", "uid": "user", "pwd": "secret"}


def test_a_password_in_braces_keeps_its_semicolons_and_braces() -> None:
    url = connection_string.parse_database_url("Driver=X;PWD={a;b}}c=d;};Server=s")
    assert connection_string.read_odbc(url) == {"driver": "X", "pwd": "{a;b}}c=d;}", "server": "s"}
    url = connection_string.parse_database_url("mssql+pyodbc://user:a%3Bb%7Dc@server/db")
    assert connection_string.read_odbc(url).items() >= {"uid": "user", "pwd": "{a;b}}c}"}.items()


def test_of_a_keyword_that_stands_there_twice_the_first_counts_as_it_does_for_the_driver() -> None:
    url = connection_string.parse_database_url("Driver=X;Server=s;UID=first;uid=second")
    assert connection_string.read_odbc(url)["uid"] == "first"


@pytest.mark.parametrize(
    "value",
    ["no", "No", "optional", "Optional", "false", "0", "{no}", "{Optional}", "{}", "soon"],
)
@pytest.mark.parametrize("form", ["Driver=X;Server=s;PWD=secret;Encrypt={}", "mssql+pyodbc://u:secret@s/d?Encrypt={}"])
def test_a_connection_that_is_not_encrypted_is_refused(form: str, value: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL says Encrypt=") as caught:
        connections.connect(form.replace("{}", value), threads=1)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["yes", "Yes", "{yes}"])
def test_on_azure_a_certificate_that_is_not_checked_is_refused(value: str) -> None:
    connection_string = f"Driver=X;Server=s;PWD=secret;Encrypt=yes;TrustServerCertificate={value}"
    with pytest.raises(SettingsError, match="DATABASE_URL says TrustServerCertificate=yes") as caught:
        connections.connect(connection_string, threads=1, on_azure=True)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"Encrypt": "yes"},
        {"Encrypt": "mandatory"},
        {"TrustServerCertificate": "yes"},
        {"Authentication": "ActiveDirectoryMsi", "UID": "11111111-1111-4111-8111-111111111111", "PWD": None},
    ],
)
def test_the_driver_takes_the_connection_string_and_asks_for_encryption(
    odbc: Callable[..., str], hanging: Hanging, keywords: dict[str, object]
) -> None:
    _expect_encrypted_login(odbc(Server=f"tcp:127.0.0.1,{hanging.port}", **keywords), hanging)


def _expect_encrypted_login(connection_string: str, hanging: Hanging) -> None:
    connections.connect(connection_string, threads=1)
    with pytest.raises(TransientError), connections.reading():
        pass
    assert set(hanging.encryption) == {ENCRYPT_ON}


# ---- what pyodbc is asked for, and with which login


class Cursor:
    description = (("", str, None, None, None, None, True),)
    rowcount = -1

    def __init__(self, connection: Connected) -> None:
        self.connection = connection
        self.driver = connection.driver

    def execute(self, statement: str, *_: object) -> Cursor:
        self.driver.sent.append("execute")
        self.driver.statements.append(statement)
        self.driver.limits.append(self.connection.timeout)
        return self

    def fetchone(self) -> tuple[str]:
        return ("12.0.2000.8",)  # any text will do for what SQLAlchemy asks a new server

    def fetchall(self) -> list[tuple[str]]:
        return [self.fetchone()]

    def close(self) -> None:
        pass


class Connected:
    """As much of pyodbc's connection as SQLAlchemy uses."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.autocommit = False
        self.timeout = 0

    def cursor(self) -> Cursor:
        return Cursor(self)

    def commit(self) -> None:
        self.driver.sent.append("commit")
        if self.driver.fault is not None:
            raise self.driver.fault

    def rollback(self) -> None:
        if not self.autocommit:  # the driver knows that there is nothing to send
            self.driver.sent.append("rollback")

    def close(self) -> None:
        self.driver.sent.append("close")

    def add_output_converter(self, *_: object) -> None:
        pass


class Driver:
    """Stands in for pyodbc's `connect`: logins, what is sent with which limits, and an error if there is one."""

    def __init__(self) -> None:
        self.logins: list[SimpleNamespace] = []
        self.connections: list[Connected] = []
        self.sent: list[str] = []
        self.statements: list[str] = []
        self.limits: list[int] = []
        self.fault: Exception | None = None

    def connect(self, connection_string: str, **options: Any) -> Connected:
        self.logins.append(SimpleNamespace(text=connection_string, at=time.monotonic(), **options))
        if self.fault is not None:
            raise self.fault
        self.connections.append(Connected(self))
        return self.connections[-1]


@pytest.fixture
def driver(driver_file: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """pyodbc logs in nowhere, and tells what it was asked for."""
    assert driver_file.exists()
    driver = Driver()
    monkeypatch.setattr("pyodbc.connect", driver.connect)
    return driver


def _absence() -> Exception:
    error: Exception = importlib.import_module("pyodbc").OperationalError(
        "08001", f"[08001] [Microsoft][{NAME}]TCP Provider: Error code 0x2749 (10057) (SQLDriverConnect)"
    )
    return error


def _read() -> None:
    with connections.reading() as connection:
        connection.execute(text("SELECT 1"))


def _write() -> None:
    with connections.transaction() as connection:
        connection.execute(text("UPDATE users SET version = 2"))


def _logged_in(driver: Driver) -> dict[str, str]:
    """The keywords of the last login."""
    return connection_string.read_odbc(connection_string.parse_database_url(driver.logins[-1].text))


def test_encryption_is_asked_for_where_the_connection_string_does_not(odbc: Callable[..., str], driver: Driver) -> None:
    connections.connect(odbc(), threads=1)
    _read()
    assert _logged_in(driver)["encrypt"] == "yes"
    assert f"pwd={HIDDEN['PWD']};" in driver.logins[-1].text + ";"


def test_off_azure_a_certificate_need_not_be_checked(odbc: Callable[..., str], driver: Driver) -> None:
    connections.connect(odbc(TrustServerCertificate="yes"), threads=1)
    _read()
    assert _logged_in(driver)["trustservercertificate"] == "yes"


def test_a_managed_identity_is_the_drivers_business(odbc: Callable[..., str], driver: Driver) -> None:
    connections.connect(odbc(Authentication="ActiveDirectoryMsi", UID="some-client-id", PWD=None), threads=1)
    _read()
    keywords = _logged_in(driver)
    assert keywords["authentication"] == "ActiveDirectoryMsi"
    assert keywords["uid"] == "some-client-id"
    assert not hasattr(driver.logins[-1], "attrs_before")


@pytest.mark.parametrize("keyword", ["authentication", "Authentication"])
def test_a_url_without_a_user_may_name_an_authentication(
    driver_file: Path, driver: Driver, credential: type[Credential], keyword: str
) -> None:
    for authentication in ("ActiveDirectoryMsi", "ActiveDirectoryDefault"):
        try:
            connections.connect(f"mssql+pyodbc://server/db?driver={driver_file}&{keyword}={authentication}", threads=1)
            _read()
        finally:
            connections.close()
        assert "trusted_connection" not in _logged_in(driver)  # the driver takes one way of logging in
    assert len(credential.asked) == 1


def test_a_pool_has_a_connection_for_every_thread_and_keeps_it(odbc: Callable[..., str], driver: Driver) -> None:
    connections.connect(odbc(), threads=3, recycle_seconds=77)
    for block in (connections.reading, connections.transaction):
        for _ in range(2):
            with block(), block(), block():
                pass
    assert len(driver.logins) == 6
    for engine in connections.engines():
        assert engine.pool.size() == 3  # type: ignore[attr-defined]
        assert engine.pool._max_overflow == 0  # type: ignore[attr-defined]
        assert engine.pool._recycle == 77
        assert not engine.pool._pre_ping
    assert [connection.autocommit for connection in driver.connections] == [True] * 3 + [False] * 3


def test_a_result_that_is_read_in_part_cannot_end_a_transaction(odbc: Callable[..., str], driver: Driver) -> None:
    connections.connect(odbc(), threads=1)
    _read()
    assert "SET XACT_ABORT OFF" not in driver.statements
    _write()
    _write()
    assert driver.statements.count("SET XACT_ABORT OFF") == 1


def test_nothing_is_sent_to_test_or_to_reset_a_connection(odbc: Callable[..., str], driver: Driver) -> None:
    def fail() -> None:
        with connections.transaction() as connection:
            connection.execute(text("UPDATE users SET version = 2"))
            raise LookupError

    connections.connect(odbc(), threads=1)
    for work in (_read, _write):  # SQLAlchemy asks each new server who it is
        work()
    driver.sent.clear()
    _read()
    assert driver.sent == ["execute"]
    driver.sent.clear()
    _write()
    assert driver.sent == ["execute", "commit"]
    driver.sent.clear()
    with pytest.raises(LookupError):
        fail()
    assert driver.sent == ["execute", "rollback"]
    assert len(driver.logins) == 2


def test_a_connection_that_is_lost_while_it_commits_is_closed(odbc: Callable[..., str], driver: Driver) -> None:
    connections.connect(odbc(), threads=1)
    _write()
    driver.sent.clear()
    driver.fault = _absence()
    with pytest.raises(OutcomeUnknownError):
        _write()
    assert driver.sent == ["execute", "commit", "close"]


def test_statements_have_a_time_limit(odbc: Callable[..., str], driver: Driver) -> None:
    connections.connect(odbc(), threads=1, retry_seconds=9)
    _read()
    _write()
    assert [connection.timeout for connection in driver.connections] == [9, 9]
    assert driver.limits[-1] == 9


def test_the_statements_with_which_sqlalchemy_asks_a_new_server_have_a_time_limit_too(
    odbc: Callable[..., str], driver: Driver
) -> None:
    connections.connect(odbc(), threads=1, retry_seconds=9)
    _read()
    assert len(driver.limits) > 1
    assert set(driver.limits) == {9}


@pytest.mark.parametrize("budget", [3, 60])
def test_a_login_never_takes_longer_than_what_is_left_of_the_budget(
    odbc: Callable[..., str], driver: Driver, budget: int
) -> None:
    connections.connect(odbc(), threads=1, retry_seconds=budget)
    if budget == 3:
        driver.fault = _absence()
    started = time.monotonic()
    if driver.fault is None:
        retries.run_with_retries(_read)
    else:
        with pytest.raises(TransientError):
            retries.run_with_retries(_read)
    assert driver.logins
    for login in driver.logins:
        assert 1 <= login.timeout <= sqlserver.LOGIN_SECONDS
        assert isinstance(login.timeout, int)
        assert login.at - started + login.timeout < budget + 1  # its least is a whole second
    if driver.fault is not None:
        assert len(driver.logins) > 2
        assert time.monotonic() - started < MARGIN


# ---- a developer's own login


class Credential:
    """Takes the place of azure-identity's credential: each token is another one."""

    asked: list[tuple[str, ...]]
    fault: Exception | None

    def get_token(self, *scopes: str) -> SimpleNamespace:
        self.asked.append(scopes)
        if self.fault is not None:
            raise self.fault
        return SimpleNamespace(token=f"token-{len(self.asked)}", expires_on=0)


@pytest.fixture
def credential(monkeypatch: pytest.MonkeyPatch) -> type[Credential]:
    """The credential that the app gets."""

    class Mine(Credential):
        asked: list[tuple[str, ...]] = []  # noqa: RUF012 - the app makes the instance
        fault: Exception | None = None

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Mine)
    return Mine


@pytest.fixture
def own_login(odbc: Callable[..., str]) -> str:
    """The connection string of a developer who is logged in to Azure."""
    return odbc(Authentication="ActiveDirectoryDefault", UID=None, PWD=None)


def test_every_login_gets_a_token_that_is_asked_for_then(
    own_login: str, driver: Driver, credential: type[Credential]
) -> None:
    connections.connect(own_login, threads=1)
    assert credential.asked == []
    _read()
    _read()
    _write()
    assert credential.asked == [("https://database.windows.net/.default",)] * 2
    for number, login in enumerate(driver.logins, 1):
        token = f"token-{number}".encode("utf-16-le")
        assert login.attrs_before == {ACCESS_TOKEN: struct.pack("<I", len(token)) + token}
        assert "authentication" not in login.text.lower()
    assert len(driver.logins) == 2


def test_a_developers_own_login_may_stand_in_braces(
    odbc: Callable[..., str], driver: Driver, credential: type[Credential]
) -> None:
    connections.connect(odbc(Authentication="{ActiveDirectoryDefault}", UID=None, PWD=None), threads=1)
    _read()
    assert "authentication" not in _logged_in(driver)
    assert len(credential.asked) == 1


@pytest.mark.parametrize("keywords", [{"PWD": None}, {"UID": None}])
@pytest.mark.usefixtures("credential")
def test_a_developers_own_login_beside_another_one_is_refused(
    odbc: Callable[..., str], keywords: dict[str, None]
) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL says Authentication=ActiveDirectoryDefault"):
        connections.connect(odbc(Authentication="ActiveDirectoryDefault", **keywords), threads=1)


def test_the_driver_takes_a_token(own_login: str, hanging: Hanging, credential: type[Credential]) -> None:
    connection_string = re.sub(r"Server=[^;]+", f"Server=tcp:127.0.0.1,{hanging.port}", own_login)
    _expect_encrypted_login(connection_string, hanging)
    assert len(credential.asked) == 1


def test_a_developer_without_a_login_gets_a_503_that_says_so(
    own_login: str, driver: Driver, credential: type[Credential]
) -> None:
    credential.fault = ClientAuthenticationError("no credential of secret@example.com worked")
    connections.connect(own_login, threads=1)
    with pytest.raises(UnavailableError) as caught:
        retries.run_with_retries(_read)
    assert caught.value.code == "database-login"
    assert "secret" not in caught.value.detail
    assert len(credential.asked) == 1  # it would not be another one a moment later
    assert driver.logins == []


def test_without_azure_identity_one_sentence_says_what_to_install(
    own_login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)  # as if its import failed
    with pytest.raises(SettingsError, match="pip install azure-identity"):
        connections.connect(own_login, threads=1)
