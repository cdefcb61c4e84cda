"""What the measurements share: the development host on a new database, calls of it, and the rows of the table.

If the machine has two cores, the servers run on the first and the client on the second.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parent.parent
SECONDS: Final = 3
SERVICES: Final = "users,points"


def row(what: str, measured: str) -> None:
    """Prints a row of the table immediately."""
    print(f"| {what} | {measured} |", flush=True)


# ---- processes


def import_seconds(folder: Path, services: str = SERVICES) -> float:
    """Returns the time of an import of function_app in a new process, as `python -X importtime` reports it.

    The database and the settings are in `folder`: the first import there creates the tables.
    """
    command = [sys.executable, "-X", "importtime", "-c", "import function_app"]
    report = subprocess.run(
        command, cwd=PROJECT, env=environment(folder, services), capture_output=True, text=True, check=True
    ).stderr
    return int(re.findall(r"\| +(\d+) \| function_app$", report, re.MULTILINE)[0]) / 1e6


@contextlib.contextmanager
def serve(
    folder: Path, services: str = SERVICES, *, checkout: Path = PROJECT
) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Yields the port and the process of the development host of a checkout, whose database is `folder`/bench.db."""
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "devhost"],
        cwd=checkout, env=environment(folder, services), stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=_pin(0),  # noqa: E501, PLW1509 - no thread runs yet
    )  # fmt: skip
    assert process.stdout is not None
    try:
        port = next(int(match[1]) for line in process.stdout if (match := re.search(r"127\.0\.0\.1:(\d+)/", line)))
        if pin := _pin(1):
            pin()
        yield port, process
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
        log.close()


def environment(folder: Path, services: str) -> dict[str, str]:
    """Returns the environment of a process whose database is `folder`/bench.db."""
    settings = {"DATABASE_URL": f"sqlite:///{folder}/bench.db", "SERVICES": services, "PORT": "0"}
    settings["SETTINGS_FOLDER"] = str(folder)  # without local.settings.json and .env
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **settings, "MALLOC_MMAP_THRESHOLD_": "1048576"}  # as in `make run`


def _pin(core: int) -> Callable[[], None] | None:
    cores = _cores()
    return (lambda: os.sched_setaffinity(0, {cores[core]})) if len(cores) > 1 else None


@functools.cache
def _cores() -> list[int]:
    """Returns the cores of this process before it was pinned: a later server would share the client's core."""
    return sorted(os.sched_getaffinity(0))


# ---- calls


def call(
    port: int, path: str, body: object = None, *, method: str = "POST", headers: Mapping[str, str] | None = None
) -> tuple[bytes, float]:
    """Returns the body of the response and its duration in milliseconds."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    started = time.perf_counter()
    connection.request(method, f"/{path}", None if body is None else json.dumps(body), headers or {})
    response = connection.getresponse()
    content = response.read()
    milliseconds = (time.perf_counter() - started) * 1e3
    connection.close()
    assert response.status < 300, content[:300]
    return content, milliseconds


def measure(
    port: int, path: str, body: Callable[[], bytes], connections: int, headers: str = "", *, seconds: float = SECONDS
) -> list[float]:
    """Returns the sorted latencies, in milliseconds, of POSTs during `seconds`. Each line of `headers` ends in CRLF."""
    latencies: list[float] = []

    async def client(until: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (started := time.perf_counter()) < until:
            content = body()
            head = f"POST /{path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(content)}\r\n\r\n"
            writer.write(head.encode())
            writer.write(content)
            received = await reader.readuntil(b"\r\n\r\n")
            assert received.startswith(b"HTTP/1.1 20"), received
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", received)[1]))  # type: ignore[index]
            latencies.append((time.perf_counter() - started) * 1e3)
        writer.close()

    async def clients() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(client(until) for _ in range(connections)))

    asyncio.run(clients())
    return sorted(latencies)
