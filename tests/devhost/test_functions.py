"""Functions run as on the Azure Functions host: threads, errors, context."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import azure.functions as func
import pytest

from tests.devhost.server import TIMEOUT, AppServer, add


def test_plain_functions_run_on_all_threads_and_async_ones_beside_them(
    server: AppServer, app: func.FunctionApp
) -> None:
    meeting = threading.Barrier(5)  # four functions and this test
    threads: list[threading.Thread] = []

    @app.route("meet")
    def meet(req: func.HttpRequest) -> func.HttpResponse:
        threads.append(threading.current_thread())
        meeting.wait(TIMEOUT)
        return func.HttpResponse("met")

    @app.route("pass_by")
    async def pass_by(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(threading.current_thread().name)

    client = server.serve(app, threads=4)
    with ThreadPoolExecutor(4) as pool:
        meetings = [pool.submit(client.get, "/meet") for _ in range(4)]
        passer_by = client.get("/pass_by").text
        meeting.wait(TIMEOUT)
        assert [meeting.result().text for meeting in meetings] == ["met"] * 4
    assert len(set(threads)) == 4
    assert passer_by not in {thread.name for thread in threads}


def test_at_most_one_plain_function_runs_on_each_thread(server: AppServer, app: func.FunctionApp) -> None:
    meeting = threading.Barrier(2)
    threads: list[threading.Thread] = []

    @app.route("meet")
    def meet(req: func.HttpRequest) -> func.HttpResponse:
        threads.append(threading.current_thread())
        meeting.wait(TIMEOUT)
        return func.HttpResponse("met")

    client = server.serve(app, threads=2)
    with ThreadPoolExecutor(6) as pool:
        responses = list(pool.map(client.get, ["/meet"] * 6))
    assert [response.text for response in responses] == ["met"] * 6
    assert len(set(threads)) == 2


def test_async_functions_are_awaited_side_by_side(server: AppServer, app: func.FunctionApp) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    @app.route("wait")
    async def wait(req: func.HttpRequest) -> func.HttpResponse:
        arrived.set()
        await left.wait()
        return func.HttpResponse("waited")

    @app.route("leave")
    async def leave(req: func.HttpRequest) -> func.HttpResponse:
        await arrived.wait()
        left.set()
        return func.HttpResponse("left")

    client = server.serve(app, threads=1)
    with ThreadPoolExecutor(2) as pool:
        assert [response.text for response in pool.map(client.get, ["/wait", "/leave"])] == ["waited", "left"]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, BaseException])
def test_a_function_that_raises_is_an_empty_500_and_a_log_line(
    server: AppServer, app: func.FunctionApp, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    @app.route("fail")
    def fail(req: func.HttpRequest) -> func.HttpResponse:
        raise error("on purpose")

    add(app, "greet")
    client = server.serve(app, threads=1)  # the only thread: if it ended, no request would be served
    with caplog.at_level(logging.ERROR, "devhost"):
        response = client.get("/fail")
    assert (response.status_code, response.content) == (500, b"")
    assert [record.getMessage() for record in caplog.records] == ["fail raised"]
    assert client.get("/greet").text == "greet"


def test_an_async_function_that_raises_is_an_empty_500(server: AppServer, app: func.FunctionApp) -> None:
    @app.route("fail")
    async def fail(req: func.HttpRequest) -> func.HttpResponse:
        raise ValueError("on purpose")

    add(app, "greet")
    client = server.serve(app)
    response = client.get("/fail")
    assert (response.status_code, response.content) == (500, b"")
    assert client.get("/greet").text == "greet"


def test_the_context_has_the_functions_name_and_a_uuid_of_the_call(server: AppServer, app: func.FunctionApp) -> None:
    def describe(context: func.Context) -> func.HttpResponse:
        return func.HttpResponse(f"{context.function_name} {context.invocation_id}")

    @app.route("plain")
    def plain(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return describe(context)

    @app.function_name("Other")
    @app.route("other")
    async def other(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return describe(context)

    client = server.serve(app)
    contexts = [client.get(path).text.split() for path in ("/plain", "/plain", "/other", "/other")]
    assert [name for name, _ in contexts] == ["plain", "plain", "Other", "Other"]
    assert all(str(uuid.UUID(invocation_id)) == invocation_id for _, invocation_id in contexts)
    assert len({invocation_id for _, invocation_id in contexts}) == 4


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ({}, ["", ""]),
        ({"traceparent": "00-aa-bb-01"}, ["00-aa-bb-01", ""]),
        ({"TraceParent": "00-aa-bb-01", "TraceState": "a=1,b=2"}, ["00-aa-bb-01", "a=1,b=2"]),
        ({"traceparent": "no trace"}, ["no trace", ""]),
    ],
)
def test_the_context_has_the_callers_trace_as_it_was_sent(
    server: AppServer, app: func.FunctionApp, headers: dict[str, str], trace: list[str]
) -> None:
    def describe(context: func.Context) -> func.HttpResponse:
        received: Any = context.trace_context
        return func.HttpResponse(json.dumps([received.trace_parent, received.trace_state, received.attributes]))

    @app.route("plain")
    def plain(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return describe(context)

    @app.route("awaited")
    async def awaited(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return describe(context)

    client = server.serve(app)
    for path in ("/plain", "/awaited"):
        assert client.get(path, headers=headers).json() == [*trace, {}]


def add_unsupported(app: func.FunctionApp) -> None:
    """Adds functions that only the real host supports: by trigger, binding, route or schedule."""

    @app.timer_trigger("timer", schedule="0 0 0 1 1 *")
    @app.queue_output(arg_name="message", queue_name="jobs", connection="AzureWebJobsStorage")
    def enqueue(timer: func.TimerRequest, message: func.Out[str]) -> None:
        raise AssertionError("is not called")

    @app.queue_trigger("message", queue_name="jobs", connection="AzureWebJobsStorage")
    def dequeue(message: func.QueueMessage) -> None:
        raise AssertionError("is not called")

    @app.route("push")
    @app.queue_output(arg_name="message", queue_name="jobs", connection="AzureWebJobsStorage")
    def push(req: func.HttpRequest, message: func.Out[str]) -> func.HttpResponse:
        raise AssertionError("is not called")

    @app.timer_trigger("timer", schedule="%ROLLBOOK_NO_SUCH_SETTING%")
    def tick(timer: func.TimerRequest) -> None:
        raise AssertionError("is not called")

    add(app, "number", "numbers/{id:int}")
    add(app, "default", "numbers/{id=1}")
    add(app, "part", "numbers/no-{id}")


def test_unsupported_functions_are_listed_with_the_reason(server: AppServer, app: func.FunctionApp) -> None:
    add_unsupported(app)
    add(app, "greet")
    client = server.serve(app)
    assert server.unsupported == [
        "default: its route has a part that only the real host supports: {id=1}",
        "dequeue: it has neither an HTTP nor a timer trigger",
        "enqueue: it has a binding besides its timer",
        "number: its route has a part that only the real host supports: {id:int}",
        "part: its route has a part that only the real host supports: no-{id}",
        "push: it has a binding besides HTTP",
        "tick: its schedule cannot be read: the setting ROLLBOOK_NO_SUCH_SETTING is not set",
    ]
    for path in ("/default", "/dequeue", "/number", "/numbers/1", "/numbers/no-1", "/part", "/push", "/tick"):
        assert client.get(path).status_code == 404
    assert client.get("/greet").text == "greet"
