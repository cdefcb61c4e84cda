"""The development host answers as the Azure Functions host does: routes, requests, responses, threads.

Every test makes a function app of its own and calls it over a real connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import azure.functions as func
import httpx
import pytest
import uvicorn

from devhost import host
from devhost.host import Host, Workers, find_routes, read_route_prefix

METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
PATIENCE = 30
"""Seconds after which something that should have happened is taken for lost."""


class Stage:
    """One server for this file, on which each test puts its own function app."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.host: Host | None = None
        self.workers: list[Workers] = []
        self.unserved: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.host is not None, "a test serves its app first"
        await self.host(scope, receive, send)

    def serve(self, app: func.FunctionApp, *, route_prefix: str = "", threads: int = 2) -> httpx.Client:
        """A client of `app`."""
        routes, self.unserved = find_routes(app, route_prefix)
        self.workers.append(Workers(threads))
        self.host = Host(routes, self.workers[-1])
        return self.client

    def clear(self) -> None:
        """Takes the app away."""
        self.host = None
        while self.workers:
            self.workers.pop().close()

    def exchange(self, sent: bytes, *, leave: bool = False) -> bytes:
        """All that comes back on a connection of its own, until the server ends it: after the client left (`leave`), or
        because the last request in `sent` asked for it.
        """
        address = (self.client.base_url.host, self.client.base_url.port)
        with socket.create_connection(address, timeout=PATIENCE) as connection:
            connection.sendall(sent)
            if leave:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(partial(connection.recv, 65536), b""))


@pytest.fixture(scope="module")
def _stage() -> Iterator[Stage]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=base_url, timeout=PATIENCE, verify=False, trust_env=False) as client:  # noqa: S501 - plain HTTP
            stage = Stage(client)
            config = uvicorn.Config(
                stage,
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,  # what a failed test left behind must not keep it
            )
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                yield stage
            finally:
                server.should_exit = True
                thread.join()


@pytest.fixture
def stage(_stage: Stage) -> Iterator[Stage]:
    """The server, with no app yet."""
    yield _stage
    _stage.clear()


@pytest.fixture
def app() -> func.FunctionApp:
    """A function app without functions."""
    return func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


def told(req: func.HttpRequest) -> func.HttpResponse:
    """What a function is told of its request."""
    told = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "params": dict(req.params),
        "route_params": dict(req.route_params),
    }
    return func.HttpResponse(json.dumps(told), mimetype="application/json")


def add(app: func.FunctionApp, name: str, route: str | None = None, methods: list[str] | None = None) -> None:
    """A function that answers its own name."""

    @app.function_name(name)
    @app.route(route, methods=methods)
    def answer(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(name)


# ---- routes


@pytest.mark.parametrize(
    ("host_json", "path"),
    [
        (None, "/api/hello"),
        ("{}", "/api/hello"),
        ('{"version": "2.0", "extensions": {"http": {}}}', "/api/hello"),
        ('{"extensions": {"http": {"routePrefix": "public"}}}', "/public/hello"),
        ('{"extensions": {"http": {"routePrefix": "/public/v1/"}}}', "/public/v1/hello"),
        ('{"extensions": {"http": {"routePrefix": ""}}}', "/hello"),
    ],
)
def test_every_route_begins_with_the_prefix_of_host_json_which_is_api_where_it_says_nothing(
    stage: Stage, app: func.FunctionApp, tmp_path: Path, host_json: str | None, path: str
) -> None:
    if host_json is not None:
        (tmp_path / "host.json").write_text(host_json, "utf-8")
    add(app, "greet", "hello")
    client = stage.serve(app, route_prefix=read_route_prefix(tmp_path / "host.json"))
    served = {tried: client.get(tried).status_code for tried in ("/hello", "/api/hello", "/public/hello", path)}
    assert served == {tried: 200 if tried == path else 404 for tried in served}


def test_a_function_without_a_route_is_served_at_its_name(stage: Stage, app: func.FunctionApp) -> None:
    add(app, "list_users")
    client = stage.serve(app, route_prefix="api")
    assert client.get("/api/list_users").text == "list_users"
    assert client.get("/api/answer").status_code == 404


def test_a_route_parameter_is_one_decoded_segment_in_its_own_case(stage: Stage, app: func.FunctionApp) -> None:
    app.route("items/{id}/parts/{part}")(told)
    client = stage.serve(app)
    assert client.get("/items/7/parts/Ab%20c%C3%A9").json()["route_params"] == {"id": "7", "part": "Ab cé"}
    for path in ("/items/7/parts", "/items/parts/1", "/items/7/parts/1/2", "/more/items/7/parts/1"):
        assert client.get(path).status_code == 404


def test_an_optional_parameter_may_be_missing(stage: Stage, app: func.FunctionApp) -> None:
    app.route("items/{id?}")(told)
    client = stage.serve(app)
    assert client.get("/items/7").json()["route_params"] == {"id": "7"}
    assert client.get("/items").json()["route_params"] == {}
    assert client.get("/items/").json()["route_params"] == {}
    assert client.get("/items/7/8").status_code == 404


def test_a_catch_all_is_the_rest_of_the_path(stage: Stage, app: func.FunctionApp) -> None:
    app.route("files/{*rest}")(told)
    client = stage.serve(app)
    assert client.get("/files/a/b/c.txt").json()["route_params"] == {"rest": "a/b/c.txt"}
    assert client.get("/files/a").json()["route_params"] == {"rest": "a"}
    assert client.get("/files").json()["route_params"] == {}
    assert client.get("/filesystem").status_code == 404


def test_of_two_routes_that_match_the_one_whose_function_name_comes_first_wins(stage: Stage) -> None:
    for exact, wild in (("a", "b"), ("b", "a")):
        app = func.FunctionApp()
        add(app, exact, "users")
        add(app, wild, "{anything}")
        client = stage.serve(app)
        assert client.get("/users").text == "a"
        assert client.get("/others").text == wild


def test_a_route_that_does_not_list_the_method_leaves_the_request_to_the_next(
    stage: Stage, app: func.FunctionApp
) -> None:
    add(app, "a", "users", ["GET"])
    add(app, "b", "users", ["POST", "PUT"])
    client = stage.serve(app)
    assert [client.request(method, "/users").text for method in ("GET", "POST", "PUT")] == ["a", "b", "b"]


@pytest.mark.parametrize("method", [method for method in METHODS if method != "POST"])
def test_a_method_that_is_not_listed_is_not_found(stage: Stage, app: func.FunctionApp, method: str) -> None:
    add(app, "a", "users", ["POST"])
    client = stage.serve(app)
    assert client.post("/users").status_code == 200
    response = client.request(method, "/users")
    assert response.status_code == 404
    assert response.content == b""
    assert "allow" not in response.headers


def test_a_path_without_a_function_is_not_found_and_the_answer_is_empty(stage: Stage, app: func.FunctionApp) -> None:
    add(app, "a", "users")
    client = stage.serve(app)
    for path in ("/", "/user", "/users/1", "//users", "/api/users"):
        response = client.get(path)
        assert (response.status_code, response.content) == (404, b"")


def test_a_function_without_methods_answers_every_method(stage: Stage, app: func.FunctionApp) -> None:
    app.route("any")(told)
    client = stage.serve(app)
    for method in METHODS:
        response = client.request(method, "/any")
        assert response.status_code == 200
        assert method == "HEAD" or response.json()["method"] == method


def test_the_answer_to_head_has_the_length_and_not_the_body(stage: Stage, app: func.FunctionApp) -> None:
    add(app, "greet")
    sent = b"HEAD /greet HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    stage.serve(app)
    headers, _, body = stage.exchange(sent).partition(b"\r\n\r\n")
    assert b"content-length: 5" in headers
    assert body == b""


def test_paths_match_without_regard_to_case_and_with_a_last_slash(stage: Stage, app: func.FunctionApp) -> None:
    app.route("Items/{id}")(told)
    client = stage.serve(app, route_prefix="Api")
    for path in ("/Api/Items/aB", "/api/items/aB", "/API/ITEMS/aB", "/Api/Items/aB/"):
        assert client.get(path).json()["route_params"] == {"id": "aB"}


def test_a_dot_in_a_route_is_a_dot(stage: Stage, app: func.FunctionApp) -> None:
    add(app, "icon", "favicon.ico")
    client = stage.serve(app)
    assert client.get("/favicon.ico").status_code == 200
    assert client.get("/faviconXico").status_code == 404


# ---- requests


def test_header_names_reach_the_function_in_lower_case_and_repeated_ones_joined(
    stage: Stage, app: func.FunctionApp
) -> None:
    app.route("told")(told)
    client = stage.serve(app)
    headers = client.get("/told", headers=[("X-One", "A b"), ("X-Two", "1"), ("x-two", "2")]).json()["headers"]
    assert headers["x-one"] == "A b"
    assert [value.strip() for value in headers["x-two"].split(",")] == ["1", "2"]
    assert list(headers) == [name.lower() for name in headers]


def test_query_values_are_decoded_and_empty_ones_are_dropped(stage: Stage, app: func.FunctionApp) -> None:
    app.route("told")(told)
    client = stage.serve(app)
    assert client.get("/told?a=1&b=&c&d=x+y%26%C3%A9").json()["params"] == {"a": "1", "d": "x y&é"}
    assert client.get("/told").json()["params"] == {}


def test_the_url_is_absolute_with_host_and_query(stage: Stage, app: func.FunctionApp) -> None:
    app.route("told/{word}")(told)
    client = stage.serve(app, route_prefix="api")
    assert client.get("/api/told/a%20b?x=1&y=").json()["url"] == f"{client.base_url}/api/told/a%20b?x=1&y="
    named = client.get("/api/told/a", headers={"Host": "rollbook.example:8080"})
    assert named.json()["url"] == "http://rollbook.example:8080/api/told/a"


@pytest.mark.parametrize("sent", [b"", bytes(range(256)), bytes(range(256)) * 4096], ids=["none", "short", "long"])
def test_a_body_reaches_the_function_byte_by_byte(stage: Stage, app: func.FunctionApp, sent: bytes) -> None:
    bodies = []

    @app.route("take")
    def take(req: func.HttpRequest) -> func.HttpResponse:
        bodies.append(req.get_body())
        return func.HttpResponse(req.get_body())

    assert stage.serve(app).post("/take", content=sent).content == sent
    assert bodies == [sent]


def test_a_body_that_is_sent_in_chunks_arrives_whole(stage: Stage, app: func.FunctionApp) -> None:
    @app.route("take")
    def take(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(req.get_body())

    chunks = [b"first", b"x" * 300_000, b"last"]
    response = stage.serve(app).post("/take", content=iter(chunks))
    assert response.request.headers["transfer-encoding"] == "chunked"
    assert response.content == b"".join(chunks)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_larger_than_the_limit_is_refused_before_the_function(
    stage: Stage, app: func.FunctionApp, monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    lengths = []

    @app.route("take")
    def take(req: func.HttpRequest) -> func.HttpResponse:
        lengths.append(len(req.get_body()))
        return func.HttpResponse()

    def post(length: int) -> httpx.Response:
        body = b"x" * length
        return client.post("/take", content=iter([body]) if chunked else body)

    assert host.BODY_BYTES_MAX == 100 * 1024 * 1024
    monkeypatch.setattr(host, "BODY_BYTES_MAX", 2_000_000)
    client = stage.serve(app)
    assert post(2_000_000).status_code == 200
    refused = post(2_000_001)
    assert (refused.status_code, refused.content) == (413, b"")
    assert post(10_000_000).status_code == 413
    assert post(1).status_code == 200
    assert lengths == [2_000_000, 1]


@pytest.mark.parametrize(
    "half",
    [b"Content-Length: 8\r\n\r\n", b"Content-Length: 8\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"],
)
def test_half_a_body_never_reaches_the_function(stage: Stage, app: func.FunctionApp, half: bytes) -> None:
    bodies = []

    @app.route("take")
    def take(req: func.HttpRequest) -> func.HttpResponse:
        bodies.append(req.get_body())
        return func.HttpResponse()

    client = stage.serve(app, threads=1)
    stage.exchange(b"POST /take HTTP/1.1\r\nHost: x\r\n" + half, leave=True)
    assert client.post("/take", content=b"whole").status_code == 200
    assert bodies == [b"whole"]


def test_a_body_that_nobody_reads_does_not_disturb_the_next_request(stage: Stage, app: func.FunctionApp) -> None:
    add(app, "greet", methods=["GET"])
    client = stage.serve(app)
    for _ in range(3):
        assert client.post("/greet", content=b"GET /greet HTTP/1.1\r\n\r\n" * 50_000).status_code == 404
        assert client.get("/greet").text == "greet"


# ---- how functions run


def test_plain_functions_run_at_once_on_as_many_threads_as_there_are_and_async_ones_are_served_meanwhile(
    stage: Stage, app: func.FunctionApp
) -> None:
    meeting = threading.Barrier(5)  # four functions, and this test
    threads: list[threading.Thread] = []

    @app.route("meet")
    def meet(req: func.HttpRequest) -> func.HttpResponse:
        threads.append(threading.current_thread())
        meeting.wait(PATIENCE)
        return func.HttpResponse("met")

    @app.route("pass_by")
    async def pass_by(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(threading.current_thread().name)

    client = stage.serve(app, threads=4)
    with ThreadPoolExecutor(4) as pool:
        meetings = [pool.submit(client.get, "/meet") for _ in range(4)]
        passer_by = client.get("/pass_by").text
        meeting.wait(PATIENCE)
        assert [answer.result().text for answer in meetings] == ["met"] * 4
    assert len(set(threads)) == 4
    assert passer_by not in {thread.name for thread in threads}


def test_no_more_plain_functions_run_at_once_than_there_are_threads(stage: Stage, app: func.FunctionApp) -> None:
    meeting = threading.Barrier(2)
    threads: list[threading.Thread] = []

    @app.route("meet")
    def meet(req: func.HttpRequest) -> func.HttpResponse:
        threads.append(threading.current_thread())
        meeting.wait(PATIENCE)
        return func.HttpResponse("met")

    client = stage.serve(app, threads=2)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(client.get, ["/meet"] * 6))
    assert [answer.text for answer in answers] == ["met"] * 6
    assert len(set(threads)) == 2


def test_async_functions_are_awaited_side_by_side(stage: Stage, app: func.FunctionApp) -> None:
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

    client = stage.serve(app, threads=1)
    with ThreadPoolExecutor(2) as pool:
        assert [answer.text for answer in pool.map(client.get, ["/wait", "/leave"])] == ["waited", "left"]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, BaseException])
def test_an_error_in_a_function_is_an_empty_500_and_the_next_request_is_served(
    stage: Stage, app: func.FunctionApp, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    @app.route("fail")
    def fail(req: func.HttpRequest) -> func.HttpResponse:
        raise error("on purpose")

    add(app, "greet")
    client = stage.serve(app, threads=1)  # the only one: a thread that ends serves nobody
    with caplog.at_level(logging.ERROR, "devhost"):
        response = client.get("/fail")
    assert (response.status_code, response.content) == (500, b"")
    assert [record.getMessage() for record in caplog.records] == ["fail raised"]
    assert client.get("/greet").text == "greet"


def test_an_error_in_an_async_function_is_an_empty_500_and_the_next_request_is_served(
    stage: Stage, app: func.FunctionApp
) -> None:
    @app.route("fail")
    async def fail(req: func.HttpRequest) -> func.HttpResponse:
        raise ValueError("on purpose")

    add(app, "greet")
    client = stage.serve(app)
    response = client.get("/fail")
    assert (response.status_code, response.content) == (500, b"")
    assert client.get("/greet").text == "greet"


def test_the_context_has_the_name_of_the_function_and_a_uuid_of_the_call(stage: Stage, app: func.FunctionApp) -> None:
    def describe(context: func.Context) -> func.HttpResponse:
        return func.HttpResponse(f"{context.function_name} {context.invocation_id}")

    @app.route("plain")
    def plain(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return describe(context)

    @app.function_name("Other")
    @app.route("other")
    async def other(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return describe(context)

    client = stage.serve(app)
    told = [client.get(path).text.split() for path in ("/plain", "/plain", "/other", "/other")]
    assert [name for name, _ in told] == ["plain", "plain", "Other", "Other"]
    assert all(str(uuid.UUID(invocation_id)) == invocation_id for _, invocation_id in told)
    assert len({invocation_id for _, invocation_id in told}) == 4


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, ["", ""]),
        ({"traceparent": "00-aa-bb-01"}, ["00-aa-bb-01", ""]),
        ({"TraceParent": "00-aa-bb-01", "TraceState": "a=1,b=2"}, ["00-aa-bb-01", "a=1,b=2"]),
        ({"traceparent": "no trace"}, ["no trace", ""]),
    ],
)
def test_the_context_has_the_trace_of_the_caller_as_it_was_sent(
    stage: Stage, app: func.FunctionApp, headers: dict[str, str], told: list[str]
) -> None:
    def describe(context: func.Context) -> func.HttpResponse:
        trace: Any = context.trace_context
        return func.HttpResponse(json.dumps([trace.trace_parent, trace.trace_state, trace.attributes]))

    @app.route("plain")
    def plain(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return describe(context)

    @app.route("awaited")
    async def awaited(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return describe(context)

    client = stage.serve(app)
    for path in ("/plain", "/awaited"):
        assert client.get(path, headers=headers).json() == [*told, {}]


# ---- responses


def test_a_str_is_answered_as_plain_text(stage: Stage, app: func.FunctionApp) -> None:
    @app.route("say")
    def say(req: func.HttpRequest) -> str:
        return "é"

    response = stage.serve(app).get("/say")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.content == "é".encode()


@pytest.mark.parametrize("answer", [None, {"a": 1}, b"bytes", 200], ids=repr)
def test_what_is_neither_a_response_nor_a_str_is_an_empty_500(
    stage: Stage, app: func.FunctionApp, answer: object
) -> None:
    @app.route("plain")
    def plain(req: func.HttpRequest) -> object:
        return answer

    @app.route("awaited")
    async def awaited(req: func.HttpRequest) -> object:
        return answer

    client = stage.serve(app)
    for path in ("/plain", "/awaited"):
        response = client.get(path)
        assert (response.status_code, response.content) == (500, b"")


def test_status_headers_mimetype_and_charset_of_a_response_arrive(stage: Stage, app: func.FunctionApp) -> None:
    @app.route("table")
    def table(req: func.HttpRequest) -> func.HttpResponse:
        response = func.HttpResponse(
            "é;1", status_code=HTTPStatus.ACCEPTED, headers={"X-Kind": "Test"}, mimetype="text/csv", charset="latin-1"
        )
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2")
        return response

    response = stage.serve(app).get("/table")
    assert response.status_code == 202
    assert response.headers["x-kind"] == "Test"
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.headers["content-type"] == "text/csv; charset=latin-1"
    assert response.content == "é;1".encode("latin-1")


def test_the_charset_is_told_of_text_alone(stage: Stage, app: func.FunctionApp) -> None:
    @app.route("object")
    def answer(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse("{}", mimetype="application/json")

    assert stage.serve(app).get("/object").headers.get_list("content-type") == ["application/json"]


def test_a_content_type_among_the_headers_comes_before_the_mimetype(stage: Stage, app: func.FunctionApp) -> None:
    @app.route("page")
    def page(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse("<p>", headers={"Content-Type": "text/html"}, mimetype="text/csv")

    assert stage.serve(app).get("/page").headers.get_list("content-type") == ["text/html"]


# ---- functions that only the real host serves


def test_functions_of_other_triggers_bindings_or_route_constraints_are_not_served_and_named_with_the_reason(
    stage: Stage, app: func.FunctionApp
) -> None:
    @app.timer_trigger(schedule="0 0 * * * *", arg_name="timer")
    def tick(timer: func.TimerRequest) -> None:
        raise AssertionError("nobody calls this")

    @app.route("push")
    @app.queue_output(arg_name="message", queue_name="jobs", connection="AzureWebJobsStorage")
    def push(req: func.HttpRequest, message: func.Out[str]) -> func.HttpResponse:
        raise AssertionError("nobody calls this")

    add(app, "number", "numbers/{id:int}")
    add(app, "default", "numbers/{id=1}")
    add(app, "part", "numbers/no-{id}")
    add(app, "greet")
    client = stage.serve(app)
    assert stage.unserved == [
        "default: its route has a part that only the real host knows: {id=1}",
        "number: its route has a part that only the real host knows: {id:int}",
        "part: its route has a part that only the real host knows: no-{id}",
        "push: it has a binding besides HTTP",
        "tick: it has no HTTP trigger",
    ]
    for path in ("/default", "/number", "/numbers/1", "/numbers/no-1", "/part", "/push", "/tick"):
        assert client.get(path).status_code == 404
    assert client.get("/greet").text == "greet"


# ---- connections


def test_a_connection_serves_request_after_request(stage: Stage, app: func.FunctionApp) -> None:
    add(app, "greet")
    client = stage.serve(app)

    def port_of_the_client(call: Callable[[], httpx.Response]) -> int:
        port: int = call().extensions["network_stream"].get_extra_info("client_addr")[1]
        return port

    calls: list[Callable[[], httpx.Response]] = [
        partial(client.get, "/greet"),
        partial(client.post, "/greet", content=b"body"),
        partial(client.get, "/nowhere"),
        partial(client.get, "/greet"),
    ]
    assert len({port_of_the_client(call) for call in calls}) == 1


def test_requests_that_are_sent_before_the_first_answer_are_answered_in_order(
    stage: Stage, app: func.FunctionApp
) -> None:
    @app.route("plain")
    def plain(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(b"[plain " + req.get_body() + b"]")

    @app.route("awaited")
    async def awaited(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse("[awaited]")

    stage.serve(app)
    received = stage.exchange(
        b"POST /plain HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1"
        b"GET /awaited HTTP/1.1\r\nHost: x\r\n\r\n"
        b"POST /plain HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n2"
        b"GET /awaited HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 4
    assert re.findall(rb"\[.*?\]", received) == [b"[plain 1]", b"[awaited]", b"[plain 2]", b"[awaited]"]
