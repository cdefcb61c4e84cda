"""The worker runtime with the app, as a separate process (`worker.py`), and the requests sent to it."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from tests.support.programs import PROJECT, WAIT_SECONDS, environment, killing_if_stuck

SETTINGS: Final = {
    "SERVICES": "users,points,ecgs,invoices",
    "POINTS_ALLOW_FLUSH": "on",
    "API_DOCS": "off",
    "HEALTH_CHECK": "on",
    "LOW_STOCK_SCHEDULE": "0 0 0 1 1 *",  # the development host runs timers: none while its log is compared
}
THREADS: Final = 4


class Response(NamedTuple):
    """The response that a client receives."""

    status: int
    headers: dict[str, str]
    body: bytes


class Runtime:
    """A running worker. `report` is its first message: its functions, or the failure that prevented the start."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.folder = folder
        self._process = process
        self._pending: dict[str, Future[Response]] = {}
        with killing_if_stuck(process):
            line = self._stdout.readline()
        self.report: dict[str, Any] = json.loads(line) if line else {"failure": f"no report: {self.log}"}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def _stdout(self) -> Any:
        return self._process.stdout

    @property
    def log(self) -> str:
        """Everything logged so far."""
        return (self.folder / "stderr.txt").read_text("utf-8")

    def submit(self, request: httpx.Request, invocation_id: str) -> Future[Response]:
        """Sends a request and returns a future; it has an `AssertionError` if the function raised."""
        message = {
            "method": request.method,
            "target": request.url.raw_path.decode("ascii"),
            "headers": request.headers.multi_items(),
            "body": base64.b64encode(request.read()).decode("ascii"),
        }
        return self._submit(invocation_id, message)

    def tick(self, timer: str, *, past_due: bool = False) -> None:
        """Runs a timer and waits. Raises `AssertionError` if it raised."""
        self._submit(str(uuid.uuid4()), {"timer": timer, "past_due": past_due}).result(WAIT_SECONDS)

    def _submit(self, invocation_id: str, message: dict[str, Any]) -> Future[Response]:
        assert self._process.stdin is not None
        response = self._pending[invocation_id] = Future()
        self._process.stdin.write(json.dumps({"id": invocation_id, **message}) + "\n")
        self._process.stdin.flush()
        return response

    def send(self, request: httpx.Request) -> Response:
        """Sends a request and waits for the response."""
        return self.submit(request, str(uuid.uuid4())).result(WAIT_SECONDS)

    def stop(self) -> None:
        """Kills the process in any state."""
        self._process.kill()
        self._reader.join()

    def _read(self) -> None:
        for line in self._stdout:
            message = json.loads(line)
            response = self._pending.pop(message["id"])
            if "failure" in message:
                response.set_exception(AssertionError(message["failure"]))
            else:
                headers = {name.lower(): value for name, value in message["headers"].items()}
                response.set_result(Response(message["status"], headers, base64.b64decode(message["body"])))
        for response in self._pending.values():
            response.set_exception(AssertionError("the runtime has stopped"))


@contextmanager
def running_worker(folder: Path, python: Path, **settings: str) -> Iterator[Runtime]:
    """A worker that has reported; its database is in `folder`. It is stopped when the block ends."""
    with (
        (folder / "stderr.txt").open("w") as log,
        subprocess.Popen(
            [python, "-I", "-B", Path(__file__).with_name("worker.py"), PROJECT],
            env=environment(folder, {**SETTINGS, "PYTHON_THREADPOOL_THREAD_COUNT": str(THREADS), **settings}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        runtime = Runtime(process, folder)
        try:
            yield runtime
        finally:
            runtime.stop()
