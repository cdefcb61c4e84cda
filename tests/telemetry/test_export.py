"""Telemetry in a separate process: imports, and the data that reach Application Insights."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import LOG_LINE, PROJECT, WAIT_SECONDS, Program, running
from tests.support.telemetry import CLOSED, NAME, NUMBER, PAN, SPAN, TRACE

pytestmark = pytest.mark.slow  # processes

QUIET = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",  # no data leave the machine
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "azure_app_service",
}


def _imported(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process that builds the app and prints which modules of telemetry it has imported."""
    program = (
        "import sys, function_app;"
        "print(sorted(n for n in sys.modules if n.split('.')[0] == 'opentelemetry' or n == 'telemetry'"
        " or n.startswith('azure.monitor')))"
    )
    inherited = {name: os.environ[name] for name in ("PATH", "SETTINGS_FOLDER")}
    own = {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "TMPDIR": str(tmp_path), **inherited, **QUIET}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={**own, **environment},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=True,
    )


@pytest.mark.parametrize("switch", [{}, {"TELEMETRY": "off"}, {"APPLICATIONINSIGHTS_CONNECTION_STRING": CLOSED}])
def test_telemetry_that_is_off_imports_nothing(tmp_path: Path, switch: dict[str, str]) -> None:
    done = _imported(tmp_path, **switch)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_without_a_connection_string_stderr_has_a_warning(tmp_path: Path) -> None:
    done = _imported(tmp_path, TELEMETRY="on")
    assert "'telemetry'" in done.stdout
    assert "azure.monitor.opentelemetry" not in done.stdout
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING is not set" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def _log_lines(program: Program) -> list[str]:
    return [line for line in program.log.splitlines() if LOG_LINE.search(line)]


def _use(program: Program) -> None:
    body = {"full_name": NAME, "mob_num": NUMBER, "pan_num": PAN}
    assert program.post("create_user", body).status_code == 201
    assert program.post("create_user", body).status_code == 409
    assert program.post("get_users", {"mob_num": NUMBER}).json()["users"][0]["full_name"] == NAME


def test_an_unreachable_endpoint_delays_neither_requests_nor_the_end(tmp_path: Path) -> None:
    own: dict[str, Any] = {**QUIET, "TMPDIR": str(tmp_path), "TELEMETRY": "on"}
    with running(tmp_path, APPLICATIONINSIGHTS_CONNECTION_STRING=CLOSED, **own) as program:
        started = time.monotonic()
        _use(program)
        assert time.monotonic() - started < 10
        started = time.monotonic()
        assert program.end(signal.SIGTERM) in (0, -signal.SIGTERM)
        assert time.monotonic() - started < 20
        lines = _log_lines(program)
        assert [line.split()[:3] for line in lines] == [
            ["create_user", "ok", "201"],
            ["create_user", "refused", "409"],
            ["get_users", "ok", "200"],
        ]
        for value in (NAME, NUMBER, PAN):
            assert value not in program.log


class Ingestion(BaseHTTPRequestHandler):
    """The part of Application Insights that receives telemetry."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        text = body.decode()
        envelopes = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        self.server.received += envelopes  # type: ignore[attr-defined]
        count = len(envelopes)
        receipt = json.dumps({"itemsReceived": count, "itemsAccepted": count, "errors": []}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(receipt)))
        self.end_headers()
        self.wfile.write(receipt)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def ingestion() -> Iterator[Any]:
    """A server that keeps what an exporter sends, in `received`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Ingestion) as server:
        server.received = []  # type: ignore[attr-defined]
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_exported_telemetry_has_spans_and_counters_and_no_value(tmp_path: Path, ingestion: Any) -> None:
    endpoint = f"http://127.0.0.1:{ingestion.server_address[1]}/"
    own: dict[str, Any] = {
        **QUIET,
        "TMPDIR": str(tmp_path),
        "TELEMETRY": "on",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": CLOSED.replace("http://127.0.0.1:9/", endpoint),
    }
    with running(tmp_path, **own) as program:
        headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
        program.client.headers.update(headers)
        _use(program)
        assert program.end(signal.SIGTERM) in (0, -signal.SIGTERM)
        assert len(_log_lines(program)) == 3
        assert not [line for line in program.log.splitlines() if "Request URL" in line or "Transmission" in line]
    sent = [envelope["data"]["baseData"] | {"tags": envelope["tags"]} for envelope in ingestion.received]
    requests = [data for data in sent if data.get("name") in ("create_user", "get_users")]
    assert sorted((data["name"], data["properties"]["rollbook.status"]) for data in requests) == [
        ("create_user", "201"),
        ("create_user", "409"),
        ("get_users", "200"),
    ]
    assert {data["tags"]["ai.operation.id"] for data in requests} == {TRACE}
    assert {data["tags"]["ai.operation.parentId"] for data in requests} == {SPAN}
    queries = [data for data in sent if str(data.get("data", "")).startswith(("INSERT", "SELECT"))]
    assert {data["tags"]["ai.operation.parentId"] for data in queries} <= {data["id"] for data in requests}
    assert queries
    counters = {metric["name"] for data in sent for metric in data.get("metrics", [])}
    assert "rollbook.refusals" in counters
    text = json.dumps(ingestion.received)
    assert [value for value in (NAME, NUMBER, PAN) if value in text] == []
    assert not [envelope for envelope in ingestion.received if "Message" in envelope["name"]], (
        "log lines would be exported twice"
    )
