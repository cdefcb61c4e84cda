"""The path to Azure SQL without a server: the app, pyodbc, and Microsoft's ODBC driver."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from persistence.database.connections import connect, reading
from persistence.database.errors import TransientError
from tests.support.odbc import (
    DRIVER_NAME,
    ENCRYPT_ON,
    SECRETS,
    HangingUp,
    closed_port,
    connection_string,
    silent_port,
)
from tests.support.programs import PROJECT, WAIT_SECONDS, start_error

MARGIN = 15
"""Seconds within which a caller gets a response, for a budget of 3 and a busy machine."""


class Program:
    """A running development host, with its output."""

    def __init__(self, process: subprocess.Popen[str], log_file: Path, client: httpx.Client) -> None:
        self.log_file = log_file
        self.client = client
        assert process.stdout is not None
        self.printed = ""
        watchdog = threading.Timer(WAIT_SECONDS, process.kill)  # reading has no timeout
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

    def expect_unavailable(self) -> None:
        """A read and a write at the same time get a 503, and no output reveals a part of the connection string."""
        started = time.monotonic()
        bodies = {
            "get_users": {},
            "create_user": {"full_name": "A B", "mob_num": "9876543210", "pan_num": "ABCPE1234F"},
        }
        with ThreadPoolExecutor(len(bodies)) as callers:
            responses = list(callers.map(lambda name: self.client.post(self.urls[name], json=bodies[name]), bodies))
        assert time.monotonic() - started < MARGIN
        for response in responses:
            assert response.status_code == 503, response.text
            assert response.headers["content-type"] == "application/problem+json"
            assert response.headers["retry-after"].isdigit()
            problem = response.json()
            assert problem["type"] == "/problems/database-unavailable"
            assert problem["status"] == 503
            assert problem["errors"] == []
        log = self.log_file.read_text("utf-8")
        assert len(re.findall(r"^\w+ failed 503 .* database-unavailable:\w+$", log, re.MULTILINE)) == len(bodies)
        assert len(log.splitlines()) == len(bodies), log
        output = "\n".join([log, self.printed, *(f"{response.headers}\n{response.text}" for response in responses)])
        for value in (*SECRETS.values(), "pass;w", "Microsoft", "SQLDriverConnect"):
            assert value not in output


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
    with log_file.open("w") as log, httpx.Client(timeout=WAIT_SECONDS, verify=False, trust_env=False) as client:  # noqa: S501

        def start(port: int) -> Program:
            keywords = {**SECRETS, "Server": f"tcp:{SECRETS['Server']},{port}"}
            process = subprocess.Popen(
                [sys.executable, "-m", "devhost"],
                cwd=PROJECT,
                env=_environment(installed, connection_string(Driver=f"{{{DRIVER_NAME}}}", **keywords)),
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
                    process.communicate(timeout=WAIT_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()


def test_the_driver_is_listed_and_can_be_called(installed: dict[str, str]) -> None:
    program = (
        "import json, pyodbc, sys\n"
        "try:\n"
        "    pyodbc.connect(sys.argv[1], timeout=1)\n"
        "except pyodbc.Error as error:\n"
        "    print(json.dumps([pyodbc.drivers(), *error.args]))\n"
    )
    text = connection_string(Driver=f"{{{DRIVER_NAME}}}", Server=f"tcp:127.0.0.1,{closed_port()}", UID="u")
    done = subprocess.run(
        [sys.executable, "-c", program, text],
        env={**os.environ, **installed},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=True,
    )
    drivers, state, message = json.loads(done.stdout)
    assert drivers == [DRIVER_NAME]
    assert state in ("08001", "HYT00")
    assert f"[Microsoft][{DRIVER_NAME}]" in message


def test_a_closed_port_is_a_503_within_the_budget(serving: Callable[[int], Program]) -> None:
    serving(closed_port()).expect_unavailable()


def test_a_silent_server_is_a_503_within_the_budget(serving: Callable[[int], Program]) -> None:
    with silent_port() as port:
        serving(port).expect_unavailable()


def test_a_server_that_hangs_up_is_a_503_within_the_budget(
    serving: Callable[[int], Program], hanging_up: HangingUp
) -> None:
    serving(hanging_up.port).expect_unavailable()
    assert len(hanging_up.encryption) > 1
    assert set(hanging_up.encryption) == {ENCRYPT_ON}


def test_a_driver_that_is_not_installed_is_one_sentence(installed: dict[str, str]) -> None:
    line = start_error(_environment(installed, connection_string(Driver="{ODBC Driver 99}", **SECRETS)))
    assert line.startswith("Cannot start: DATABASE_URL names the driver 'ODBC Driver 99', which is not installed")
    for value in (*SECRETS.values(), "pass;w"):
        assert value not in line


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
def test_the_driver_asks_for_encryption(
    odbc: Callable[..., str], hanging_up: HangingUp, keywords: dict[str, object]
) -> None:
    connect(odbc(Server=f"tcp:127.0.0.1,{hanging_up.port}", **keywords), threads=1, retry_seconds=1)
    _expect_encrypted_login(hanging_up)


@pytest.mark.usefixtures("credential")
def test_the_driver_accepts_an_access_token(odbc: Callable[..., str], hanging_up: HangingUp) -> None:
    server = f"tcp:127.0.0.1,{hanging_up.port}"
    connect(
        odbc(Server=server, Authentication="ActiveDirectoryDefault", UID=None, PWD=None), threads=1, retry_seconds=1
    )
    _expect_encrypted_login(hanging_up)


def _expect_encrypted_login(hanging_up: HangingUp) -> None:
    with pytest.raises(TransientError), reading():
        pass
    assert set(hanging_up.encryption) == {ENCRYPT_ON}
