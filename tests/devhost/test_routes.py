"""Routes match as on the Azure Functions host."""

from __future__ import annotations

from pathlib import Path

import azure.functions as func
import pytest

from devhost.indexing import read_route_prefix
from tests.devhost.server import AppServer, add, echo

METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


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
def test_routes_begin_with_the_prefix_of_host_json_by_default_api(
    server: AppServer, app: func.FunctionApp, tmp_path: Path, host_json: str | None, path: str
) -> None:
    if host_json is not None:
        (tmp_path / "host.json").write_text(host_json, "utf-8")
    add(app, "greet", "hello")
    client = server.serve(app, route_prefix=read_route_prefix(tmp_path / "host.json"))
    served = {tried: client.get(tried).status_code for tried in ("/hello", "/api/hello", "/public/hello", path)}
    assert served == {tried: 200 if tried == path else 404 for tried in served}


def test_a_function_without_a_route_is_served_at_its_name(server: AppServer, app: func.FunctionApp) -> None:
    add(app, "list_users")
    client = server.serve(app, route_prefix="api")
    assert client.get("/api/list_users").text == "list_users"
    assert client.get("/api/respond").status_code == 404


def test_a_route_parameter_is_one_decoded_segment_in_its_own_case(server: AppServer, app: func.FunctionApp) -> None:
    app.route("items/{id}/parts/{part}")(echo)
    client = server.serve(app)
    assert client.get("/items/7/parts/Ab%20c%C3%A9").json()["route_params"] == {"id": "7", "part": "Ab cé"}
    for path in ("/items/7/parts", "/items/parts/1", "/items/7/parts/1/2", "/more/items/7/parts/1"):
        assert client.get(path).status_code == 404


def test_an_optional_parameter_may_be_missing(server: AppServer, app: func.FunctionApp) -> None:
    app.route("items/{id?}")(echo)
    client = server.serve(app)
    assert client.get("/items/7").json()["route_params"] == {"id": "7"}
    assert client.get("/items").json()["route_params"] == {}
    assert client.get("/items/").json()["route_params"] == {}
    assert client.get("/items/7/8").status_code == 404


def test_a_catch_all_is_the_rest_of_the_path(server: AppServer, app: func.FunctionApp) -> None:
    app.route("files/{*rest}")(echo)
    client = server.serve(app)
    assert client.get("/files/a/b/c.txt").json()["route_params"] == {"rest": "a/b/c.txt"}
    assert client.get("/files/a").json()["route_params"] == {"rest": "a"}
    assert client.get("/files").json()["route_params"] == {}
    assert client.get("/filesystem").status_code == 404


def test_the_first_function_name_of_two_matching_routes_wins(server: AppServer) -> None:
    for exact, wild in (("a", "b"), ("b", "a")):
        app = func.FunctionApp()
        add(app, exact, "users")
        add(app, wild, "{anything}")
        client = server.serve(app)
        assert client.get("/users").text == "a"
        assert client.get("/others").text == wild


def test_a_route_that_does_not_list_the_method_is_passed_over(server: AppServer, app: func.FunctionApp) -> None:
    add(app, "a", "users", ["GET"])
    add(app, "b", "users", ["POST", "PUT"])
    client = server.serve(app)
    assert [client.request(method, "/users").text for method in ("GET", "POST", "PUT")] == ["a", "b", "b"]


@pytest.mark.parametrize("method", [method for method in METHODS if method != "POST"])
def test_a_method_that_is_not_listed_is_not_found(server: AppServer, app: func.FunctionApp, method: str) -> None:
    add(app, "a", "users", ["POST"])
    client = server.serve(app)
    assert client.post("/users").status_code == 200
    response = client.request(method, "/users")
    assert response.status_code == 404
    assert response.content == b""
    assert "allow" not in response.headers


def test_a_path_without_a_function_is_an_empty_404(server: AppServer, app: func.FunctionApp) -> None:
    add(app, "a", "users")
    client = server.serve(app)
    for path in ("/", "/user", "/users/1", "//users", "/api/users"):
        response = client.get(path)
        assert (response.status_code, response.content) == (404, b"")


def test_a_function_without_methods_serves_every_method(server: AppServer, app: func.FunctionApp) -> None:
    app.route("any")(echo)
    client = server.serve(app)
    for method in METHODS:
        response = client.request(method, "/any")
        assert response.status_code == 200
        assert method == "HEAD" or response.json()["method"] == method


def test_the_response_to_head_has_the_length_and_not_the_body(server: AppServer, app: func.FunctionApp) -> None:
    add(app, "greet")
    sent = b"HEAD /greet HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    server.serve(app)
    headers, _, body = server.exchange(sent).partition(b"\r\n\r\n")
    assert b"content-length: 5" in headers
    assert body == b""


def test_paths_match_without_regard_to_case_and_with_a_last_slash(server: AppServer, app: func.FunctionApp) -> None:
    app.route("Items/{id}")(echo)
    client = server.serve(app, route_prefix="Api")
    for path in ("/Api/Items/aB", "/api/items/aB", "/API/ITEMS/aB", "/Api/Items/aB/"):
        assert client.get(path).json()["route_params"] == {"id": "aB"}


def test_a_dot_in_a_route_is_a_dot(server: AppServer, app: func.FunctionApp) -> None:
    add(app, "icon", "favicon.ico")
    client = server.serve(app)
    assert client.get("/favicon.ico").status_code == 200
    assert client.get("/faviconXico").status_code == 404
