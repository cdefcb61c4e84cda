"""The conformance check of other tests finds every kind of difference between response and document."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

import settings
from api.http.openapi import build_document
from api.http.problems import TITLES
from api.http.responses import Response, Returns
from api.http.service import Service
from tests.api.http import toy
from tests.conformance import BODY_BYTES_MAX, Conformance

Break = Callable[[dict[str, Any]], Any]
USER = {"full_name": "Asha Rao", "mob_num": "9876543210", "pan_num": "ABCPE1234F"}


def _responses(document: dict[str, Any], path: str, method: str = "post") -> dict[str, Any]:
    responses: dict[str, Any] = document["paths"][path][method]["responses"]
    return responses


def _types(document: dict[str, Any], path: str, status: str) -> list[str]:
    schema = _responses(document, path)[status]["content"]["application/problem+json"]["schema"]
    types: list[str] = schema["allOf"][1]["properties"]["type"]["enum"]
    return types


@pytest.fixture
def broken(conformance: Conformance) -> Callable[[Break], Conformance]:
    """A function that returns a check against the document with one change."""

    def make(change: Break) -> Conformance:
        document = copy.deepcopy(conformance.document)
        change(document)
        return Conformance(document)

    return make


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda document: _responses(document, "/create_user").pop("201"), "only 200, 400, "),
        (lambda document: document["components"]["schemas"]["UserRecord"]["properties"].pop("pan_num"), "/user: "),
        (lambda document: document["components"]["schemas"]["CreatedUser"]["required"].append("id"), '"id"'),
        (
            lambda document: document["components"]["schemas"]["UserRecord"]["properties"]["manager_id"]["anyOf"].pop(),
            "/user/manager_id: ",
        ),
        (
            lambda document: _responses(document, "/create_user")["201"].update(content={"text/html": {}}),
            "content type application/json",
        ),
        (
            lambda document: _responses(document, "/create_user")["201"].update(
                headers={"X-Unknown": {"required": True, "schema": {}}}
            ),
            "X-Unknown",
        ),
        (lambda document: document["components"]["schemas"].pop("UserRecord"), "UserRecord"),
    ],
)
def test_a_success_that_is_not_described_fails(
    api: Any, broken: Callable[[Break], Conformance], change: Break, reason: str
) -> None:
    response = api.post("create_user", USER)
    with pytest.raises(AssertionError, match=r"^POST /create_user returned 201, which .*" + re.escape(reason)):
        broken(change).check(response)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda document: _responses(document, "/delete_user").pop("404"), "only 200, "),
        (lambda document: _types(document, "/delete_user", "404").remove("/problems/user-not-found"), "/type: "),
        (lambda document: document["components"]["schemas"]["Problem"]["properties"].pop("instance"), "instance"),
        (lambda document: document["components"]["schemas"]["Violation"]["properties"].pop("code"), "/errors/0: "),
    ],
)
def test_a_problem_that_is_not_described_fails(
    api: Any, broken: Callable[[Break], Conformance], change: Break, reason: str
) -> None:
    response = api.post("delete_user", {"mob_num": "9876543210"})
    with pytest.raises(AssertionError, match=r"^POST /delete_user returned 404, which .*" + re.escape(reason)):
        broken(change).check(response)


def _response(status: int, content: bytes, content_type: str, **headers: str) -> httpx.Response:
    request = httpx.Request("POST", "http://localhost/get_users")
    return httpx.Response(status, content=content, headers={"Content-Type": content_type, **headers}, request=request)


VIOLATION = {"pointer": "/limit", "code": "out-of-range", "detail": "This is too small."}


def _problem(status: int, **members: Any) -> bytes:
    problem = {"type": "/problems/body-invalid", "title": TITLES[status], "status": status, "detail": "No."}
    return orjson.dumps({**problem, "instance": "", "errors": [VIOLATION], **members})


def _user_page(**fields: Any) -> bytes:
    user_id = "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"
    times = {"created_at": "2026-01-01T00:00:00.000000Z", "updated_at": None}
    user = {"user_id": user_id, "manager_id": None, **USER, **times, "is_active": True, **fields}
    return orjson.dumps({"users": [user]})


def test_responses_as_described_pass(conformance: Conformance) -> None:
    before = [conformance.checked.get(("get_users", status), 0) for status in ("200", "400")]
    conformance.check(_response(200, _user_page(), "application/json"))
    conformance.check(_response(400, _problem(400), "application/problem+json"))
    assert [conformance.checked[("get_users", status)] for status in ("200", "400")] == [one + 1 for one in before]


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (_response(200, b'{"users": []', "application/json"), "JSONDecodeError"),
        (_response(200, b"", "application/json"), "JSONDecodeError"),
        (_response(200, b'{"users": [{}]}', "application/json"), "/users/0: "),
        (_response(200, b'{"users": []}', "text/plain"), "content type text/plain"),
        (_response(401, b"", "text/plain"), "content type text/plain"),
        (_response(500, b"", "application/problem+json"), "JSONDecodeError"),
        (_response(503, b"{}", "application/problem+json"), "no header Retry-After"),
        (_response(503, b"{}", "application/problem+json", **{"Retry-After": "soon"}), "Retry-After: soon"),
        (_response(503, b"{}", "application/problem+json", **{"Retry-After": "5"}), '"type" is a required property'),
        (_response(418, b"", "text/plain"), "only 200, "),
        (_response(200, b'{"users": [], "total": 0}', "application/json"), "'total' was unexpected"),
        (_response(200, _user_page(user_id="1"), "application/json"), '/users/0/user_id: "1" is not a "uuid"'),
        (_response(200, _user_page(updated_at="now"), "application/json"), "/users/0/updated_at: "),
        (_response(200, _user_page(id=1), "application/json"), "/users/0: .*'id' was unexpected"),
        (_response(500, _problem(500), "application/problem+json"), "/type: "),
        (_response(500, _problem(400, type="/problems/internal-error"), "application/problem+json"), "/status: "),
        (_response(400, _problem(400, title="Internal error"), "application/problem+json"), "/title: "),
        (_response(400, _problem(400, hint=""), "application/problem+json"), "'hint' was unexpected"),
        (_response(400, _problem(400, errors=[{**VIOLATION, "value": 1}]), "application/problem+json"), "/errors/0: "),
        (_response(400, _problem(400, extra_keys=["x"]), "application/problem+json"), "'extra_keys' was unexpected"),
        (_response(400, _problem(400, not_found=["1"]), "application/problem+json"), "'not_found' was unexpected"),
        (_response(400, _problem(400, more=1), "application/problem+json"), "/errors: "),
        (_response(400, _problem(400, errors=[VIOLATION] * 101), "application/problem+json"), "/errors: "),
        (_response(400, _problem(400, errors=[VIOLATION] * 100, more=0), "application/problem+json"), "/more: "),
    ],
)
def test_any_other_difference_fails(conformance: Conformance, response: httpx.Response, reason: str) -> None:
    with pytest.raises(AssertionError, match=rf"^POST /get_users returned {response.status_code}, which .*{reason}"):
        conformance.check(response)


@pytest.mark.parametrize(
    ("status", "code", "member"), [(400, "bulk-update-keys", "extra_keys"), (404, "users-not-found", "not_found")]
)
def test_a_code_that_declares_a_member_has_that_one_and_no_other(
    conformance: Conformance, status: int, code: str, member: str
) -> None:
    def check(**members: Any) -> None:
        content = _problem(status, **{"type": f"/problems/{code}", "errors": [], **members})
        response = _response(status, content, "application/problem+json")
        response.request = httpx.Request("POST", "http://localhost/update_user")
        conformance.check(response)

    check(**{member: ["x"]})
    wrong: list[dict[str, object]] = [{}, {member: []}, {member: [1]}, {"extra_keys": ["x"], "not_found": ["x"]}]
    for members in wrong:
        with pytest.raises(AssertionError, match=rf"^POST /update_user returned {status}, which "):
            check(**members)
    other = {"extra_keys": "/problems/body-invalid", "not_found": "/problems/user-not-found"}[member]
    with pytest.raises(AssertionError, match=f"/{member}: |/type: "):
        check(type=other, **{member: ["x"]})


def test_every_response_to_the_client_is_checked(api: Any, conformance: Conformance) -> None:
    def checked() -> list[int]:
        return [conformance.checked.get(key, 0) for key in (("create_user", "201"), ("balance", "200"))]

    before = checked()
    api.post("create_user", USER)
    api.client.get("/balance")
    assert checked() == [number + 1 for number in before]


def test_a_response_that_is_not_described_fails_the_call(
    api: Any, conformance: Conformance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(_responses(conformance.document, "/balance", "get"), "200")
    with pytest.raises(AssertionError, match=r"^GET /balance returned 200, "):
        api.client.get("/balance")


def test_an_operation_that_is_not_described_is_not_checked(api: Any, conformance: Conformance) -> None:
    before = dict(conformance.checked)
    for method, path in (("GET", "/create_user"), ("HEAD", "/balance"), ("POST", "/unknown"), ("HEAD", "/flushDB")):
        api.client.request(method, path)
    assert conformance.checked == before


def test_the_body_of_a_large_success_is_not_validated(conformance: Conformance) -> None:
    content = b'{"users": [' + b"{}," * (BODY_BYTES_MAX // 3) + b"{}]}"
    conformance.check(_response(200, content, "application/json"))


# ---- paths with parameters, further media types, headers


@pytest.fixture
def of_toy() -> Conformance:
    """A check against the document of the toy service."""
    configured = settings.load({}, Path("does-not-exist"))
    return Conformance(build_document(toy.service.build(replace(configured, services=())).endpoints))


def _sent(method: str, path: str, status: int, content: bytes, **headers: str) -> httpx.Response:
    request = httpx.Request(method, f"http://localhost{path}")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=content, headers=named, request=request)


TEXT, PNG, PROBLEM = "text/plain; charset=utf-8", "image/png", "application/problem+json"
NOTE = b'{"id":1,"text":"a"}'


@pytest.mark.parametrize(
    ("operation", "response"),
    [
        ("toy_get", _sent("GET", "/toy/notes/1", 200, "é".encode(), content_type=TEXT)),
        ("toy_get", _sent("GET", "/toy/notes/1?limit=1", 200, b"", content_type=TEXT)),
        ("toy_get", _sent("GET", "/toy/notes/x%20y", 200, b"\x89PNG", content_type=PNG)),
        ("toy_add_many", _sent("POST", "/toy/batch/7", 200, b"[1]", content_type="application/vnd.toy+json")),
        ("toy_add", _sent("POST", "/toy/notes", 201, NOTE, content_type="application/json", location="/1")),
    ],
)
def test_described_paths_media_types_and_headers_pass(
    of_toy: Conformance, operation: str, response: httpx.Response
) -> None:
    of_toy.check(response)
    assert of_toy.checked == {(operation, str(response.status_code)): 1}


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (_sent("GET", "/toy/notes/1", 200, b"\xff", content_type=TEXT), "UnicodeDecodeError"),
        (_sent("GET", "/toy/notes/1", 200, b"a", content_type="text/html"), "content type text/html"),
        (_sent("GET", "/toy/notes/1", 200, b"a", content_type="text/plain; charset=latin-1"), "charset=latin-1"),
        (_sent("GET", "/toy/notes/1", 200, b"a"), "content type , "),
        (_sent("GET", "/toy/notes/1", 200, b"", content_type=PNG), "no content"),
        (_sent("GET", "/toy/notes/1", 200, b"x", content_type=PNG, x_more="1"), "undescribed headers x-more"),
        (_sent("GET", "/toy/notes/1", 404, b"x", content_type=PNG), "content type image/png"),
        (_sent("GET", "/toy/notes/1", 404, b"{}", content_type=PROBLEM), '"type" is a required property'),
        (_sent("POST", "/toy/batch/7", 200, b'["1"]', content_type="application/vnd.toy+json"), "/0: "),
        (_sent("POST", "/toy/batch/7", 200, b"[1]", content_type="application/json"), "content type application/json"),
        (_sent("POST", "/toy/notes", 200, NOTE, content_type="application/json", location="/1"), "headers location"),
    ],
)
def test_differences_of_paths_media_types_and_headers_fail(
    of_toy: Conformance, response: httpx.Response, reason: str
) -> None:
    with pytest.raises(AssertionError, match=f" returned {response.status_code}, which .*{reason}"):
        of_toy.check(response)


@pytest.mark.parametrize(("errors", "valid"), [([{"shelf": 7}], True), ([{"shelf": "7"}], False), ([{}], False)])
def test_a_member_may_stand_in_a_violation(of_toy: Conformance, errors: list[dict[str, Any]], *, valid: bool) -> None:
    violations = [{**VIOLATION, **members} for members in errors]
    content = _problem(409, type="/problems/text-twice", errors=violations)
    with nullcontext() if valid else pytest.raises(AssertionError, match=r" returned 409, which "):
        of_toy.check(_sent("POST", "/toy/batch/7", 409, content, content_type=PROBLEM))


def test_a_fixed_path_comes_before_a_path_with_a_parameter() -> None:
    service = Service("paths")
    for name, route in (("one", "things/{thing_id}"), ("all_things", "things/all")):
        service.endpoint(name, route=route, methods="GET", returns={200: Returns(None, "", {"text/plain": str})})(
            lambda: Response(b"")
        )
    conformance = Conformance(build_document(service.build(settings.current()).endpoints))
    for path in ("/things/all", "/things/1", "/things/all/1"):
        conformance.check(_sent("GET", path, 200, b"", content_type=TEXT))
    assert conformance.checked == {("all_things", "200"): 1, ("one", "200"): 1}
