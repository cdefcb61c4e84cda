"""The spans of statements."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import StatusCode
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

import telemetry
from persistence.database import connections
from persistence.database.errors import DUPLICATE_KEY_ERRORS
from tests.support.telemetry import NAME, NUMBER, Observed, attributes_of, id_of, observing, parent_of

SYSTEMS = {"sqlite": "sqlite", "mssql": "microsoft.sql_server"}
"""OpenTelemetry's names of the engines, by those of SQLAlchemy."""


def test_every_statement_is_a_child_of_its_request_and_is_named_briefly(
    observed: Observed, api: Any, managers: list[str], statements: list[str]
) -> None:
    users = [api.create(manager_id=managers[0])["user_id"] for _ in range(3)]
    api.get(manager_id=managers[0])
    api.update([users[0]], full_name=NAME)
    assert api.update(users, manager_id=managers[1]).status_code == 200
    api.post("delete_user", {"user_id": users[0]})
    spans = observed.statements()
    engine, *_ = connections.engines()
    assert len(spans) == len(statements)
    for span, text in zip(spans, statements, strict=True):
        verb, table = span.name.split()
        assert verb == text.split()[0]
        assert table in ("users", "managers", "user_changes", "user_change_values", "idempotency_keys")
        assert span.name.split()[1] in text
    assert len(observed.requests()) == 7
    assert {parent_of(span) for span in spans} == {id_of(span) for span in observed.requests()}
    for span in spans:
        attributes = {"db.system.name": SYSTEMS[engine.dialect.name], "db.query.summary": span.name}
        assert attributes_of(span) == attributes
        assert span.status.status_code is StatusCode.UNSET
        assert span.end_time is not None
    assert {span.name for span in spans} >= {"INSERT users", "SELECT users", "UPDATE users", "DELETE users"}


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
    with connections.reading() as connection:
        connection.execute(select(1))
    (span,) = observed.statements()
    assert span.parent is None
    assert span.name == "SELECT"


def test_sql_server_has_its_opentelemetry_name() -> None:
    exporter = InMemorySpanExporter()
    traces = TracerProvider(shutdown_on_exit=False)
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    listeners = telemetry._statement_listeners(traces.get_tracer("test"), ALWAYS_ON)
    connection = SimpleNamespace(info={}, dialect=SimpleNamespace(name="mssql"))
    execution = SimpleNamespace()
    listeners["before_cursor_execute"](connection, None, "SELECT\n1", (), execution, False)
    listeners["after_cursor_execute"](connection, None, "SELECT\n1", (), execution, False)
    (span,) = exporter.get_finished_spans()
    assert span.name == "SELECT"
    assert attributes_of(span) == {"db.system.name": "microsoft.sql_server", "db.query.summary": "SELECT"}
    traces.shutdown()


def test_a_failed_statement_has_the_drivers_code_and_not_its_text(observed: Observed, api: Any) -> None:
    api.create(mob_num=NUMBER)
    observed.exporter.clear()
    assert api.post("create_user", api.new_user(mob_num=NUMBER)).status_code == 409
    failed = [span for span in observed.statements() if span.status.status_code is StatusCode.ERROR]
    assert len(failed) == 1
    assert attributes_of(failed[0])["rollbook.code"] in DUPLICATE_KEY_ERRORS
    assert failed[0].status.description is None
    assert failed[0].events == ()
    assert failed[0].name == "INSERT users"
    assert parent_of(failed[0]) == id_of(observed.request())
    assert observed.request().status.status_code is StatusCode.UNSET


def test_an_unexpected_error_marks_its_spans_without_its_text(
    observed: Observed, api: Any, database_file: Path
) -> None:
    with closing(sqlite3.connect(database_file)) as connection:
        connection.execute("DROP TABLE users")
    response = api.post("get_users", {"mob_num": NUMBER})
    assert response.status_code == 500
    span = observed.request()
    assert attributes_of(span)["rollbook.code"] == "internal-error"
    assert attributes_of(span)["rollbook.status"] == 500
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, None, ())
    (statement,) = observed.statements()
    assert attributes_of(statement)["rollbook.code"] == "SQLITE_ERROR"
    assert (statement.status.status_code, statement.status.description) == (StatusCode.ERROR, None)
    assert observed.counted("rollbook.refusals") == {("internal-error", "get_users"): 1}
    assert NUMBER not in observed.text()
    assert "no such table" not in observed.text()


def test_an_error_without_a_code_has_the_code_unknown(observed: Observed) -> None:
    def fail() -> None:
        with connections.reading() as connection:
            connection.exec_driver_sql("SELECT ?", (object(),))

    with pytest.raises(DBAPIError):
        fail()
    (span,) = observed.statements()
    assert attributes_of(span)["rollbook.code"] == "unknown"


def test_a_lost_commit_is_an_error_of_the_request_with_the_servers_number(warm: Any, api: Any) -> None:
    with observing() as observed:
        warm.waiting["commit"] = ["40613"]
        assert api.post("create_user", api.new_user(mob_num=NUMBER)).status_code == 503
        span = observed.request()
        assert attributes_of(span)["rollbook.code"] == "outcome-unknown:40613"
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert {span.status.status_code for span in observed.statements()} == {StatusCode.UNSET}
        assert observed.counted("rollbook.refusals") == {("outcome-unknown:40613", "create_user"): 1}
        assert NUMBER not in observed.text()


@pytest.mark.usefixtures("database_file")  # a function of SQL, which calls Python
def test_a_statement_that_began_before_observe_ends_without_a_span() -> None:
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
    with connections.reading() as connection:
        connection.execute(select(1))
    assert len(observed.statements()) == 1
    observed.close()
