"""The app under the worker runtime that Azure runs: indexing, start, threads.

`worker.py` describes which parts of Azure it replaces.
"""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.runtime.process import THREADS, Response, Runtime, running_worker
from tests.support.programs import WAIT_SECONDS, Program


def test_it_runs_python_3_13_with_version_2_of_the_sdk(runtime: Runtime) -> None:
    assert runtime.report["python"] == "3.13"
    assert re.fullmatch(r"2\.\d+\.\d+", runtime.report["azure_functions"])


def test_its_capabilities_are_those_that_the_stand_in_implements(runtime: Runtime) -> None:
    """Another capability may change the messages of the host; then `worker.py` has to change too."""
    capabilities = {"RawHttpBodyBytes", "RpcHttpBodyOnly", "RpcHttpTriggerMetadataRemoved", "SharedMemoryDataTransfer"}
    capabilities |= {"TypedDataCollection", "WorkerStatus"}
    assert runtime.report["capabilities"] == dict.fromkeys(capabilities, "true")


def test_it_indexes_the_functions_that_devhost_serves(runtime: Runtime, devhost: Program) -> None:
    served = re.findall(r"^  (\w+): \[([\w ,]+)\] http://[^/]+/(\S+)$", devhost.printed, re.MULTILINE)
    indexed = [
        (function["name"], ",".join(function["methods"]) or "any method", function["route"])
        for function in runtime.report["functions"]
    ]
    assert indexed == served
    assert {"create_user", "spend", "openapi_json"} <= {name for name, _, _ in indexed}
    anonymous = [function["name"] for function in runtime.report["functions"] if function["auth_level"] != "FUNCTION"]
    others = [name for name in anonymous if not name.startswith(("accounts_", "ecgs_"))]
    assert sorted(others) == ["health", "invoices_peer_customers"]


def test_an_app_with_invalid_settings_does_not_start(tmp_path: Path, worker_python: Path) -> None:
    with running_worker(tmp_path, worker_python, SERVICES="users,cookies") as runtime:
        assert runtime.report["failure"].startswith("SettingsError: SERVICES names cookies; the services are: ")


def test_requests_run_on_as_many_threads_as_the_setting_says(
    runtime: Runtime, request_for: Callable[..., httpx.Request]
) -> None:
    def submit(method: str, path: str, **options: Any) -> Future[Response]:
        return runtime.submit(request_for(method, path, **options), str(uuid.uuid4()))

    with closing(sqlite3.connect(runtime.folder / "x.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")  # makes writers wait
        writers = [submit("POST", "/flushDB") for _ in range(THREADS - 1)]
        assert submit("GET", "/balance").result(WAIT_SECONDS).status == 200
        assert not [writer for writer in writers if writer.done()]
        writers.append(submit("POST", "/flushDB"))
        reader = submit("GET", "/balance")
        assert not wait([reader], timeout=0.2).done
        database.execute("ROLLBACK")
    assert [response.result(WAIT_SECONDS).status for response in (*writers, reader)] == [200] * (THREADS + 1)
