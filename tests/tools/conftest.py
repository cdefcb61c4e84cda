"""The development host in this process, with faults before or after it, an account, and the command."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

import function_app
from devhost.host import Host
from devhost.indexing import read_route_prefix
from devhost.workers import WorkerPool
from tests.support.accounts import PASSWORD, Added, add_account, bearer
from tests.support.serving import routes_of, serving_asgi
from tools.upload_ecg import PASSWORD_VARIABLE, main
from tools.users_csv import KEY_VARIABLE

PROJECT = Path(__file__).resolve().parents[2]
CTRL_C = b"\x03"


class Fault(NamedTuple):
    """What happens to the next call of a path, instead of its response; nothing if it `passes`."""

    path: str
    status: int = 503
    headers: tuple[tuple[bytes, bytes], ...] = ((b"retry-after", b"0"),)
    takes_effect: bool = False
    hangs: bool = False
    passes: bool = False


class Front:
    """The host with faults. `calls` are the requests: method, path, and headers."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.url = ""
        self.hanging = threading.Event()
        self.reset()

    def reset(self) -> None:
        """Forgets the requests and the faults."""
        self.calls: list[tuple[str, str, dict[str, str]]] = []
        self.faults: list[Fault] = []
        self.hanging.clear()

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.calls]

    def headers(self, path: str, name: str) -> list[str]:
        """The values of a header in the requests of a path."""
        return [headers[name] for _, called, headers in self.calls if called == path]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        self.calls.append((scope["method"], path, {name.decode(): value.decode() for name, value in scope["headers"]}))
        if not self.faults or self.faults[0].path != path:
            await self.host(scope, receive, send)
            return
        fault = self.faults.pop(0)
        if fault.takes_effect or fault.passes:
            await self.host(scope, receive, send if fault.passes else _ignore)
            if fault.hangs:
                self.hanging.set()
                await receive()
        else:
            await self._read(receive, hangs=fault.hangs)
        if not fault.passes:
            await self._respond(send, fault)

    async def _read(self, receive: Any, *, hangs: bool) -> None:
        """Reads the body; or until the caller disconnects."""
        while (await receive()).get("more_body"):
            pass
        if hangs:
            self.hanging.set()
            await receive()

    async def _respond(self, send: Any, fault: Fault) -> None:
        await send({"type": "http.response.start", "status": fault.status, "headers": [*fault.headers]})
        await send({"type": "http.response.body", "body": b""})


async def _ignore(_: Any) -> None:
    pass


def environment() -> dict[str, str]:
    """The environment of a command, without secrets."""
    return {name: value for name, value in os.environ.items() if name not in {PASSWORD_VARIABLE, KEY_VARIABLE}}


def end(process: subprocess.Popen[str], number: int) -> tuple[str, str]:
    """Ends a program by a signal, and returns its output.

    The signal is sent again: Python may miss one that comes just before it waits for a response.
    """
    for _ in range(30):
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=2)
    raise AssertionError("the program goes on")


def typed(arguments: list[str], prompt: str, keys: bytes) -> tuple[int, bytes]:
    """The exit code and the output of a command at a terminal, where the keys are typed after the prompt."""
    spawn = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    options: dict[str, Any] = {"cwd": PROJECT, "env": environment(), "start_new_session": True}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", spawn, *arguments], **pipes, **options) as process:
        assert process.stdin
        assert process.stdout
        while prompt.encode() not in (shown := os.read(process.stdout.fileno(), 1000)):
            assert shown
        process.stdin.write(keys)
        process.stdin.flush()
        # Python notices a signal that came just before its read at the next key.
        while keys == CTRL_C and not select.select([process.stdout], [], [], 2)[0]:
            process.stdin.write(keys)
            process.stdin.flush()
        shown = process.stdout.read()
    return process.returncode, shown


class Run(NamedTuple):
    """What a run of the command returned and printed."""

    code: int
    out: str
    err: str

    def rows(self) -> list[list[str]]:
        """The fields of the printed lines."""
        return [line.split() for line in self.out.splitlines()]


@pytest.fixture(scope="session")
def _front() -> Iterator[Front]:
    routes = routes_of(function_app.app, read_route_prefix(PROJECT / "host.json"))
    with closing(WorkerPool(8)) as workers:
        front = Front(Host(routes, workers))
        with serving_asgi(front) as client:
            front.url = str(client.base_url)
            yield front


@pytest.fixture
def front(_front: Front, database_file: Path) -> Front:
    """The host with faults, and a separate database."""
    _front.reset()
    return _front


@pytest.fixture
def asha(front: Front, monkeypatch: pytest.MonkeyPatch) -> Added:
    """An account whose password is in the environment."""
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    return add_account("asha")


@pytest.fixture
def run(front: Front, asha: Added, capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """A function that uploads records as this account."""

    def upload(*arguments: str) -> Run:
        capsys.readouterr()
        code = main([*arguments, "--url", front.url, "--username", asha.username])
        return Run(code, *capsys.readouterr())

    return upload


@pytest.fixture
def read(front: Front, asha: Added) -> Callable[[str], Any]:
    """A function that returns the JSON at a path below /ecgs."""

    def get(path: str = "") -> Any:
        response = httpx.get(f"{front.url}/ecgs{path}", headers=bearer(asha), trust_env=False)
        assert response.status_code == 200, response.text
        return response.json()

    return get
