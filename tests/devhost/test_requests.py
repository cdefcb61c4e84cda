"""Requests reach a function as on the Azure Functions host."""

from __future__ import annotations

import azure.functions as func
import httpx
import pytest

from devhost import requests
from devhost.access import Access
from tests.devhost.server import AppServer, add, echo


def test_header_names_are_lower_case_and_repeated_ones_are_joined(server: AppServer, app: func.FunctionApp) -> None:
    app.route("echo")(echo)
    client = server.serve(app)
    headers = client.get("/echo", headers=[("X-One", "A b"), ("X-Two", "1"), ("x-two", "2")]).json()["headers"]
    assert headers["x-one"] == "A b"
    assert [value.strip() for value in headers["x-two"].split(",")] == ["1", "2"]
    assert list(headers) == [name.lower() for name in headers]


def test_query_values_are_decoded_and_empty_ones_are_dropped(server: AppServer, app: func.FunctionApp) -> None:
    app.route("echo")(echo)
    client = server.serve(app)
    assert client.get("/echo?a=1&b=&c&d=x+y%26%C3%A9").json()["params"] == {"a": "1", "d": "x y&é"}
    assert client.get("/echo").json()["params"] == {}


def test_the_url_is_absolute_with_host_and_query(server: AppServer, app: func.FunctionApp) -> None:
    app.route("echo/{word}")(echo)
    client = server.serve(app, route_prefix="api", access=Access(frozenset({"rollbook.example"})))
    assert client.get("/api/echo/a%20b?x=1&y=").json()["url"] == f"{client.base_url}/api/echo/a%20b?x=1&y="
    named = client.get("/api/echo/a", headers={"Host": "rollbook.example:8080"})
    assert named.json()["url"] == "http://rollbook.example:8080/api/echo/a"


@pytest.mark.parametrize("sent", [b"", bytes(range(256)), bytes(range(256)) * 4096], ids=["none", "short", "long"])
def test_a_body_reaches_the_function_byte_by_byte(server: AppServer, app: func.FunctionApp, sent: bytes) -> None:
    bodies = []

    @app.route("take")
    def take(req: func.HttpRequest) -> func.HttpResponse:
        bodies.append(req.get_body())
        return func.HttpResponse(req.get_body())

    assert server.serve(app).post("/take", content=sent).content == sent
    assert bodies == [sent]


def test_a_body_that_is_sent_in_chunks_arrives_whole(server: AppServer, app: func.FunctionApp) -> None:
    @app.route("take")
    def take(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(req.get_body())

    chunks = [b"first", b"x" * 300_000, b"last"]
    response = server.serve(app).post("/take", content=iter(chunks))
    assert response.request.headers["transfer-encoding"] == "chunked"
    assert response.content == b"".join(chunks)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_rejected_before_the_function(
    server: AppServer, app: func.FunctionApp, monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    lengths = []

    @app.route("take")
    def take(req: func.HttpRequest) -> func.HttpResponse:
        lengths.append(len(req.get_body()))
        return func.HttpResponse()

    def post(length: int) -> httpx.Response:
        body = b"x" * length
        return client.post("/take", content=iter([body]) if chunked else body)

    assert requests.BODY_BYTES_MAX == 100 * 1024 * 1024
    monkeypatch.setattr(requests, "BODY_BYTES_MAX", 2_000_000)
    client = server.serve(app)
    assert post(2_000_000).status_code == 200
    rejected = post(2_000_001)
    assert (rejected.status_code, rejected.content) == (413, b"")
    assert post(10_000_000).status_code == 413
    assert post(1).status_code == 200
    assert lengths == [2_000_000, 1]


@pytest.mark.parametrize(
    "half",
    [b"Content-Length: 8\r\n\r\n", b"Content-Length: 8\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"],
)
def test_half_a_body_never_reaches_the_function(server: AppServer, app: func.FunctionApp, half: bytes) -> None:
    bodies = []

    @app.route("take")
    def take(req: func.HttpRequest) -> func.HttpResponse:
        bodies.append(req.get_body())
        return func.HttpResponse()

    client = server.serve(app, threads=1)
    server.exchange(b"POST /take HTTP/1.1\r\nHost: localhost\r\n" + half, leave=True)
    assert client.post("/take", content=b"whole").status_code == 200
    assert bodies == [b"whole"]


def test_a_body_that_is_not_read_does_not_disturb_the_next_request(server: AppServer, app: func.FunctionApp) -> None:
    add(app, "greet", methods=["GET"])
    client = server.serve(app)
    for _ in range(3):
        assert client.post("/greet", content=b"GET /greet HTTP/1.1\r\n\r\n" * 50_000).status_code == 404
        assert client.get("/greet").text == "greet"
