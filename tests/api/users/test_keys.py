"""Idempotency keys of users: one effect, and a stored response that goes with the users whose data it has."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from api.http.responses import Response
from persistence.database import connections
from persistence.database.idempotency import KEYS, SWEEP_LIMIT
from persistence.users.tables import CHANGES
from tests.support.endpoints import serve
from tests.support.keys import age_keys, code_of, content_of, store_aged_keys, stored_keys
from tests.support.threads import at_once
from tests.support.users import NORTH

BODY: Final = {"full_name": "Unmistakable", "mob_num": "9876543210", "pan_num": "ABCPE1234F"}
OTHER: Final = {**BODY, "mob_num": "9876543211"}
KEY: Final = {"Idempotency-Key": "key-1"}

Body = dict[str, Any]


def _create(_: Any) -> tuple[Body, Body]:
    return BODY, OTHER


def _update(api: Any) -> tuple[Body, Body]:
    ids = [api.create()["user_id"]]
    return tuple({"user_ids": ids, "update_data": data} for data in ({"manager_id": NORTH}, {"full_name": "New"}))  # type: ignore[return-value]


def _delete(api: Any) -> tuple[Body, Body]:
    return {"mob_num": api.create()["mob_num"]}, {"user_id": api.create()["user_id"]}


each_endpoint = pytest.mark.parametrize(
    ("route", "bodies"), [("create_user", _create), ("update_user", _update), ("delete_user", _delete)]
)


def _call(api: Any, route: str, body: Body, key: str = "key-1") -> httpx.Response:
    response: httpx.Response = api.post(route, body, headers={"Idempotency-Key": key})
    return response


def _changes() -> list[tuple[Any, ...]]:
    with connections.reading() as connection:
        rows = connection.execute(select(CHANGES.c.operation, CHANGES.c.user_id).order_by(CHANGES.c.change_id))
        return [tuple(row) for row in rows]


def _keys(*columns: str) -> list[tuple[Any, ...]]:
    with connections.reading() as connection:
        return [tuple(row) for row in connection.execute(select(*(KEYS.c[name] for name in columns)))]


# ---- replays


@each_endpoint
def test_a_repeated_call_has_one_effect_and_the_same_response(
    api: Any, route: str, bodies: Callable[[Any], tuple[Body, Body]]
) -> None:
    body, _ = bodies(api)
    first = _call(api, route, body)
    assert first.is_success
    assert "idempotency-replayed" not in first.headers
    users, changes = api.get(), _changes()
    for _ in range(2):
        again = _call(api, route, body)
        assert content_of(again) == content_of(first)
        assert again.headers["idempotency-replayed"] == "true"
    assert (api.get(), _changes()) == (users, changes)
    assert stored_keys() == [(route, "key-1")]


@each_endpoint
def test_another_body_under_the_key_is_a_409_and_changes_nothing(
    api: Any, route: str, bodies: Callable[[Any], tuple[Body, Body]]
) -> None:
    body, other = bodies(api)
    first = _call(api, route, body)
    users = api.get()
    assert code_of(_call(api, route, other)) == "idempotency-key-reused"
    assert api.get() == users
    assert content_of(_call(api, route, body)) == content_of(first)


@each_endpoint
def test_16_clients_with_one_key_have_one_effect(
    api: Any, route: str, bodies: Callable[[Any], tuple[Body, Body]]
) -> None:
    body, _ = bodies(api)
    before = len(_changes())
    responses = at_once(16, lambda _: _call(api, route, body))
    assert len({content_of(response) for response in responses}) == 1
    assert sorted(response.headers.get("idempotency-replayed", "") for response in responses) == ["", *["true"] * 15]
    assert len(_changes()) == before + 1


# ---- erasure


@pytest.mark.parametrize("body", [BODY, OTHER])
def test_after_a_deletion_the_key_of_create_is_a_410_for_any_body(api: Any, body: Body) -> None:
    user_id = _call(api, "create_user", BODY).json()["user_id"]
    api.update([user_id], manager_id=NORTH)
    deletion = _call(api, "delete_user", {"user_id": user_id}, "key-2")
    for _ in range(2):
        response = _call(api, "create_user", body)
        assert (response.status_code, code_of(response)) == (410, "response-erased")
        assert "idempotency-replayed" not in response.headers
    assert api.get() == []
    assert content_of(_call(api, "delete_user", {"user_id": user_id}, "key-2")) == content_of(deletion)


def test_a_deletion_empties_the_stored_response_and_its_hashes(api: Any) -> None:
    user_id = _call(api, "create_user", BODY).json()["user_id"]
    other = _call(api, "create_user", OTHER, "key-2")
    api.post("delete_user", {"user_id": user_id})
    erased, kept = _keys("body", "headers", "call_hash", "request_hash")
    assert [value and value.strip() for value in erased] == [None, None, None, ""]
    assert bytes(kept[0]) == other.content
    assert len(kept[2]) == len(kept[3]) == 64


def test_no_column_of_any_table_has_a_value_of_a_deleted_user(api: Any) -> None:
    user_id = _call(api, "create_user", BODY).json()["user_id"]
    renamed = {"full_name": "Renamed", "mob_num": "9876543219", "pan_num": "ABCPE4321F", "manager_id": NORTH}
    _call(api, "update_user", {"user_ids": [user_id], "update_data": renamed})
    _call(api, "delete_user", {"mob_num": "9876543219"})
    stored = []
    with connections.reading() as connection:
        for table in SQLModel.metadata.sorted_tables:
            columns = [column for column in table.c if not column.system]
            for row in connection.execute(select(*columns)):
                stored += [value.decode() if isinstance(value, bytes) else str(value) for value in row]
    text = "\n".join(stored)
    assert user_id in text
    values = [value for body in (BODY, renamed) for name, value in body.items() if name != "manager_id"]
    assert [value for value in values if value in text] == []


def test_an_expired_key_is_free_after_the_erasure_and_names_no_former_user(api: Any) -> None:
    former = _call(api, "create_user", BODY).json()["user_id"]
    age_keys(hours=25)
    store_aged_keys(SWEEP_LIMIT, hours=30)  # older, so that they are purged before it
    holder = _call(api, "create_user", OTHER)
    assert holder.status_code == 201
    api.post("delete_user", {"user_id": former})
    assert content_of(_call(api, "create_user", OTHER)) == content_of(holder)
    api.post("delete_user", {"user_id": holder.json()["user_id"]})
    assert _call(api, "create_user", OTHER).status_code == 410
    age_keys(hours=25)
    assert _call(api, "create_user", OTHER).status_code == 201


@pytest.mark.parametrize("prepared", [False, True])
def test_a_response_of_many_users_goes_with_one_of_them(api: Any, prepared: bool) -> None:
    ids = [api.create()["user_id"] for _ in range(3)]

    def many(connection: connections.Connection) -> Response:
        return Response({"users": ids}, subjects=ids)

    call = serve(many, writes=True, idempotent=True, before=[lambda: None] if prepared else [])
    headers = {"idempotency-key": "key-1"}
    assert [call(headers=headers).status_code for _ in range(2)] == [200, 200]
    api.post("delete_user", {"user_id": ids[1]})
    response = call(headers=headers)
    assert response.status_code == 410
    assert json.loads(response.get_body())["type"] == "/problems/response-erased"


def test_no_stored_response_outlives_its_user_whatever_runs_at_once(api: Any) -> None:
    for number in range(5):
        body = {**BODY, "mob_num": f"987654320{number}"}

        def act(thread: int, key: str = f"key-{number}", body: Body = body) -> tuple[str, int]:
            route = "delete_user" if thread % 3 == 0 else "create_user"
            sent = {"mob_num": body["mob_num"]} if route == "delete_user" else body
            response = _call(api, route, sent, key if route == "create_user" else f"{key}-{thread}")
            return route, response.status_code

        counted = Counter(at_once(12, act))
        assert {*counted} <= {("create_user", 201), ("create_user", 410), ("delete_user", 200), ("delete_user", 404)}
        assert counted["delete_user", 200] <= 1
        for user in api.get():
            api.post("delete_user", {"user_id": user["user_id"]})
        assert _call(api, "create_user", body, f"key-{number}").status_code == 410
    erased = [body for operation, body in _keys("trigger_name", "body") if operation == "create_user"]
    assert erased == [None] * 5


# ---- faults and cost


def test_a_fault_after_the_response_is_stored_leaves_nothing(api: Any, database_file: Path) -> None:
    connection = sqlite3.connect(database_file)
    connection.execute(
        "CREATE TRIGGER fault AFTER INSERT ON stored_response_users BEGIN SELECT RAISE(ABORT, 'fault'); END"
    )
    assert _call(api, "create_user", BODY).status_code == 500
    assert (api.get(), _changes(), stored_keys()) == ([], [], [])
    connection.execute("DROP TRIGGER fault")
    connection.close()
    assert _call(api, "create_user", BODY).status_code == 201


def test_a_key_costs_create_one_statement_more_than_others(api: Any, count_statements: Callable[[], int]) -> None:
    user = api.create()
    create = count_statements()
    api.update([user["user_id"]], manager_id=NORTH)
    update = count_statements()
    _call(api, "update_user", {"user_ids": [api.create()["user_id"]], "update_data": {"manager_id": NORTH}}, "key-0")
    assert count_statements() == create + update + 3
    _call(api, "create_user", BODY)
    assert count_statements() == create + 4
    _call(api, "create_user", BODY)
    assert count_statements() == 4
