"""Origins that `Host.CORS` lists may call functions, with the headers that Core Tools sends."""

from __future__ import annotations

import azure.functions as func
import httpx
import pytest

from devhost import requests
from devhost.access import Access
from settings import Cors
from tests.devhost.server import AppServer

ONE, OTHER = "https://app.example", "http://localhost:3000"


def cors_of(response: httpx.Response) -> dict[str, str]:
    """Returns the CORS headers of a response, without their common prefix."""
    return {
        name.removeprefix("access-control-"): value
        for name, value in response.headers.items()
        if name == "vary" or name.startswith("access-control-")
    }


@pytest.fixture
def methods(app: func.FunctionApp) -> list[str]:
    """The methods of the calls of `/any`, which accepts every method."""
    methods: list[str] = []

    @app.route("any")
    def record(req: func.HttpRequest) -> func.HttpResponse:
        methods.append(req.method)
        return func.HttpResponse("called")

    return methods


@pytest.mark.parametrize(
    ("cors", "origin", "headers"),
    [
        (Cors((ONE,)), ONE, {"allow-origin": ONE}),
        (Cors((ONE,)), "HTTPS://App.Example", {"allow-origin": "HTTPS://App.Example"}),
        (Cors((ONE, OTHER)), OTHER, {"allow-origin": OTHER, "vary": "Origin"}),
        (Cors((ONE,), credentials=True), ONE, {"allow-origin": ONE, "allow-credentials": "true"}),
        (Cors(("*",)), ONE, {"allow-origin": "*"}),
        (Cors(("*",)), "null", {"allow-origin": "*"}),
    ],
)
def test_a_listed_origin_gets_its_headers_with_every_response(
    server: AppServer, app: func.FunctionApp, methods: list[str], cors: Cors, origin: str, headers: dict[str, str]
) -> None:
    @app.route("fail")
    def fail(req: func.HttpRequest) -> func.HttpResponse:
        raise ValueError("on purpose")

    client = server.serve(app, access=Access(cors=cors))
    sent = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    for path, status in (("/any", 200), ("/nowhere", 404), ("/fail", 500)):
        response = client.post(path, headers=sent, content=b"{}")
        assert (response.status_code, cors_of(response)) == (status, headers)
    assert methods == ["POST"]


def test_the_413_for_a_large_body_has_cors_headers(
    server: AppServer, app: func.FunctionApp, methods: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "BODY_BYTES_MAX", 1)
    response = server.serve(app, access=Access(cors=Cors((ONE,)))).post("/any", content=b"12", headers={"Origin": ONE})
    assert (response.status_code, cors_of(response)) == (413, {"allow-origin": ONE})
    assert methods == []


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1"])
def test_requests_without_origin_or_of_the_own_one_get_no_headers(
    server: AppServer, app: func.FunctionApp, methods: list[str], origin: str | None
) -> None:
    client = server.serve(app, access=Access(cors=Cors((ONE, OTHER))))
    own = {} if origin is None else {"Origin": f"{origin}:{server.port}"}
    response = client.get("/any", headers=own)
    assert (response.text, cors_of(response)) == ("called", {})


@pytest.mark.parametrize(
    "origin", ["https://app.example.evil", "https://evil.app.example", "http://app.example", "null"]
)
def test_an_origin_that_is_not_listed_is_a_403_without_cors_headers(
    server: AppServer, app: func.FunctionApp, methods: list[str], origin: str
) -> None:
    client = server.serve(app, access=Access(cors=Cors((ONE, OTHER), credentials=True)))
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for response in (client.post("/any", headers={"Origin": origin}), client.options("/any", headers=preflight)):
        assert (response.status_code, cors_of(response)) == (403, {})
    assert methods == []


@pytest.mark.parametrize(
    ("cors", "requested", "headers"),
    [
        (Cors((ONE,)), {}, {"allow-origin": ONE}),
        (Cors((ONE,)), {"Access-Control-Request-Headers": ""}, {"allow-origin": ONE}),
        (
            Cors((ONE, OTHER), credentials=True),
            {"Access-Control-Request-Headers": "content-type, x-functions-key"},
            {
                "allow-origin": ONE,
                "allow-credentials": "true",
                "allow-headers": "content-type,x-functions-key",
                "vary": "Origin",
            },
        ),
        (Cors(("*",)), {"Access-Control-Request-Headers": "a"}, {"allow-origin": "*", "allow-headers": "a"}),
    ],
)
def test_a_preflight_request_is_granted_what_it_asks_for(
    server: AppServer,
    app: func.FunctionApp,
    methods: list[str],
    cors: Cors,
    requested: dict[str, str],
    headers: dict[str, str],
) -> None:
    client = server.serve(app, access=Access(cors=cors))
    for path, method in (("/any", "DELETE"), ("/nowhere", "POST")):
        response = client.options(path, headers={"Origin": ONE, "Access-Control-Request-Method": method, **requested})
        assert (response.status_code, response.content) == (204, b"")
        assert cors_of(response) == {**headers, "allow-methods": method}
        assert not {"content-length", "transfer-encoding", "content-type"} & set(response.headers)
    assert methods == []


def test_other_requests_by_options_reach_the_function(
    server: AppServer, app: func.FunctionApp, methods: list[str]
) -> None:
    client = server.serve(app, access=Access(cors=Cors((ONE,))))
    assert cors_of(client.options("/any", headers={"Origin": ONE})) == {"allow-origin": ONE}
    assert client.options("/any", headers={"Access-Control-Request-Method": "POST"}).text == "called"
    assert methods == ["OPTIONS", "OPTIONS"]


def test_the_headers_replace_those_that_a_function_sets(server: AppServer, app: func.FunctionApp) -> None:
    @app.route("own")
    def own(req: func.HttpRequest) -> func.HttpResponse:
        headers = {"Access-Control-Allow-Origin": "*", "Vary": "Accept", "X-Kind": "test"}
        return func.HttpResponse("called", headers=headers)

    response = server.serve(app, access=Access(cors=Cors((ONE, OTHER)))).get("/own", headers={"Origin": ONE})
    assert response.headers.get_list("access-control-allow-origin") == [ONE]
    assert response.headers.get_list("vary") == ["Accept", "Origin"]
    assert response.headers["x-kind"] == "test"
