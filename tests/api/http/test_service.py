"""Every keyword of an endpoint's declaration, over HTTP, with the toy service."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from api.http.responses import Response
from api.http.service import Service
from domain.errors import InvalidError
from persistence.database import connections
from tests.api.http import toy
from tests.api.http.toy import journal
from tests.support.serving import serving_service

TOKEN = {"Authorization": "Bearer asha"}


@pytest.fixture(scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving_service(toy.service, tmp_path_factory.mktemp("settings")) as client:
        yield client


@pytest.fixture
def client(_client: httpx.Client, database_file: Path) -> httpx.Client:
    with connections.transaction() as connection:
        connection.exec_driver_sql(toy.TABLE)
    journal.entries.clear()
    journal.races, journal.is_signed_out = 0, False
    return _client


def notes() -> list[tuple[str, str]]:
    """The owner and the text of each stored note."""
    with connections.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT owner, text FROM toy_notes ORDER BY id")]


def problem(response: httpx.Response) -> tuple[int, str, list[str]]:
    """The status, the code and the pointers of a problem."""
    body = response.json()
    return response.status_code, body["type"].rpartition("/")[2], [error["pointer"] for error in body["errors"]]


# ---- parts of a request


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/toy/notes/1", (404, "note-not-found", [])),
        ("/toy/notes/first", (404, "note-not-found", [])),
        ("/toy/notes/1?limit=x", (400, "request-invalid", ["/query/limit"])),
        ("/toy/notes/first?limit=x", (400, "request-invalid", ["/query/limit"])),
        ("/toy/notes/1?limit=1&limit=2", (400, "request-invalid", ["/query/limit"])),
        ("/toy/notes/1?other=1&limit=-1", (400, "request-invalid", ["/query/limit", "/query/other"])),
        ("/toy/notes/1?code=function-key", (404, "note-not-found", [])),
    ],
)
def test_a_query_and_a_path_are_parsed_in_one_pass(client: httpx.Client, path: str, expected: Any) -> None:
    status, code, pointers = problem(client.get(path, headers=TOKEN))
    assert (status, code, sorted(pointers)) == expected


def test_headers_are_read_by_a_model(client: httpx.Client) -> None:
    client.post("/toy/notes", json={"text": "a"}, headers=TOKEN)
    journal.entries.clear()
    assert client.get("/toy/notes/1?limit=3", headers={**TOKEN, "If-Match": "abc"}).status_code == 200
    assert journal.entries == ["3 abc"]
    response = client.get("/toy/notes/1?limit=x", headers={**TOKEN, "If-Match": "too long"})
    assert problem(response) == (400, "request-invalid", ["/query/limit", "/headers/if-match"])


def test_an_array_is_a_body_whose_violations_name_positions(client: httpx.Client) -> None:
    response = client.post("/toy/batch/7", json=[{"text": "a"}, {"text": 1}, {"text": "c", "nubmer": 1}])
    assert problem(response) == (400, "body-invalid", ["/1/text", "/2/nubmer"])
    assert problem(client.post("/toy/batch/7", json={"text": "a"})) == (400, "body-not-array", [])
    assert problem(client.post("/toy/batch/x", json=[{"text": 1}])) == (400, "body-invalid", ["/0/text", "/path/shelf"])
    assert notes() == []
    response = client.post("/toy/batch/7", json=[{"text": "a"}, {"text": "b"}])
    assert (response.json(), response.headers["content-type"]) == ([1, 2], "application/vnd.toy+json")


def test_a_function_parses_a_body_in_place_of_a_model(client: httpx.Client) -> None:
    assert client.post("/toy/signal", content="1 2 3").json()["sum"] == 6
    assert problem(client.post("/toy/signal", content="1 x 3 y")) == (
        400,
        "body-invalid",
        ["/signal/1", "/signal/3"],
    )
    assert problem(client.post("/toy/signal")) == (400, "not-digits", [])
    assert problem(client.post("/toy/signal", content="1" * 51)) == (413, "body-too-large", [])


FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        ("username=a&password=b&grant_type=c", FORM, (429, "too-many-notes", [])),
        ("username=a", FORM, (400, "body-invalid", ["/password"])),
        ("username=a&password=b&username=c", FORM, (400, "body-invalid", ["/username"])),
        ("username=%ff&password=b", FORM, (400, "body-not-form", [])),
        (b"username=\xff&password=b", FORM, (400, "body-not-form", [])),
        ("username=a&password=b", {"Content-Type": "text/plain"}, (400, "body-not-form", [])),
        ("username=a&password=b", {}, (400, "body-not-form", [])),
    ],
)
def test_a_form_is_read_by_a_model(client: httpx.Client, content: Any, headers: Any, expected: Any) -> None:
    assert problem(client.post("/toy/login", content=content, headers=headers)) == expected


def test_a_body_that_is_not_declared_is_rejected_unless_ignored(client: httpx.Client) -> None:
    assert client.put("/toy/any", content="{not JSON").status_code == 200
    assert client.patch("/toy/any").status_code == 200
    assert client.post("/toy/any").status_code == 404
    admin = {"Authorization": "Bearer admin"}
    assert client.post("/toy/bare", headers=admin).json() == {"name": "admin"}
    assert problem(client.post("/toy/bare", headers=admin, content="{}")) == (400, "body-not-expected", [])
    chunked = client.post("/toy/bare", headers={**admin, "Transfer-Encoding": "chunked"}, content=iter([b""]))
    assert problem(chunked) == (411, "length-required", [])


# ---- authentication, checks, and what comes before the transaction


def test_authentication_comes_first_and_names_the_caller(client: httpx.Client) -> None:
    response = client.post("/toy/notes", content="{not JSON")
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert problem(client.post("/toy/bare", headers=TOKEN, content="{}")) == (403, "role-required", [])
    journal.races = 2  # in the database of the authentication: retried
    response = client.post("/toy/notes", json={"text": "a"}, headers=TOKEN)
    assert response.json() == {"id": 1, "text": "a by account:asha"}
    assert notes() == [("asha", "a by account:asha")]


def test_check_comes_before_the_lock_and_before_the_transaction(client: httpx.Client, statements: list[str]) -> None:
    response = client.post("/toy/notes", json={"text": "out of range"}, headers=TOKEN)
    assert problem(response) == (400, "out-of-range", ["/text"])
    assert journal.entries == ["check"]
    assert statements == ["SELECT 1"]


def test_before_runs_once_though_the_transaction_is_retried(client: httpx.Client) -> None:
    response = client.post("/toy/notes", json={"text": "loses twice"}, headers=TOKEN)
    assert response.status_code == 201
    assert journal.entries == ["check", "before", "handler", "handler", "handler"]
    assert len(notes()) == 1


def test_before_runs_again_after_a_database_error(client: httpx.Client) -> None:
    assert client.post("/toy/notes", json={"text": "unavailable"}, headers=TOKEN).status_code == 201
    assert journal.entries == ["check", "before", "before", "handler"]


def test_writes_of_before_stay_though_the_call_fails(client: httpx.Client) -> None:
    for count in (1, 2):
        response = client.post("/toy/login", content="username=a&password=b", headers=FORM)
        assert (response.status_code, response.headers["retry-after"]) == (429, str(count))
    assert notes() == [("a", "failure")] * 2
    assert journal.entries == ["verify a 1", "verify a 2"]


def test_a_retried_call_checks_its_caller_again(client: httpx.Client, statements: list[str]) -> None:
    assert client.post("/toy/notes", json={"text": "loses twice"}, headers=TOKEN).status_code == 201
    assert statements.count("SELECT 1") == 3
    for headers in (TOKEN, {**TOKEN, "Idempotency-Key": "k"}):
        journal.is_signed_out = False
        response = client.post("/toy/notes", json={"text": "signs out"}, headers=headers)
        assert problem(response) == (401, "no-token", [])
    assert len(notes()) == 1


def test_an_endpoint_adds_members_to_every_problem_of_a_status(client: httpx.Client) -> None:
    response = client.post("/toy/login", content="username=a", headers=FORM)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert client.post("/toy/login", json={}).json()["error"] == "invalid_request"
    assert "error" not in client.post("/toy/login", content="username=a&password=b", headers=FORM).json()


def test_writes_may_depend_on_the_request(client: httpx.Client) -> None:
    with connections.transaction():  # a writer would wait for this one
        response = client.post("/toy/notes", json={"text": "a", "dry_run": True}, headers=TOKEN, timeout=5)
    assert (response.status_code, response.json()) == (200, {"id": 0, "text": "a"})
    assert notes() == []


def test_a_failed_handler_leaves_nothing_and_says_what_it_declares(client: httpx.Client) -> None:
    response = client.post("/toy/notes", json={"text": "taken"}, headers=TOKEN)
    assert problem(response) == (409, "text-taken", ["/text"])
    assert response.json()["notes"] == [1]
    assert notes() == []
    response = client.post("/toy/batch/7", json=[{"text": "a"}, {"text": "a"}])
    assert response.json()["errors"] == [{"pointer": "/1/text", "code": "text-twice", "detail": "Twice.", "shelf": 7}]


def test_an_error_finds_its_field_in_a_nested_object(client: httpx.Client) -> None:
    assert problem(client.post("/toy/nested", json={"note": {"text": "a"}})) == (409, "text-taken", ["/note/text"])


def test_render_makes_bytes_after_the_connection_was_given_back(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/toy/notes", json={"text": "a"}, headers=TOKEN)
    response = client.get("/toy/notes/1", headers=TOKEN)
    assert (response.text, response.headers["content-type"]) == ("a by account:asha", "text/plain; charset=utf-8")


# ---- idempotency


@pytest.mark.parametrize(
    ("path", "same", "other"),
    [
        ("/toy/notes", [{"json": {"text": "a"}}, {"content": b' {"text":"a"}'}], {"json": {"text": "b"}}),
        ("/toy/batch/1", [{"json": [{"text": "a"}]}, {"content": b'[ {"text":"a"}]'}], {"json": [{"text": "b"}]}),
        ("/toy/signal", [{"content": b"1 2"}], {"content": b"1  2"}),
    ],
)
def test_a_key_replays_status_body_media_type_and_headers(
    client: httpx.Client, path: str, same: list[Any], other: Any
) -> None:
    headers = {**TOKEN, "Idempotency-Key": "k"}
    first, *again = [client.post(path, headers=headers, **request) for request in (*same, same[0])]
    assert first.status_code in (200, 201)
    for response in again:
        assert response.status_code == first.status_code
        assert response.content == first.content
        for name in ("content-type", "location"):
            assert response.headers.get(name) == first.headers.get(name)
    assert journal.entries.count("before") == (1 if path == "/toy/notes" else 0)
    assert problem(client.post(path, headers=headers, **other)) == (409, "idempotency-key-reused", [])
    assert len(notes()) == 1


def test_the_path_is_part_of_a_keyed_request(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k"}
    assert client.post("/toy/batch/1", json=[], headers=headers).status_code == 200
    response = client.post("/toy/batch/2", json=[], headers=headers)
    assert problem(response) == (409, "idempotency-key-reused", [])


# ---- settings, OpenAPI, declarations


def test_every_response_of_a_served_service_is_checked(database_file: Path, tmp_path: Path) -> None:
    service = Service("other")
    service.endpoint(route="other/{id}", ignore_body=True)(lambda: Response({}))
    with serving_service(service, tmp_path) as client, pytest.raises(AssertionError, match=r"^POST /other/1 .* only "):
        client.post("/other/1")


def test_a_service_gets_its_section_of_the_settings(database_file: Path, tmp_path: Path) -> None:
    with connections.transaction() as connection:
        connection.exec_driver_sql(toy.TABLE)
    with serving_service(toy.service, tmp_path, TOY_SHOUTING="on") as client:
        response = client.post("/toy/notes", json={"text": "a"}, headers=TOKEN)
    assert response.json()["text"] == "A BY ACCOUNT:ASHA"


def test_openapi_describes_every_part(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    paths = document["paths"]
    assert set(paths["/toy/any"]) == {"put", "patch"}
    assert {operation["operationId"] for operation in paths["/toy/any"].values()} == {"toy_any", "toy_any_patch"}
    assert document["components"]["schemas"]["Done"]["properties"] == {"done": {"minimum": 1, "type": "integer"}}
    get, add = paths["/toy/notes/{note_id}"]["get"], paths["/toy/notes"]["post"]
    places = [(parameter["name"], parameter["in"], parameter["required"]) for parameter in get["parameters"]]
    assert places == [
        ("note_id", "path", True),
        ("limit", "query", False),
        ("code_word", "query", False),
        ("if-match", "header", False),
    ]
    assert get["responses"]["200"]["content"] == {"text/plain": {"schema": {"type": "string"}}, "image/png": {}}
    assert get["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["bearer"] == {"type": "http", "scheme": "bearer"}
    assert "WWW-Authenticate" in get["responses"]["401"]["headers"]
    assert "/problems/note-not-found" in orjson.dumps(get["responses"]["404"]).decode()
    assert "Location" in add["responses"]["201"]["headers"]
    assert [parameter["name"] for parameter in add["parameters"]] == ["Idempotency-Key"]
    login = paths["/toy/login"]["post"]
    assert list(login["requestBody"]["content"]) == ["application/x-www-form-urlencoded"]
    assert login["security"] == []
    assert login["responses"]["429"]["headers"]["Retry-After"]["required"]
    assert (
        paths["/toy/batch/{shelf}"]["post"]["requestBody"]["content"]["application/json"]["schema"]["type"] == "array"
    )
    assert not [path for path in paths if "nightly" in path]  # a timer has no path


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"idempotent": True}, "idempotent"),
        ({"writes": True, "idempotent": True, "render": bytes}, "idempotent"),
        ({"body": toy.Note, "ignore_body": True}, "ignore_body"),
        ({"body": toy.Note, "form": toy.SignIn}, "form"),
        ({"before": lambda conection: conection}, "conection"),
    ],
)
def test_a_declaration_that_cannot_work_fails_at_import(declared: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Service("x").endpoint(**declared)(lambda: None)


def test_a_handler_may_only_have_known_parameters() -> None:
    with pytest.raises(TypeError, match="prepared"):
        Service("x").endpoint()(lambda prepared: prepared)


def test_errors_at_the_edge_are_logged_by_code(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="rollbook"):
        client.get("/toy/notes/1", headers=TOKEN)
    assert caplog.messages[-1].startswith("toy_get refused 404 ")
    assert caplog.messages[-1].endswith(" note-not-found")
    assert issubclass(toy.NotDigitsError, InvalidError)
