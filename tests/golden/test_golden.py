"""Every request of the tables has the recorded effects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.golden import adapter, edge, points, users
from tests.golden.observing import Client, World, attributes, mask_log_line
from tests.golden.storage import Recordings, difference, load
from tests.support.programs import PROJECT, environment, running

RECORDING = os.environ.get("GOLDEN") == "record"
TABLES = {"users": users.SCENARIOS, "points": points.SCENARIOS, "edge": edge.SCENARIOS}
KEYS = {
    **{file: [*scenarios] for file, scenarios in TABLES.items()},
    "hosts": [*edge.HOSTS],
    "functions": ["all", "users alone"],
    "telemetry": ["spans", "metrics"],
}
INDEXED = {
    "all": {"SERVICES": "users,points", "API_DOCS": "on", "HEALTH_CHECK": "on"},
    "users alone": {"SERVICES": "users"},
}


@pytest.fixture(scope="module")
def recordings() -> Iterator[Recordings]:
    """The recordings; written at the end when recording again."""
    recordings = Recordings(is_recording=RECORDING)
    yield recordings
    if RECORDING:
        recordings.write(KEYS)


@pytest.fixture
def world(database_file: Path, api: Any) -> World:
    """The app on a new database."""
    adapter.forget_probes()
    url = api.client.base_url
    return World(Client(url.host, url.port), database_file)


@pytest.mark.parametrize(("file", "key"), [(file, key) for file, scenarios in TABLES.items() for key in scenarios])
def test_a_scenario_goes_as_recorded(recordings: Recordings, world: World, file: str, key: str) -> None:
    different = recordings.check(file, key, world.play([*TABLES[file][key]]))
    _require_none(different)


@pytest.mark.slow  # starts programs
@pytest.mark.parametrize("key", edge.HOSTS)
def test_a_host_with_other_settings_responds_as_recorded(recordings: Recordings, tmp_path: Path, key: str) -> None:
    settings, calls = edge.HOSTS[key]
    with running(tmp_path, PROJECT, **settings) as program:
        port = int(program.printed.split("http://127.0.0.1:")[1].split("/")[0])
        client = Client("127.0.0.1", port)
        played = []
        for call in calls:
            seen = len(program.log)
            played.append(client.send(call, []))
            played[-1]["log"] = [mask_log_line(line) for line in program.log[seen:].splitlines()]
    different = recordings.check("hosts", key, played)
    _require_none(different)


@pytest.mark.slow  # starts programs
@pytest.mark.parametrize("key", INDEXED)
def test_the_worker_indexes_the_functions_as_recorded(recordings: Recordings, tmp_path: Path, key: str) -> None:
    program = [sys.executable, "-c", adapter.LIST_FUNCTIONS]
    done = subprocess.run(
        program, cwd=PROJECT, env=environment(tmp_path, INDEXED[key]), capture_output=True, text=True, check=True
    )
    functions = [{"name": name, "bindings": bindings} for name, bindings in sorted(json.loads(done.stdout).items())]
    different = recordings.check("functions", key, functions)
    _require_none(different)


def test_telemetry_is_as_recorded(recordings: Recordings, world: World) -> None:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    traces, metrics = TracerProvider(shutdown_on_exit=False), MeterProvider([reader], shutdown_on_exit=False)
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    end = adapter.observe(traces.get_tracer("test"), metrics.get_meter("test"))
    world.play(edge.TELEMETRY)
    end()
    different = [
        recordings.check("telemetry", "spans", [_span(span) for span in exporter.get_finished_spans()]),
        recordings.check("telemetry", "metrics", _metrics(reader)),
    ]
    traces.shutdown()
    metrics.shutdown()
    _require_none("\n".join(filter(None, different)))


def _require_none(different: str) -> None:
    if different:
        pytest.fail(different, pytrace=False)


def _span(span: ReadableSpan) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": span.kind.name,
        "is_child": span.parent is not None,
        "status": span.status.status_code.name,
        "attributes": attributes(span.attributes),
        "events": [event.name for event in span.events],
    }


def _metrics(reader: InMemoryMetricReader) -> list[dict[str, Any]]:
    data: Any = reader.get_metrics_data()
    return [
        {
            "name": metric.name,
            "unit": metric.unit,
            "kind": type(metric.data).__name__,
            "points": sorted(
                ([attributes(point.attributes), point.value] for point in metric.data.data_points), key=str
            ),
        }
        for metric in sorted(data.resource_metrics[0].scope_metrics[0].metrics, key=lambda metric: str(metric.name))
    ]


@pytest.mark.skipif(RECORDING, reason="is about what was recorded before")
def test_nothing_is_recorded_that_no_table_has() -> None:
    assert {file: [*load(file)] for file in KEYS} == KEYS


def test_a_difference_is_found_in_any_part() -> None:
    entry = {"status": 400, "body": {"errors": [{"pointer": "/a"}], "b": 1}, "sql": [["SELECT 1", "SELECT 1 "]]}
    other = [{**entry, "status": 409}, {**entry, "sql": []}, {**entry, "body": {"b": 1, "errors": [{"pointer": "/a"}]}}]
    assert difference([entry], [entry]) == ""
    assert all(difference([entry], [changed]) for changed in other)
