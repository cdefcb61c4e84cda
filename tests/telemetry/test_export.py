"""Telemetry in a separate process: imports, and the data that reach Application Insights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from azure.monitor.opentelemetry.exporter import ApplicationInsightsSampler

from tests.support.ingestion import QUIET, Ingestion, ingesting
from tests.support.programs import LOG_LINE, PROJECT, WAIT_SECONDS, Program, running
from tests.support.telemetry import CLOSED, NAME, NUMBER, PAN, SPAN, TRACE, TRACES, sampled

pytestmark = pytest.mark.slow  # processes


def _imported(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process that builds the app and prints which modules of telemetry it has imported."""
    program = (
        "import sys, function_app;"
        "print(sorted(n for n in sys.modules if n.split('.')[0] == 'opentelemetry' or n == 'telemetry'"
        " or n.startswith('azure.monitor')))"
    )
    inherited = {name: os.environ[name] for name in ("PATH", "SETTINGS_FOLDER")}
    own = {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "TMPDIR": str(tmp_path), **inherited, **QUIET}
    own["AzureWebJobsStorage"] = "UseDevelopmentStorage=true"  # otherwise a warning names the timers that do not run
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


@pytest.fixture
def ingestion() -> Iterator[Ingestion]:
    """A server that keeps what an exporter sends."""
    with ingesting() as server:
        yield server


def _observed(tmp_path: Path, ingestion: Ingestion, sampling: str) -> AbstractContextManager[Program]:
    """A program that exports to the stand-in."""
    own: dict[str, Any] = {**QUIET, "TMPDIR": str(tmp_path), "TELEMETRY": "on", "TELEMETRY_SAMPLING": sampling}
    return running(tmp_path, APPLICATIONINSIGHTS_CONNECTION_STRING=ingestion.connection_string, **own)


def test_exported_telemetry_has_spans_and_counters_and_no_value(tmp_path: Path, ingestion: Ingestion) -> None:
    with _observed(tmp_path, ingestion, "1") as program:
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
    queries = [data for data in sent if str(data.get("name")) in ("INSERT users", "SELECT users")]
    assert {data["tags"]["ai.operation.parentId"] for data in queries} <= {data["id"] for data in requests}
    assert queries
    counters = {metric["name"] for data in sent for metric in data.get("metrics", [])}
    assert "rollbook.refusals" in counters
    text = json.dumps(ingestion.received)
    assert [value for value in (NAME, NUMBER, PAN) if value in text] == []
    assert not [envelope for envelope in ingestion.received if "Message" in envelope["name"]], (
        "log lines would be exported twice"
    )


def test_a_sampled_request_counts_for_those_left_out(tmp_path: Path, ingestion: Ingestion) -> None:
    kept = sampled(ApplicationInsightsSampler(0.25))
    with _observed(tmp_path, ingestion, "0.25") as program:
        for trace in TRACES:
            headers = {"traceparent": f"00-{trace}-{SPAN}-01"}
            program.client.post(program.urls["get_users"], json={"mob_num": NUMBER}, headers=headers)
        assert program.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    spans = [envelope for envelope in ingestion.received if envelope["data"]["baseType"] == "RemoteDependencyData"]
    requests = [span["tags"]["ai.operation.id"] for span in spans if span["data"]["baseData"]["name"] == "get_users"]
    assert sorted(requests) == sorted(kept)
    of_traces = [span for span in spans if span["tags"]["ai.operation.id"] in TRACES]
    assert len(of_traces) == 2 * len(kept)
    assert {span["sampleRate"] for span in of_traces} == {25}
