"""The content stored under an idempotency key, and which requests count as the same. With endpoints of the tests."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import azure.functions as func
import pytest
from sqlalchemy import insert

from api.http.requests import OPTIONAL, Request
from api.http.responses import Response
from domain.errors import ConflictError
from domain.timestamps import format_timestamp
from persistence.database import connections
from persistence.database.errors import LostRaceError
from persistence.database.idempotency import KEYS
from tests.support.endpoints import Call, serve
from tests.support.keys import balance_of, call, each_route, stored_counts, stored_keys


class _Named(Request):
    name: str = "x"


class _Noted:
    """An idempotent endpoint that inserts a row. Its responses and errors are `outcomes`."""

    def __init__(self, *outcomes: Response | Exception, **declared: Any) -> None:
        self.runs = 0
        self.outcomes = iter(outcomes)
        self.call: Call = serve(self._handler(), **{"body": _Named, **declared}, writes=True, idempotent=True)

    def _handler(self) -> Callable[..., Response]:
        def note(request: Any, connection: connections.Connection) -> Response:
            self.runs += 1
            name = getattr(request, "name", "x")
            row = {"trigger_name": "effect", "idempotency_key": f"{name}-{self.runs}", "caller": ""}
            now = format_timestamp(datetime.now(UTC))
            connection.execute(insert(KEYS), {**row, "request_hash": "0" * 64, "created_at": now})
            outcome = next(self.outcomes, Response({"run": self.runs}, 202))
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return note

    def __call__(self, key: str | None, body: bytes = b"{}", **parts: Mapping[str, str]) -> func.HttpResponse:
        headers = {**parts.pop("headers", {}), **({} if key is None else {"idempotency-key": key})}
        return self.call(body, headers=headers, **parts)

    @staticmethod
    def effects() -> list[str]:
        return [key for operation, key in stored_keys() if operation == "effect"]


@pytest.fixture
def noted(app_database: None) -> _Noted:
    """An endpoint whose calls succeed."""
    return _Noted()


def _content(response: func.HttpResponse) -> tuple[int, bytes, str | None, dict[str, str]]:
    headers = {name: value for name, value in response.headers.items() if name != "Idempotency-Replayed"}
    return response.status_code, response.get_body(), response.mimetype, headers


# ---- what is stored


def test_any_endpoint_that_writes_may_take_keys(noted: _Noted) -> None:
    first, again = noted("key-1"), noted("key-1")
    assert _content(first) == _content(again)
    assert (first.status_code, first.get_body(), first.mimetype) == (202, b'{"run":1}', "application/json")
    assert noted("key-2").get_body() == b'{"run":2}'
    assert noted(None).get_body() == b'{"run":3}'
    assert noted.effects() == ["x-1", "x-2", "x-3"]


@pytest.mark.parametrize(
    "response",
    [
        Response(b'{"a": 1.0}', 201),
        Response([]),
        Response([{"a": "\u00e9"}], 207),
        Response({}),
        Response(b""),
        Response(b"a;b\r\n\xff\x00", 201, "text/csv; charset=latin-1", {"Location": "/toys/1", "X-Toy": 'a"b'}),
        Response({}, headers={"Cache-Control": "private"}),
    ],
)
def test_a_replay_has_the_status_body_media_type_and_headers(app_database: None, response: Response) -> None:
    noted = _Noted(response)
    first, again = noted("key-1"), noted("key-1")
    assert noted.runs == 1
    assert _content(again) == _content(first)
    assert (again.status_code, again.mimetype) == (response.status, response.media_type)
    assert {*again.headers.items()} >= {*response.headers.items()}


@pytest.mark.parametrize("control", [*map(chr, range(1, 0x20)), "\x7f", "\x85", "\u2028"], ids=ascii)
def test_a_key_with_a_control_character_inside_is_a_400(noted: _Noted, control: str) -> None:
    response = noted(f"key{control}1")
    assert response.status_code == 400
    assert b"/problems/idempotency-key-invalid" in response.get_body()
    assert noted.runs == 0
    assert stored_keys() == []


def test_an_invalid_body_leaves_its_key_free(noted: _Noted) -> None:
    assert noted("key-1", b'{"name": 1}').status_code == 400
    assert stored_keys() == []
    assert noted("key-1").status_code == 202


class _ToyError(ConflictError):
    code = "toy"


@pytest.mark.parametrize(("error", "status"), [(ZeroDivisionError(), 500), (_ToyError(), 409), (LostRaceError(), 202)])
def test_a_failure_after_the_effect_stores_neither_effect_nor_key(
    app_database: None, error: Exception, status: int
) -> None:
    noted = _Noted(error)
    response = noted("key-1")
    assert response.status_code == status
    if status != 202:  # a lost race was retried
        assert stored_keys() == []
        response = noted("key-1")
    assert (response.status_code, response.get_body()) == (202, b'{"run":2}')
    assert stored_keys() == [("note", "key-1"), ("effect", "x-2")]


def test_an_unencodable_response_stores_neither_effect_nor_key(app_database: None) -> None:
    noted = _Noted(Response({"a": object()}))
    assert noted("key-1").status_code == 500
    assert stored_keys() == []
    assert noted("key-1").get_body() == b'{"run":2}'


@each_route
@pytest.mark.parametrize("when", ["BEFORE UPDATE", "AFTER UPDATE", "AFTER INSERT"])
def test_a_fault_while_the_response_is_stored_rolls_the_effect_back(
    api: Any, database_file: Path, route: str, when: str
) -> None:
    call(api, "addTransaction")
    before, balance = stored_counts(), balance_of(api)
    connection = sqlite3.connect(database_file)
    connection.execute(f"CREATE TRIGGER fault {when} ON idempotency_keys BEGIN SELECT RAISE(ABORT, 'fault'); END")
    assert call(api, route, "key-1").status_code == 500
    assert (stored_counts(), balance_of(api)) == (before, balance)
    connection.execute("DROP TRIGGER fault")
    connection.close()
    assert call(api, route, "key-1").is_success
    assert stored_counts() == {"addTransaction": (1, 2, 0), "spend": (1, 1, 1)}[route]


# ---- which requests are the same: path, query and the fields that were sent, or the bytes of a raw body


class _Page(Request):
    page: str = "1"


class _Toy(Request):
    toy_id: str


class _Conditions(Request):
    if_match: str = OPTIONAL


class _Inner(Request):
    size: int = 1


class _Box(Request):
    name: str = "x"
    inner: _Inner = OPTIONAL


class _NamedLater(_Named):
    """The model of a later release."""

    color: str = "red"
    note: str = OPTIONAL


class _InnerLater(_Inner):
    color: str = "red"


class _BoxLater(Request):
    """The model of a later release, with its keys in another order."""

    color: str = "red"
    inner: _InnerLater = OPTIONAL
    name: str = "x"


@pytest.mark.parametrize(
    ("now", "later", "body"),
    [
        (_Named, _NamedLater, b"{}"),
        (_Named, _NamedLater, b'{"name": "y"}'),
        (_Box, _BoxLater, b'{"inner": {"size": 2}}'),
        (list[_Named], list[_NamedLater], b'[{"name": "y"}, {}]'),
    ],
)
def test_another_optional_field_in_the_model_keeps_replays(
    app_database: None, now: Any, later: Any, body: bytes
) -> None:
    first = _Noted(body=now)("key-1", body)
    upgraded = _Noted(body=later)
    assert _content(upgraded("key-1", body)) == _content(first)
    assert upgraded.runs == 0


def _path(toy_id: str) -> dict[str, dict[str, str]]:
    return {"path": {"toy_id": toy_id}}


@pytest.mark.parametrize(
    ("declared", "first", "second", "is_same"),
    [
        ({}, {"body": b'{"name": "y"}'}, {"body": b' {"name":"\\u0079"} '}, True),
        ({}, {"body": b'{"name": "y"}'}, {"body": b'{"name": "z"}'}, False),
        ({}, {"body": b"{}"}, {"body": b'{"name": "x"}'}, False),  # a default that was sent
        ({}, {"body": b"{}"}, {"body": b""}, True),  # an absent body is read as an empty object
        ({"body": list[_Named]}, {"body": b'[{"name": "y"}]'}, {"body": b'[ {"name": "y"} ]'}, True),
        ({"body": list[_Named]}, {"body": b'[{"name": "y"}, {}]'}, {"body": b'[{}, {"name": "y"}]'}, False),
        ({"path": _Toy}, _path("1"), _path("1"), True),
        ({"path": _Toy}, _path("1"), _path("2"), False),
        ({"query": _Page}, {"query": {"page": "2"}}, {"query": {"page": "2"}}, True),
        ({"query": _Page}, {"query": {"page": "2"}}, {"query": {"page": "3"}}, False),
        ({"query": _Page}, {"query": {}}, {"query": {"page": "1"}}, False),
        ({"query": _Page}, {"body": b'{"name": "2"}'}, {"query": {"page": "2"}}, False),
        ({"headers": _Conditions}, {"headers": {"if-match": "1"}}, {"headers": {"if-match": "2"}}, True),
        ({"body": list[int], "parse": json.loads}, {"body": b"[1]"}, {"body": b"[1]"}, True),
        ({"body": list[int], "parse": json.loads}, {"body": b"[1]"}, {"body": b"[ 1 ]"}, False),
        ({"body": _Named, "parse": json.loads}, {"body": b"{}"}, {"body": b"{ }"}, False),
    ],
)
def test_a_request_is_the_same_by_path_query_and_body(
    app_database: None, declared: Any, first: Any, second: Any, is_same: bool
) -> None:
    noted = _Noted(**declared)
    response, again = noted("key-1", **first), noted("key-1", **second)
    assert response.status_code == 202
    assert noted.runs == 1
    if is_same:
        assert _content(again) == _content(response)
    else:
        assert again.status_code == 409
        assert b"/problems/idempotency-key-reused" in again.get_body()


class _Form(Request):
    EXAMPLES: ClassVar[dict[str, object]] = {}
    a: str
    b: str


def test_a_form_is_the_same_in_any_order_of_its_fields(app_database: None) -> None:
    noted = _Noted(body=None, form=_Form)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    bodies = (b"a=1&b=2", b"b=2&a=%31", b"a=2&b=1")
    assert [noted("key-1", body, headers=headers).status_code for body in bodies] == [202, 202, 409]
    assert noted.runs == 1
