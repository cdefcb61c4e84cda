"""get_users with user_ids and mob_nums: up to 1,000 users at once."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from api.users import service
from tests.support.serving import serving_service
from tests.support.users import NORTH, SOUTH

MANY: Final = {"user_ids": str(uuid.uuid4()), "mob_nums": "9876543210"}
"""The keys, each with a valid entry."""

each_key = pytest.mark.parametrize("key", MANY)


def _keys(users: list[dict[str, Any]], key: str) -> list[str]:
    return [user[{"user_ids": "user_id", "mob_nums": "mob_num"}[key]] for user in users]


@each_key
def test_the_records_of_these_users_are_listed_and_unknown_ones_left_out(api: Any, key: str) -> None:
    first, second, _ = (api.create(manager_id=NORTH) for _ in range(3))
    api.update([second["user_id"]], manager_id=SOUTH)
    records = api.get(**{key: [*_keys([second, first], key), MANY[key]]})
    assert [(record["user_id"], record["is_active"]) for record in records] == [
        (first["user_id"], True),
        (second["user_id"], False),
        (second["user_id"], True),
    ]
    assert records[0] == first
    assert api.get(**{key: [MANY[key]]}) == []


def test_an_entry_counts_once_in_any_spelling(api: Any) -> None:
    user = api.create(mob_num="9876543210")
    assert api.get(user_ids=[user["user_id"], user["user_id"].upper()]) == [user]
    assert api.get(mob_nums=["9876543210", "+91 98765-43210", "09876543210"]) == [user]


def test_a_number_selects_its_current_holder_only(api: Any) -> None:
    former = api.create(mob_num="9876543210", manager_id=NORTH)
    api.update([former["user_id"]], manager_id=SOUTH)  # the superseded record keeps the number
    api.update([former["user_id"]], mob_num="9876543211")
    assert api.get(mob_nums=["9876543210"]) == []
    holder = api.create(mob_num="9876543210")
    assert api.get(mob_nums=["9876543210"]) == [holder]
    assert {record["user_id"] for record in api.get(mob_nums=["9876543211"])} == {former["user_id"]}


def test_they_combine_with_every_filter_and_with_pages(api: Any) -> None:
    users = [api.create(manager_id=NORTH) for _ in range(3)]
    ids, numbers = _keys(users, "user_ids"), _keys(users, "mob_nums")
    api.update(ids[:2], manager_id=SOUTH)
    assert len(api.get(user_ids=ids)) == 5
    assert len(api.get(user_ids=ids, is_active=False)) == 2
    assert [user["user_id"] for user in api.get(user_ids=ids, manager_id=SOUTH)] == ids[:2]
    assert {user["user_id"] for user in api.get(user_ids=ids[:2], mob_nums=numbers[1:])} == {ids[1]}
    assert {user["user_id"] for user in api.get(mob_nums=numbers, user_id=ids[0])} == {ids[0]}
    assert api.get(user_ids=ids[:1], mob_num=numbers[1]) == []
    page = api.post("get_users", {"user_ids": ids, "limit": 3}).json()
    rest = api.post("get_users", {"user_ids": ids, "limit": 3, "cursor": page["next_cursor"]}).json()
    assert page["users"] + rest["users"] == api.get(mob_nums=numbers)
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"user_ids": []}, [("/user_ids", "user-ids-count")]),
        ({"user_ids": [MANY["user_ids"]] * 1001}, [("/user_ids", "user-ids-count")]),
        ({"user_ids": None}, [("/user_ids", "wrong-type")]),
        ({"user_ids": MANY["user_ids"]}, [("/user_ids", "wrong-type")]),
        ({"user_ids": [MANY["user_ids"]] * 3 + ["x"]}, [("/user_ids/3", "uuid-invalid")]),
        ({"mob_nums": []}, [("/mob_nums", "mob-nums-count")]),
        ({"mob_nums": ["9876543210"] * 1001}, [("/mob_nums", "mob-nums-count")]),
        ({"mob_nums": {}}, [("/mob_nums", "wrong-type")]),
        (
            {"mob_nums": ["9876543210", 5, "12345", None], "user_ids": [1, "x"]},
            [
                ("/mob_nums/1", "wrong-type"),
                ("/mob_nums/2", "mob-num-invalid"),
                ("/mob_nums/3", "wrong-type"),
                ("/user_ids/0", "wrong-type"),
                ("/user_ids/1", "uuid-invalid"),
            ],
        ),
    ],
)
def test_every_invalid_entry_is_named(api: Any, errors_of: Any, body: Any, errors: Any) -> None:
    response = api.post("get_users", body)
    assert response.status_code == 400
    assert errors_of(response) == errors


def test_a_thousand_entries_are_one_statement(api: Any, store_users: Any, count_statements: Callable[[], int]) -> None:
    ids = store_users(1000, NORTH)
    count_statements()
    users = api.get(user_ids=ids)
    assert count_statements() == 1
    assert {user["user_id"] for user in users} == set(ids)
    assert api.get(mob_nums=_keys(users, "mob_nums")) == users


@each_key
def test_they_are_sought(api: Any, plans: Callable[[Callable[[], Any]], list[str]], key: str) -> None:
    user = api.create()
    for filters in ({}, {"is_active": True}, {"is_active": False}, {"limit": 5}):
        steps = plans(lambda: api.get(**{key: _keys([user], key)}, **filters))  # noqa: B023 - called at once
        assert not [step for step in steps if step.startswith(("SCAN users", "SCAN holder"))], steps


@each_key
def test_more_records_than_the_maximum_require_a_limit(api: Any, tmp_path: Path, errors_of: Any, key: str) -> None:
    users = [api.create() for _ in range(3)]
    with serving_service(service, tmp_path, LIST_ROWS_MAX="2") as limited:
        body = {key: _keys(users, key)}
        assert errors_of(limited.post("/get_users", json=body)) == [("/limit", "limit-required")]
        for allowed in ({**body, "limit": 3}, {key: body[key][:2]}, {**body, "user_id": users[0]["user_id"]}):
            assert limited.post("/get_users", json=allowed).status_code == 200
