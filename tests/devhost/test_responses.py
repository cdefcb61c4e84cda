"""Responses are sent as by the Azure Functions host, over persistent connections."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path

import azure.functions as func
import httpx
import pytest

from devhost.indexing import read_custom_headers
from tests.devhost.server import AppServer, add


def test_a_str_is_sent_as_plain_text(server: AppServer, app: func.FunctionApp) -> None:
    @app.route("say")
    def say(req: func.HttpRequest) -> str:
        return "é"

    response = server.serve(app).get("/say")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.content == "é".encode()


@pytest.mark.parametrize("value", [None, {"a": 1}, b"bytes", 200], ids=repr)
def test_a_result_of_another_type_is_an_empty_500(server: AppServer, app: func.FunctionApp, value: object) -> None:
    @app.route("plain")
    def plain(req: func.HttpRequest) -> object:
        return value

    @app.route("awaited")
    async def awaited(req: func.HttpRequest) -> object:
        return value

    client = server.serve(app)
    for path in ("/plain", "/awaited"):
        response = client.get(path)
        assert (response.status_code, response.content) == (500, b"")


def test_status_headers_mimetype_and_charset_of_a_response_arrive(server: AppServer, app: func.FunctionApp) -> None:
    @app.route("table")
    def table(req: func.HttpRequest) -> func.HttpResponse:
        response = func.HttpResponse(
            "é;1", status_code=HTTPStatus.ACCEPTED, headers={"X-Kind": "Test"}, mimetype="text/csv", charset="latin-1"
        )
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2")
        return response

    response = server.serve(app).get("/table")
    assert response.status_code == 202
    assert response.headers["x-kind"] == "Test"
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.headers["content-type"] == "text/csv; charset=latin-1"
    assert response.content == "é;1".encode("latin-1")


def test_only_text_has_a_charset(server: AppServer, app: func.FunctionApp) -> None:
    @app.route("object")
    def respond(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse("{}", mimetype="application/json")

    assert server.serve(app).get("/object").headers.get_list("content-type") == ["application/json"]


def test_a_content_type_header_comes_before_the_mimetype(server: AppServer, app: func.FunctionApp) -> None:
    @app.route("page")
    def page(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse("<p>", headers={"Content-Type": "text/html"}, mimetype="text/csv")

    assert server.serve(app).get("/page").headers.get_list("content-type") == ["text/html"]


def test_every_response_has_the_custom_headers_of_host_json_once(
    server: AppServer, app: func.FunctionApp, tmp_path: Path
) -> None:
    @app.route("own")
    def own(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse("own", headers={"x-frame-options": "DENY"})

    add(app, "greet")
    custom = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN"}
    host_json = tmp_path / "host.json"
    host_json.write_text(json.dumps({"extensions": {"http": {"customHeaders": custom}}}), "utf-8")
    client = server.serve(app, headers=read_custom_headers(host_json))
    responses = [client.get("/greet"), client.get("/nowhere"), client.get("/greet", headers={"host": "other.example"})]
    assert [response.status_code for response in responses] == [200, 404, 403]
    for response in responses:
        assert response.headers.get_list("x-content-type-options") == ["nosniff"]
        assert response.headers.get_list("x-frame-options") == ["SAMEORIGIN"]
    assert client.get("/own").headers.get_list("x-frame-options") == ["DENY"]


def test_a_connection_serves_request_after_request(server: AppServer, app: func.FunctionApp) -> None:
    add(app, "greet")
    client = server.serve(app)

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


def test_pipelined_requests_are_served_in_order(server: AppServer, app: func.FunctionApp) -> None:
    @app.route("plain")
    def plain(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(b"[plain " + req.get_body() + b"]")

    @app.route("awaited")
    async def awaited(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse("[awaited]")

    server.serve(app)
    received = server.exchange(
        b"POST /plain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1"
        b"GET /awaited HTTP/1.1\r\nHost: localhost\r\n\r\n"
        b"POST /plain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n2"
        b"GET /awaited HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 4
    assert re.findall(rb"\[.*?\]", received) == [b"[plain 1]", b"[awaited]", b"[plain 2]", b"[awaited]"]
