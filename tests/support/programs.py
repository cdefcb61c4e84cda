"""The development host as a separate process."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

PROJECT: Final = Path(__file__).resolve().parent.parent.parent
WAIT_SECONDS: Final = 60
"""Seconds after which a wait fails."""

SETTINGS = {
    "SERVICES": "users",
    "PAN_HOLDER_CHECK": "on",
    "HEALTH_CHECK": "off",
    "PYTHON_THREADPOOL_THREAD_COUNT": "4",
    "HOST": "127.0.0.1",
    "PORT": "0",
    "WEBSITE_SITE_NAME": "",
}
LOG_LINE = re.compile(
    r"(\w+) (ok|refused|failed) (\d{3}) \d+\.\d ms ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) (\S*)"
)


_numbers = itertools.count(6_000_000_000)


def new_user(**fields: Any) -> dict[str, Any]:
    """Returns a body for create_user with an unused number."""
    return {"full_name": "Asha Rao", "mob_num": str(next(_numbers)), "pan_num": "ABCPE1234F", **fields}


@contextmanager
def killing_if_stuck(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kills the program if the block takes too long: reading its output has no timeout."""
    watchdog = threading.Timer(WAIT_SECONDS, process.kill)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()
        watchdog.join()


class Program:
    """A running development host, and a client of it."""

    def __init__(self, process: subprocess.Popen[str], log_file: Path, client: httpx.Client) -> None:
        assert process.stdout is not None
        self.process = process
        self.stdout = process.stdout
        self.log_file = log_file
        self.client = client
        self.printed = ""
        with killing_if_stuck(process):
            for line in self.stdout:
                self.printed += line
                if "Ctrl-C" in line:
                    break
        assert self.printed, self.log
        self.urls: dict[str, str] = dict(re.findall(r"^  (\w+): \[[\w ,]+\] (http://\S+)$", self.printed, re.MULTILINE))

    @property
    def log(self) -> str:
        """Everything written to stderr so far."""
        return self.log_file.read_text("utf-8")

    def post(self, function: str, body: object) -> httpx.Response:
        """Calls the printed URL of a function."""
        return self.client.post(self.urls[function], json=body)

    def end(self, number: signal.Signals) -> int:
        """Sends a signal and returns the exit code; the rest of the output is added to `printed`."""
        self.process.send_signal(number)
        with killing_if_stuck(self.process):
            self.printed += self.stdout.read()
            return self.process.wait()


def environment(folder: Path, settings: dict[str, str], project: Path = PROJECT) -> dict[str, str]:
    """Returns the environment of a program, whose database is in `folder` unless `settings` has another.

    The program reads local settings in files only if `project` is another project than this one.
    """
    own = {"DATABASE_URL": f"sqlite:///{folder}/x.db"}
    if project != PROJECT:
        own["SETTINGS_FOLDER"] = str(project)
    return {**os.environ, **SETTINGS, **own, **settings}


@contextmanager
def running(folder: Path, project: Path = PROJECT, **settings: str) -> Iterator[Program]:
    """Yields a program that has printed its functions, and kills it at the end of the block."""
    log_file = folder / "stderr.txt"
    with (
        log_file.open("w") as log,
        httpx.Client(timeout=WAIT_SECONDS, verify=False, trust_env=False) as client,  # noqa: S501 - plain HTTP
        subprocess.Popen(
            [sys.executable, "-m", "devhost"],
            cwd=project,
            env=environment(folder, settings, project),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield Program(process, log_file, client)
        finally:
            process.kill()


def unexpected(log: str) -> list[str]:
    """Returns the lines of a log that are not lines of requests."""
    return [line for line in log.splitlines() if not LOG_LINE.fullmatch(line)]


def start_error(environment: Mapping[str, str], *arguments: str, project: Path = PROJECT) -> str:
    """Returns the single line that `python -m devhost` prints when it cannot start."""
    done = subprocess.run(
        [sys.executable, "-m", "devhost", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in lines[0]
    return lines[0]
