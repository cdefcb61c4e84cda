"""Which requests are exported, and for how many each one counts."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from azure.monitor.opentelemetry.exporter import ApplicationInsightsSampler
from opentelemetry.trace import StatusCode
from sqlalchemy import text

from persistence.database import connections
from tests.support.telemetry import SPAN, TRACES, attributes_of, id_of, observing, sampled

RATE: Final = "_MS.sampleRate"
"""The attribute whose value the exporter sends as the sampling percentage; without it 100."""
NONE: Final = ApplicationInsightsSampler(0)


def test_the_sample_has_whole_traces_that_count_for_the_others(api: Any) -> None:
    sampler = ApplicationInsightsSampler(0.25)
    with observing(sampler) as observed:
        for number, trace in enumerate(TRACES):
            headers = {"traceparent": f"00-{trace}-{SPAN}-00"}
            body = {**api.new_user(), "mob_num": f"{6_200_000_000 + number}"}
            assert api.post("create_user", body, headers=headers).status_code == 201
        for spans in (observed.requests(), observed.statements()):
            assert {f"{id_of(span)[0]:032x}" for span in spans} == sampled(sampler)
            assert {attributes_of(span)[RATE] for span in spans} == {25.0}


@pytest.mark.parametrize(("ratio", "least", "most"), [(0, 0, 0), (0.5, 20, 180), (1, 200, 200)])
def test_requests_without_a_trace_are_sampled_too(api: Any, ratio: float, least: int, most: int) -> None:
    with observing(ApplicationInsightsSampler(ratio)) as observed:
        for _ in range(200):
            api.client.get("/health")
        assert least <= len(observed.requests()) <= most


def test_a_failed_request_is_exported_in_any_case_and_counts_once(api: Any, database_file: Path) -> None:
    with closing(sqlite3.connect(database_file)) as connection:
        connection.execute("DROP TABLE users")
    with observing(NONE) as observed:
        assert api.post("get_users", {}).status_code == 500
        assert api.post("get_users", {"limit": 0}).status_code == 400
        assert [span.name for span in observed.requests()] == ["get_users"]
        assert observed.request().status.status_code is StatusCode.ERROR
        assert [span.name for span in observed.statements()] == ["SELECT users"]
        assert not [span for span in (*observed.requests(), *observed.statements()) if RATE in attributes_of(span)]


def test_a_slow_request_is_exported_in_any_case(api: Any, database_file: Path) -> None:
    with closing(sqlite3.connect(database_file, check_same_thread=False, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(1.2, other.rollback).start()
        with observing(NONE) as observed:
            assert api.post("create_user", api.new_user()).status_code == 201
            api.get()
            assert [span.name for span in observed.requests()] == ["create_user"]


def test_errors_are_counted_whether_or_not_their_requests_are_exported(api: Any, unknown_id: str) -> None:
    with observing(NONE) as observed:
        for _ in range(3):
            assert api.post("delete_user", {"user_id": unknown_id}).status_code == 404
        assert observed.requests() == observed.statements() == []
        assert observed.counted("rollbook.refusals") == {("user-not-found", "delete_user"): 3}


def test_a_statement_outside_of_a_request_is_sampled_unless_it_fails(api: Any) -> None:
    with observing(NONE) as observed, connections.reading() as connection:
        connection.execute(text("SELECT user_id FROM users"))
        with pytest.raises(Exception, match="nowhere"):
            connection.execute(text("SELECT user_id FROM nowhere"))
        assert [span.name for span in observed.statements()] == ["SELECT nowhere"]
