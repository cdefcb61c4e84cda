"""The spans of requests and timers, and the counter of errors."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest
from opentelemetry.trace import SpanKind, StatusCode

import settings
from api.health import service
from api.http.endpoint import TimerFailedError, endpoint_function, timer_function
from persistence.database import connections
from tests.api.http import toy
from tests.support.telemetry import NAME, NUMBER, SPAN, TRACE, Observed, attributes_of, id_of, parent_of
from tests.support.threads import at_once


def test_a_request_is_one_span_with_its_function_status_and_invocation(
    observed: Observed, api: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "rollbook"):
        api.create()
    invocation_id = caplog.records[-1].getMessage().split()[5]
    span = observed.request()
    assert (span.name, span.kind) == ("create_user", SpanKind.INTERNAL)
    assert attributes_of(span) == {"rollbook.invocation_id": invocation_id, "rollbook.status": 201}
    assert span.status.status_code is StatusCode.UNSET
    assert span.parent is None
    assert span.events == ()
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time < span.end_time
    assert observed.counted("rollbook.refusals") == {}


@pytest.mark.parametrize(
    ("function", "body", "status", "code"),
    [
        ("create_user", {"full_name": NAME}, 400, "body-invalid"),
        ("delete_user", {"user_id": "00000000-0000-4000-8000-000000000000"}, 404, "user-not-found"),
        ("delete_user", {"mob_num": NUMBER}, 404, "user-not-found"),
    ],
)
def test_a_client_error_has_its_code_and_is_no_error_of_the_app(
    observed: Observed, api: Any, function: str, body: dict[str, str], status: int, code: str
) -> None:
    response = api.post(function, body)
    assert response.status_code == status
    assert response.json()["type"] == f"/problems/{code}"
    span = observed.request()
    assert attributes_of(span) == {
        "rollbook.invocation_id": response.json()["instance"],
        "rollbook.status": status,
        "rollbook.code": code,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert observed.counted("rollbook.refusals") == {(code, function): 1}


def test_errors_are_counted_by_function_and_code(observed: Observed, api: Any, unknown_id: str) -> None:
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


@pytest.mark.usefixtures("database_file")  # the toy's table
def test_a_timer_is_observed_like_a_request(observed: Observed, tmp_path: Path) -> None:
    with connections.transaction() as connection:
        connection.exec_driver_sql(toy.TABLE)
    timers = {timer.name: timer_function(timer) for timer in toy.service.build(settings.load({}, tmp_path)).timers}
    context = SimpleNamespace(invocation_id="mine", trace_context=SimpleNamespace(trace_parent="", trace_state=""))
    tick = SimpleNamespace(past_due=False)
    timers["toy_nightly"](timer=tick, context=context)
    with pytest.raises(TimerFailedError):
        timers["toy_failing"](timer=tick, context=context)
    nightly, failing = observed.requests()
    assert (nightly.name, attributes_of(nightly)["rollbook.status"]) == ("toy_nightly", 200)
    assert id_of(nightly) in {parent_of(statement) for statement in observed.statements()}
    assert (failing.name, failing.status.status_code) == ("toy_failing", StatusCode.ERROR)
    assert observed.counted("rollbook.refusals") == {("internal-error", "toy_failing"): 1}


# ---- the caller's trace


def test_the_span_of_a_request_is_a_child_of_the_hosts(observed: Observed, api: Any) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "rollbook=1"}
    api.client.post("/create_user", json=api.new_user(), headers=headers)
    span = observed.request()
    assert parent_of(span) == (int(TRACE, 16), int(SPAN, 16))
    assert span.parent is not None
    assert span.parent.is_remote
    assert span.parent.trace_state == {"rollbook": "1"}
    assert {id_of(statement)[0] for statement in observed.statements()} == {int(TRACE, 16)}
    assert {parent_of(statement) for statement in observed.statements()} == {id_of(span)}


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
def test_without_a_valid_trace_a_new_one_begins(observed: Observed, api: Any, headers: dict[str, str]) -> None:
    assert api.client.get("/health", headers=headers).status_code == 200
    span = observed.request()
    assert span.parent is None
    assert id_of(span)[0] not in (0, int(TRACE, 16))


def test_a_trace_begins_for_every_request(observed: Observed, api: Any) -> None:
    for _ in range(3):
        api.client.get("/health")
    assert len({id_of(span)[0] for span in observed.requests()}) == 3


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_host_that_sends_no_trace_is_served(observed: Observed, nothing: str | None) -> None:
    (health,) = (endpoint for endpoint in service.endpoints if endpoint.name == "health")
    function = endpoint_function(health, idempotency_hours=24)
    trace_context = SimpleNamespace(trace_parent=nothing, trace_state=nothing)
    context = SimpleNamespace(invocation_id="mine", trace_context=trace_context)
    request = func.HttpRequest("GET", "http://x/health", body=b"")
    assert function(request, context).status_code == 200
    span = observed.request()
    assert span.parent is None
    assert attributes_of(span)["rollbook.invocation_id"] == "mine"


# ---- concurrent requests


def test_spans_of_concurrent_requests_do_not_mix(observed: Observed, api: Any) -> None:
    def work(number: int) -> None:
        trace = f"{number + 1:032x}"
        headers = {"traceparent": f"00-{trace}-{SPAN}-01"}
        for _ in range(2):
            body = {**api.new_user(), "mob_num": f"{6_100_000_000 + number * 10 + _}"}
            assert api.post("create_user", body, headers=headers).status_code == 201
            assert api.post("get_users", {"mob_num": body["mob_num"]}, headers=headers).status_code == 200

    at_once(32, work)
    requests = {id_of(span): span for span in observed.requests()}
    assert Counter(span.name for span in requests.values()) == {"create_user": 64, "get_users": 64}
    assert Counter(trace for trace, _ in requests) == dict.fromkeys(range(1, 33), 4)
    by_request: dict[tuple[int, int], list[str]] = {}
    for span in observed.statements():
        parent = parent_of(span)
        assert parent in requests
        assert id_of(span)[0] == parent[0]
        by_request.setdefault(parent, []).append(span.name)
    assert {*by_request} == {*requests}
    for name in ("create_user", "get_users"):
        recorded = {tuple(names) for parent, names in by_request.items() if requests[parent].name == name}
        assert len(recorded) == 1
    assert observed.counted("rollbook.retries") == {}
