"""What is observed of requests and statements, what never is, and that it is there only where it is wanted."""

from __future__ import annotations

import gzip
import importlib
import json
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import create_engine

import settings
import telemetry
from api import http
from persistence.database import connections, retries
from persistence.database.errors import LostRaceError
from settings import SettingsError
from tests.programs import LOG_LINE, PATIENCE, PROJECT, Program, running
from tests.support.faulty_driver import Faults, connect_with_faults
from tests.support.threads import at_once

pytestmark = pytest.mark.slow  # exporters and processes


@pytest.fixture
def faults(database_file: Path) -> Faults:
    """The app on the engines of SQL Server, over a driver that raises faults."""
    return connect_with_faults(database_file)


@pytest.fixture
def warm(faults: Any, api: Any) -> Any:
    """`faults` for engines that know their server: SQLAlchemy asks a new one who it is, and tells nobody of that."""
    api.create(mob_num="9999999999")
    api.get()
    return faults


NAME, NUMBER, PAN, PAYER = "Zebulon Quixworth", "9123498765", "QWXPZ9876K", "ZANZIBARIAN"
"""Values that stand nowhere but in what the tests send."""
KEY = "key-of-xylophone"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
EVENTS = ("before_cursor_execute", "after_cursor_execute", "handle_error")


class Observed:
    """All that was recorded."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.traces = TracerProvider(shutdown_on_exit=False)
        self.traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.metrics = MeterProvider([self.reader], shutdown_on_exit=False)
        self.end = telemetry.observe(self.traces.get_tracer("test"), self.metrics.get_meter("test"))

    def requests(self) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.kind is SpanKind.INTERNAL]

    def statements(self) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]

    def request(self) -> ReadableSpan:
        """The span of the only request."""
        (span,) = self.requests()
        return span

    def counted(self, name: str) -> dict[tuple[str, ...], int]:
        """The counter's values, by the values of its attributes in the order of their names."""
        data = self.reader.get_metrics_data()
        metrics = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return {
            tuple(str(value) for _, value in sorted((point.attributes or {}).items())): int(point.value)
            for metric in metrics
            if metric.name == name
            for point in metric.data.data_points
            if isinstance(point, NumberDataPoint)
        }

    def text(self) -> str:
        """Everything about every span and every counter."""
        data = self.reader.get_metrics_data()
        spans = [str(span.to_json()) for span in self.exporter.get_finished_spans()]
        assert spans
        return "\n".join([*spans, "" if data is None else str(data.to_json())])


@pytest.fixture
def observed(api: Any) -> Iterator[Observed]:
    """What is recorded from now on."""
    observed = Observed()
    yield observed
    observed.end()
    observed.traces.shutdown()
    observed.metrics.shutdown()


def _attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def _listeners() -> list[int]:
    """How many listeners the statements of an engine have, by event."""
    engine = create_engine("sqlite://")
    places = [engine.dispatch, engine.dispatch, engine.dialect.dispatch]
    return [len(list(getattr(place, name))) for place, name in zip(places, EVENTS, strict=True)]


def _id_of(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def _parent_of(span: ReadableSpan) -> tuple[int, int] | None:
    return None if span.parent is None else (span.parent.trace_id, span.parent.span_id)


# ---- requests


def test_a_request_is_one_span_with_its_function_status_and_invocation(
    observed: Observed, api: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "rollbook"):
        api.create()
    invocation_id = caplog.records[-1].getMessage().split()[5]
    span = observed.request()
    assert (span.name, span.kind) == ("create_user", SpanKind.INTERNAL)
    assert _attributes(span) == {"rollbook.invocation_id": invocation_id, "rollbook.status": 201}
    assert span.status.status_code is StatusCode.UNSET
    assert span.parent is None
    assert span.events == ()
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time < span.end_time
    assert observed.counted("rollbook.refusals") == {}


@pytest.mark.parametrize(
    ("trigger", "body", "status", "code"),
    [
        ("create_user", {"full_name": NAME}, 400, "body-invalid"),
        ("delete_user", {"user_id": "00000000-0000-4000-8000-000000000000"}, 404, "user-not-found"),
        ("delete_user", {"mob_num": NUMBER}, 404, "user-not-found"),
    ],
)
def test_a_refusal_has_its_code_and_is_counted_and_is_no_error_of_the_app(
    observed: Observed, api: Any, trigger: str, body: dict[str, str], status: int, code: str
) -> None:
    response = api.post(trigger, body)
    assert response.status_code == status
    assert response.json()["type"] == f"/problems/{code}"
    span = observed.request()
    assert _attributes(span) == {
        "rollbook.invocation_id": response.json()["instance"],
        "rollbook.status": status,
        "rollbook.code": code,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert observed.counted("rollbook.refusals") == {(code, trigger): 1}


def test_refusals_are_counted_by_function_and_code(observed: Observed, api: Any, unknown_id: str) -> None:
    user = api.create()
    for _ in range(3):
        api.post("delete_user", {"user_id": unknown_id})
    for _ in range(2):
        api.post("create_user", content=b"{")
    api.post("get_users", content=b"{")
    api.post("create_user", api.new_user(mob_num=user["mob_num"]))
    counted = observed.counted("rollbook.refusals")
    ((duplicate, _),) = [key for key in counted if key[0].startswith("mob")]
    assert counted == {
        ("user-not-found", "delete_user"): 3,
        ("body-not-json", "create_user"): 2,
        ("body-not-json", "get_users"): 1,
        (duplicate, "create_user"): 1,
    }


# ---- statements


def test_every_statement_is_a_child_of_its_request_with_its_text(
    observed: Observed, api: Any, managers: list[str], statements: list[str]
) -> None:
    users = [api.create(manager_id=managers[0])["user_id"] for _ in range(3)]
    api.get(manager_id=managers[0])
    api.update([users[0]], full_name=NAME)
    assert api.update(users, manager_id=managers[1]).status_code == 200
    api.post("delete_user", {"user_id": users[0]})
    spans = observed.statements()
    assert [_attributes(span)["db.query.text"] for span in spans] == statements
    assert len(observed.requests()) == 7
    assert {_parent_of(span) for span in spans} == {_id_of(span) for span in observed.requests()}
    for span in spans:
        attributes = _attributes(span)
        assert attributes == {"db.system.name": "sqlite", "db.query.text": attributes["db.query.text"]}
        assert span.name == attributes["db.query.text"].split()[0]
        assert span.status.status_code is StatusCode.UNSET
        assert span.end_time is not None
    assert {span.name for span in spans} == {"INSERT", "SELECT", "UPDATE", "DELETE"} & {span.name for span in spans}


def test_statements_lie_within_their_request(observed: Observed, api: Any) -> None:
    api.create()
    request = observed.request()
    for span in observed.statements():
        assert request.start_time is not None
        assert span.start_time is not None
        assert span.end_time is not None
        assert request.end_time is not None
        assert request.start_time <= span.start_time <= span.end_time <= request.end_time


def test_a_statement_outside_of_a_request_begins_a_trace(observed: Observed) -> None:
    connections.ping()
    (span,) = observed.statements()
    assert span.parent is None
    assert _attributes(span)["db.query.text"] == "SELECT 1"


def test_sql_server_has_the_name_that_opentelemetry_gives_it() -> None:
    exporter = InMemorySpanExporter()
    traces = TracerProvider(shutdown_on_exit=False)
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    listeners = telemetry._statement_listeners(traces.get_tracer("test"))
    connection = SimpleNamespace(info={}, dialect=SimpleNamespace(name="mssql"))
    execution = SimpleNamespace()
    listeners["before_cursor_execute"](connection, None, "SELECT\n1", (), execution, False)
    listeners["after_cursor_execute"](connection, None, "SELECT\n1", (), execution, False)
    (span,) = exporter.get_finished_spans()
    assert span.name == "SELECT"
    assert _attributes(span) == {"db.system.name": "microsoft.sql_server", "db.query.text": "SELECT\n1"}
    traces.shutdown()


def test_a_statement_that_fails_ends_its_span_with_the_drivers_code_and_without_its_words(
    observed: Observed, api: Any
) -> None:
    api.create(mob_num=NUMBER)
    observed.exporter.clear()
    assert api.post("create_user", api.new_user(mob_num=NUMBER)).status_code == 409
    failed = [span for span in observed.statements() if span.status.status_code is StatusCode.ERROR]
    assert [_attributes(span)["rollbook.code"] for span in failed] == ["SQLITE_CONSTRAINT_UNIQUE"]
    assert failed[0].status.description is None
    assert failed[0].events == ()
    assert _attributes(failed[0])["db.query.text"].startswith("INSERT")
    assert _parent_of(failed[0]) == _id_of(observed.request())
    assert observed.request().status.status_code is StatusCode.UNSET


def test_an_error_of_the_app_is_an_error_of_its_span_without_its_words(
    observed: Observed, api: Any, database_file: Path
) -> None:
    with closing(sqlite3.connect(database_file)) as connection:
        connection.execute("DROP TABLE users")
    response = api.post("get_users", {"mob_num": NUMBER})
    assert response.status_code == 500
    span = observed.request()
    assert _attributes(span)["rollbook.code"] == "internal-error"
    assert _attributes(span)["rollbook.status"] == 500
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, None, ())
    (statement,) = observed.statements()
    assert _attributes(statement)["rollbook.code"] == "SQLITE_ERROR"
    assert (statement.status.status_code, statement.status.description) == (StatusCode.ERROR, None)
    assert observed.counted("rollbook.refusals") == {("internal-error", "get_users"): 1}
    assert NUMBER not in observed.text()
    assert "no such table" not in observed.text()


def test_an_error_whose_code_is_unknown_is_told_as_unknown(observed: Observed) -> None:
    def fail() -> None:
        with connections.reading() as connection:
            connection.exec_driver_sql("SELECT ?", (object(),))

    with pytest.raises(Exception, match="type 'object' is not supported"):
        fail()
    (span,) = observed.statements()
    assert _attributes(span)["rollbook.code"] == "unknown"


def test_a_lost_commit_is_an_error_of_the_request_with_the_servers_number(warm: Any, api: Any) -> None:
    with _observing() as observed:
        warm.waiting["commit"] = ["40613"]
        assert api.post("create_user", api.new_user(mob_num=NUMBER)).status_code == 503
        span = observed.request()
        assert _attributes(span)["rollbook.code"] == "outcome-unknown:40613"
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert {span.status.status_code for span in observed.statements()} == {StatusCode.UNSET}
        assert observed.counted("rollbook.refusals") == {("outcome-unknown:40613", "create_user"): 1}
        assert NUMBER not in observed.text()


@contextmanager
def _observing() -> Iterator[Observed]:
    """What is recorded in a block, for tests whose database is made after `api`."""
    observed = Observed()
    try:
        yield observed
    finally:
        observed.end()
        observed.traces.shutdown()
        observed.metrics.shutdown()


# ---- what never is recorded


def test_no_value_is_recorded_of_any_request(observed: Observed, api: Any, managers: list[str]) -> None:
    user = api.create(full_name=NAME, mob_num=NUMBER, pan_num=PAN, manager_id=managers[0])
    more = [api.create(full_name=NAME, pan_num=PAN, manager_id=managers[0]) for _ in range(3)]
    ids = [user["user_id"], *(other["user_id"] for other in more)]
    body = api.new_user(full_name=NAME, pan_num=PAN, mob_num=NUMBER, manager_id=managers[0])
    deposit = {"payer": PAYER, "points": 734_512, "timestamp": "2026-01-01T00:00:00Z"}
    for _ in range(2):
        assert api.post("addTransaction", deposit, headers={"Idempotency-Key": KEY}).status_code == 201
    statuses = [
        api.post("create_user", body).status_code,
        api.post("create_user", {**body, "pan_num": PAN[:-1]}).status_code,
        api.post("create_user", {**body, NAME: NUMBER}).status_code,
        api.post("create_user", content=f'{{"{NAME}"'.encode()).status_code,
        api.post("get_users", {"mob_num": NUMBER}).status_code,
        api.post("get_users", {"user_id": ids[0]}).status_code,
        api.post("get_users", {"manager_id": managers[0]}).status_code,
        api.update([ids[0]], full_name=f"{NAME} II", mob_num="9123498767", pan_num=PAN).status_code,
        api.update(ids, manager_id=managers[1]).status_code,  # one JSON parameter
        api.update(ids, manager_id=ids[0]).status_code,
        api.update(ids, full_name=NAME).status_code,
        api.post("delete_user", {"mob_num": NUMBER}).status_code,
        api.post("delete_user", {"user_id": ids[0]}).status_code,
        api.post("addTransaction", deposit).status_code,
        api.post("spend", {"points": 734_511}).status_code,
        api.post("spend", {"points": 734_599}).status_code,
        api.client.get("/balance").status_code,
        api.client.get(f"/health?database=1&code={NAME}").status_code,
    ]
    assert {200, 400, 404, 409} <= {*statuses}, statuses
    assert 500 not in statuses
    text = observed.text()
    values = [NAME, "Zebulon", NUMBER, "9123498767", PAN, PAN[:-1], PAYER, KEY, "73451", "734599"]
    values += [*ids, *managers, "2026-01-01T00:00:00"]
    assert [value for value in values if value.lower() in text.lower()] == []
    assert len(observed.requests()) == 24


def test_no_value_of_a_bulk_of_points_is_recorded_either(observed: Observed, api: Any) -> None:
    for number in range(1, 6):
        body = {"payer": f"{PAYER}{number}", "points": 734_510 + number, "timestamp": f"2026-01-0{number}T00:00:00Z"}
        assert api.post("addTransaction", body).status_code == 201
    assert api.post("spend", {"points": 3_000_000}).status_code == 200
    assert PAYER not in observed.text()
    assert "73451" not in observed.text()


# ---- the caller's trace


def test_the_span_of_a_request_is_a_child_of_the_hosts(observed: Observed, api: Any) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "rollbook=1"}
    api.client.post("/create_user", json=api.new_user(), headers=headers)
    span = observed.request()
    assert _parent_of(span) == (int(TRACE, 16), int(SPAN, 16))
    assert span.parent is not None
    assert span.parent.is_remote
    assert span.parent.trace_state == {"rollbook": "1"}
    assert {_id_of(statement)[0] for statement in observed.statements()} == {int(TRACE, 16)}
    assert {_parent_of(statement) for statement in observed.statements()} == {_id_of(span)}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": ""},
        {"traceparent": "nonsense"},
        {"traceparent": f"00-{TRACE}-{SPAN}"},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": f"ff-{TRACE}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE[:-1]}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE[:-1]}g-{SPAN}-01"},
        {"traceparent": "x" * 5000},
        {"tracestate": "a=1"},
    ],
)
def test_without_a_trace_that_can_be_read_a_new_one_begins(
    observed: Observed, api: Any, headers: dict[str, str]
) -> None:
    assert api.client.get("/health", headers=headers).status_code == 200
    span = observed.request()
    assert span.parent is None
    assert _id_of(span)[0] not in (0, int(TRACE, 16))


def test_a_trace_begins_for_every_request(observed: Observed, api: Any) -> None:
    for _ in range(3):
        api.client.get("/health")
    assert len({_id_of(span)[0] for span in observed.requests()}) == 3


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_host_that_tells_of_no_trace_is_served_too(observed: Observed, nothing: str | None) -> None:
    app = func.FunctionApp()
    app.register_functions(importlib.import_module("api.health").blueprint)
    triggers: dict[str, Any] = {
        str(function.get_function_name()): function.get_user_function() for function in app.get_functions()
    }
    trace_context = SimpleNamespace(trace_parent=nothing, trace_state=nothing)
    context = SimpleNamespace(invocation_id="mine", trace_context=trace_context)
    request = func.HttpRequest("GET", "http://x/health", body=b"")
    assert triggers["health"](request, context).status_code == 200
    span = observed.request()
    assert span.parent is None
    assert _attributes(span)["rollbook.invocation_id"] == "mine"


# ---- retries


def test_retries_are_counted_by_the_cause_and_their_statements_are_the_requests(warm: Any, api: Any) -> None:
    with _observing() as observed:
        warm.waiting["execute"] = ["40613", "40613"]
        api.create(mob_num=NUMBER)
        assert observed.counted("rollbook.retries") == {("40613",): 2}
        assert observed.counted("rollbook.refusals") == {}
        assert {_parent_of(span) for span in observed.statements()} == {_id_of(observed.request())}
        codes = [_attributes(span).get("rollbook.code") for span in observed.statements()]
        assert codes[:2] == ["40613", "40613"]
        assert {*codes[2:]} == {None}
        assert _attributes(observed.request())["rollbook.status"] == 201
        assert NUMBER not in observed.text()


@pytest.mark.parametrize("place", ["connect", "execute", "fetch"])
def test_a_fault_anywhere_is_one_retry_and_no_span_is_left_open(warm: Any, api: Any, place: str) -> None:
    users = api.get()
    if place == "connect":
        connections.engines()[0].dispose()
    with _observing() as observed:
        warm.waiting[place] = ["08S01"]
        assert api.get() == users
        assert observed.counted("rollbook.retries") == {("08S01",): 1}
        assert _attributes(observed.request())["rollbook.status"] == 200
        codes = [_attributes(span).get("rollbook.code") for span in observed.statements()]
        assert codes == {"connect": [None], "execute": ["08S01", None], "fetch": [None, None]}[place]


def test_a_race_that_is_lost_for_good_is_counted_once_per_further_try(warm: Any, api: Any) -> None:
    with _observing() as observed:
        warm.waiting["execute"] = ["1205"] * 100
        assert api.post("create_user", api.new_user()).status_code == 409
        assert observed.counted("rollbook.retries") == {("1205",): retries.MAX_RACE_ATTEMPTS - 1}
        assert observed.counted("rollbook.refusals") == {("lost-race:1205", "create_user"): 1}
        assert len(observed.statements()) == retries.MAX_RACE_ATTEMPTS


def test_faults_of_several_kinds_are_counted_apart(warm: Any, api: Any) -> None:
    with _observing() as observed:
        warm.waiting["execute"] = ["40613", "1205", "40613"]
        api.create()
        assert observed.counted("rollbook.retries") == {("40613",): 2, ("1205",): 1}


def test_a_race_that_no_driver_told_of_is_counted_by_its_own_code(observed: Observed) -> None:
    left = [LostRaceError(), LostRaceError(), LostRaceError()]

    def work() -> str:
        if left:
            raise left.pop()
        return "won"

    assert retries.run_with_retries(work) == "won"
    assert observed.counted("rollbook.retries") == {("lost-race",): 3}


def test_what_is_not_run_again_is_no_retry(warm: Any, api: Any) -> None:
    with _observing() as observed:
        warm.waiting["commit"] = ["40613"]
        assert api.post("create_user", api.new_user()).status_code == 503
        assert observed.counted("rollbook.retries") == {}


# ---- many at once


def test_spans_of_requests_at_the_same_time_do_not_mix(observed: Observed, api: Any) -> None:
    def work(number: int) -> None:
        trace = f"{number + 1:032x}"
        headers = {"traceparent": f"00-{trace}-{SPAN}-01"}
        for _ in range(2):
            body = {**api.new_user(), "mob_num": f"{6_100_000_000 + number * 10 + _}"}
            assert api.post("create_user", body, headers=headers).status_code == 201
            assert api.post("get_users", {"mob_num": body["mob_num"]}, headers=headers).status_code == 200

    at_once(32, work)
    requests = {_id_of(span): span for span in observed.requests()}
    assert Counter(span.name for span in requests.values()) == {"create_user": 64, "get_users": 64}
    assert Counter(trace for trace, _ in requests) == dict.fromkeys(range(1, 33), 4)
    by_request: dict[tuple[int, int], list[str]] = {}
    for span in observed.statements():
        parent = _parent_of(span)
        assert parent in requests
        assert _id_of(span)[0] == parent[0]
        by_request.setdefault(parent, []).append(_attributes(span)["db.query.text"])
    assert {*by_request} == {*requests}
    for name in ("create_user", "get_users"):
        told = {tuple(texts) for parent, texts in by_request.items() if requests[parent].name == name}
        assert len(told) == 1
    assert observed.counted("rollbook.retries") == {}


# ---- its beginning and its end


def test_after_the_end_nothing_is_recorded_and_nobody_listens(api: Any) -> None:
    before = _listeners()
    with _observing() as observed:
        assert [now - then for now, then in zip(_listeners(), before, strict=True)] == [1, 1, 1]
        assert http.observe_request is not None
        assert retries._observer is not None
        api.create()
    assert _listeners() == before
    assert http.observe_request is None
    assert retries._observer is None
    recorded = len(observed.exporter.get_finished_spans())
    assert recorded > 1
    api.create()
    api.post("create_user", content=b"{")
    assert len(observed.exporter.get_finished_spans()) == recorded


def test_who_is_not_observed_is_answered_the_same(api: Any, errors_of: Callable[..., Any]) -> None:
    def answers() -> list[tuple[int, str]]:
        responses = [api.post("create_user", {}), api.post("get_users", {}), api.client.get("/openapi.json")]
        return [(each.status_code, re.sub(r'"instance":"[^"]*"', "", each.text)) for each in responses]

    alone = answers()
    with _observing():
        assert answers() == alone


def test_a_statement_that_began_before_anybody_observed_ends_without_a_span(api: Any) -> None:
    begun: list[Observed] = []

    def begin() -> int:
        begun.append(Observed())
        return 7

    with connections.reading() as connection:
        driver: Any = connection.connection.driver_connection
        driver.create_function("begin_to_observe", 0, begin)
        assert connection.exec_driver_sql("SELECT begin_to_observe()").scalar_one() == 7
    (observed,) = begun
    assert observed.statements() == []
    connections.ping()
    assert len(observed.statements()) == 1
    observed.end()
    observed.traces.shutdown()
    observed.metrics.shutdown()


# ---- switched on


CLOSED = "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=http://127.0.0.1:9/"


class Distribution:
    """Takes the place of azure-monitor-opentelemetry: what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def configure_azure_monitor(self, **options: Any) -> None:
        self.asked.append(options)


@pytest.fixture
def distribution(monkeypatch: pytest.MonkeyPatch) -> Iterator[Distribution]:
    """What would export, and exports nothing; what begins to observe is ended with the test."""
    distribution, ends, observe = Distribution(), [], telemetry.observe
    monkeypatch.setitem(sys.modules, "azure.monitor.opentelemetry", distribution)
    monkeypatch.setattr(telemetry, "observe", lambda *arguments: ends.append(observe(*arguments)))
    yield distribution
    for end in ends:
        end()


def _configured(**changes: Any) -> settings.Settings:
    return replace(settings.current(), telemetry=True, **changes)


def test_without_a_connection_string_a_warning_says_so_and_nothing_is_observed(
    distribution: Distribution, caplog: pytest.LogCaptureFixture
) -> None:
    before = _listeners()
    with caplog.at_level(logging.WARNING):
        telemetry.start(_configured())
    ((logger, level, message),) = caplog.record_tuples
    assert (logger, level) == ("rollbook", logging.WARNING)
    assert "TELEMETRY" in message
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING" in message
    assert distribution.asked == []
    assert http.observe_request is None
    assert retries._observer is None
    assert _listeners() == before


def test_with_a_connection_string_everything_is_observed_and_no_log_line_is_exported(
    distribution: Distribution, caplog: pytest.LogCaptureFixture
) -> None:
    before = _listeners()
    with caplog.at_level(logging.WARNING):
        telemetry.start(_configured(applicationinsights_connection_string=CLOSED))
    assert caplog.records == []
    (asked,) = distribution.asked
    assert asked["connection_string"] == CLOSED
    assert asked["credential"] is None
    exported = asked["logger_name"]  # this logger's lines, and those of the loggers below it
    assert exported
    assert exported != "rollbook"
    assert not "rollbook".startswith(f"{exported}.")
    assert http.logger.name == telemetry.logger.name == "rollbook"
    assert asked["sampling_ratio"] == 1
    assert asked["enable_live_metrics"] is False
    assert asked["enable_performance_counters"] is False
    assert http.observe_request is not None
    assert [now - then for now, then in zip(_listeners(), before, strict=True)] == [1, 1, 1]


def test_none_of_the_distributions_own_instrumentations_that_may_be_installed_is_on(distribution: Distribution) -> None:
    telemetry.start(_configured(applicationinsights_connection_string=CLOSED))
    options = distribution.asked[0]["instrumentation_options"]
    names = ["azure_sdk", "django", "fastapi", "flask", "httpx", "psycopg2", "requests", "urllib", "urllib3"]
    assert options.items() >= {name: {"enabled": False} for name in names}.items()


@pytest.mark.parametrize(
    ("authentication", "client_id"),
    [
        ("ClientId=11111111-2222-3333-4444-555555555555;Authorization=AAD", "11111111-2222-3333-4444-555555555555"),
        ("Authorization=AAD;ClientId=a=b", "a=b"),
        ("Authorization=AAD", None),
        (";Authorization=AAD;", None),
    ],
)
def test_with_authorization_by_entra_the_managed_identity_is_the_credential(
    distribution: Distribution, monkeypatch: pytest.MonkeyPatch, authentication: str, client_id: str | None
) -> None:
    monkeypatch.setattr("azure.identity.ManagedIdentityCredential", lambda **options: options)
    telemetry.start(
        _configured(
            applicationinsights_connection_string=CLOSED, applicationinsights_authentication_string=authentication
        )
    )
    assert distribution.asked[0]["credential"] == {"client_id": client_id}


@pytest.mark.parametrize("authentication", ["", "Authorization=Key", "ClientId=1", "AAD", "Authorization"])
def test_without_it_the_connection_strings_key_is_enough(distribution: Distribution, authentication: str) -> None:
    telemetry.start(
        _configured(
            applicationinsights_connection_string=CLOSED, applicationinsights_authentication_string=authentication
        )
    )
    assert distribution.asked[0]["credential"] is None


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.monitor.opentelemetry", None)  # as Python notes what cannot be imported
    with pytest.raises(SettingsError, match=r"^TELEMETRY .*\bazure-monitor-opentelemetry\b.*\.$") as caught:
        telemetry.start(_configured(applicationinsights_connection_string=CLOSED))
    assert CLOSED not in str(caught.value)
    assert http.observe_request is None


# ---- as a process of its own


QUIET = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",  # nothing of these tests leaves the machine
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "azure_app_service",
}


def _loaded(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process that builds the app and tells which modules of telemetry it has loaded."""
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
        timeout=PATIENCE,
        check=True,
    )


@pytest.mark.parametrize("switch", [{}, {"TELEMETRY": "off"}, {"APPLICATIONINSIGHTS_CONNECTION_STRING": CLOSED}])
def test_nothing_of_telemetry_is_imported_where_it_is_not_switched_on(tmp_path: Path, switch: dict[str, str]) -> None:
    done = _loaded(tmp_path, **switch)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_without_a_connection_string_the_exporter_is_not_imported_and_the_warning_is_on_stderr(tmp_path: Path) -> None:
    done = _loaded(tmp_path, TELEMETRY="on")
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


def test_an_exporter_that_reaches_nobody_keeps_no_request_and_not_the_end(tmp_path: Path) -> None:
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
    """As much of Application Insights as takes what is sent."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        text = body.decode()
        envelopes = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        self.server.received += envelopes  # type: ignore[attr-defined]
        count = len(envelopes)
        answer = json.dumps({"itemsReceived": count, "itemsAccepted": count, "errors": []}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def ingestion() -> Iterator[Any]:
    """A server that takes what an exporter sends, in `received`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Ingestion) as server:
        server.received = []  # type: ignore[attr-defined]
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_what_is_exported_has_spans_and_counters_and_no_value(tmp_path: Path, ingestion: Any) -> None:
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
    assert not [envelope for envelope in ingestion.received if "Message" in envelope["name"]], "log lines go twice"
