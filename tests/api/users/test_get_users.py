"""get_users: its contract, sentence by sentence."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest


def _move(api: Any, user: dict[str, Any], *managers: str) -> None:
    for manager_id in managers:
        assert api.update([user["user_id"]], manager_id=manager_id).status_code == 200


@pytest.mark.parametrize("options", [{}, {"content": b""}, {"content": b"{}"}])
def test_a_body_is_absent_empty_or_an_object(api: Any, options: dict[str, bytes]) -> None:
    user = api.create()
    response = api.post("get_users", **options)
    assert response.status_code == 200
    assert response.json() == {"users": [user]}


def test_no_users_are_an_empty_list(api: Any) -> None:
    assert api.post("get_users").json() == {"users": []}


def test_without_a_filter_superseded_records_are_listed_too(api: Any, managers: list[str]) -> None:
    first, second = api.create(manager_id=managers[0]), api.create()
    _move(api, first, managers[1], managers[2])
    users = api.get()
    assert [user["manager_id"] for user in users] == [*managers[:3], None]
    assert [user["is_active"] for user in users] == [False, False, True, True]
    assert users[-1] == second


def test_a_user_id_selects_the_records_of_that_user_in_either_case(api: Any, managers: list[str]) -> None:
    user = api.create(manager_id=managers[0])
    api.create()
    _move(api, user, managers[1])
    records = api.get(user_id=user["user_id"].upper())
    assert [(record["user_id"], record["is_active"]) for record in records] == [
        (user["user_id"], False),
        (user["user_id"], True),
    ]


def test_a_number_selects_all_records_of_the_user_who_holds_it_now(api: Any, managers: list[str]) -> None:
    user = api.create(manager_id=managers[0], mob_num="9876543210")
    _move(api, user, managers[1])
    for spelling in ("9876543210", "+91 98765 43210", "0 98765-43210", " 98765-43210 "):
        assert [record["is_active"] for record in api.get(mob_num=spelling)] == [False, True]


def test_a_number_selects_no_former_holder(api: Any, managers: list[str]) -> None:
    former = api.create(manager_id=managers[0], mob_num="9876543210")
    _move(api, former, managers[1])  # a superseded row keeps the number
    assert api.update([former["user_id"]], mob_num="9876543211").status_code == 200
    assert api.get(mob_num="9876543210") == []
    holder = api.create(mob_num="9876543210")
    assert api.get(mob_num="9876543210") == [holder]
    assert {record["user_id"] for record in api.get(mob_num="9876543211")} == {former["user_id"]}
    assert len(api.get(mob_num="9876543211")) == 2


def test_a_manager_selects_the_records_that_carry_that_manager(api: Any, managers: list[str]) -> None:
    first, second = api.create(manager_id=managers[0]), api.create(manager_id=managers[0])
    api.create(manager_id=managers[1])
    _move(api, first, managers[1])
    records = api.get(manager_id=managers[0])
    assert [(record["user_id"], record["is_active"]) for record in records] == [
        (first["user_id"], False),
        (second["user_id"], True),
    ]


def test_is_active_selects_current_or_superseded_records(api: Any, managers: list[str]) -> None:
    user = api.create(manager_id=managers[0])
    _move(api, user, managers[1])
    assert [record["manager_id"] for record in api.get(is_active=True)] == [managers[1]]
    assert [record["manager_id"] for record in api.get(is_active=False)] == [managers[0]]


def test_filters_combine_with_and(api: Any, managers: list[str]) -> None:
    user, other = api.create(manager_id=managers[0]), api.create(manager_id=managers[0])
    _move(api, user, managers[1])
    assert [r["is_active"] for r in api.get(user_id=user["user_id"], manager_id=managers[0])] == [False]
    assert api.get(user_id=user["user_id"], mob_num=other["mob_num"]) == []
    assert len(api.get(user_id=user["user_id"], mob_num=user["mob_num"])) == 2
    assert api.get(user_id=user["user_id"], manager_id=managers[0], is_active=True) == []
    assert len(api.get(mob_num=user["mob_num"], is_active=True)) == 1


def test_records_are_in_the_order_of_users_then_of_versions(api: Any, managers: list[str]) -> None:
    first = api.create(manager_id=managers[0])
    second = api.create()
    _move(api, first, managers[1])
    records = api.get()
    assert [record["user_id"] for record in records] == [first["user_id"], first["user_id"], second["user_id"]]
    assert records == sorted(records, key=lambda record: str(record["created_at"]))


@pytest.mark.parametrize("key", ["user_id", "manager_id"])
def test_unknown_ids_are_an_empty_list(api: Any, unknown_id: str, key: str) -> None:
    api.create()
    assert api.get(**{key: unknown_id}) == []


def test_an_unknown_number_is_an_empty_list(api: Any) -> None:
    api.create(mob_num="9876543210")
    assert api.get(mob_num="9876543211") == []


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"user_id": "1"}, [("/user_id", "uuid-invalid")]),
        ({"mob_num": "123"}, [("/mob_num", "mob-num-invalid")]),
        ({"manager_id": None}, [("/manager_id", "wrong-type")]),
        ({"is_active": 1}, [("/is_active", "wrong-type")]),
        ({"is_active": "true"}, [("/is_active", "wrong-type")]),
        ({"is_active": None}, [("/is_active", "wrong-type")]),
        ({"limit": 0}, [("/limit", "out-of-range")]),
        ({"limit": 1001}, [("/limit", "out-of-range")]),
        ({"limit": True}, [("/limit", "wrong-type")]),
        ({"limit": "5"}, [("/limit", "wrong-type")]),
        ({"limit": 5.0}, [("/limit", "wrong-type")]),
        ({"limit": None}, [("/limit", "wrong-type")]),
        ({"manger_id": "x"}, [("/manger_id", "unknown-key")]),
        ({"limit": 1, "cursor": "x"}, [("/cursor", "cursor-invalid")]),
        ({"limit": 1, "cursor": None}, [("/cursor", "cursor-invalid")]),
        (
            {"cursor": "x", "user_id": 1, "y": 2},
            [
                ("/cursor", "cursor-invalid"),
                ("/limit", "missing-key"),
                ("/user_id", "wrong-type"),
                ("/y", "unknown-key"),
            ],
        ),
    ],
)
def test_all_violations_of_the_filters_are_in_one_response(api: Any, errors_of: Any, body: Any, errors: Any) -> None:
    response = api.post("get_users", body)
    assert response.status_code == 400
    assert errors_of(response) == errors


def test_a_cursor_needs_a_limit(api: Any, errors_of: Any) -> None:
    api.create(), api.create()
    cursor = api.post("get_users", {"limit": 1}).json()["next_cursor"]
    response = api.post("get_users", {"cursor": cursor})
    assert response.status_code == 400
    assert errors_of(response) == [("/limit", "missing-key")]


def _pages(api: Any, limit: int, **filters: Any) -> Any:
    cursor: dict[str, str] = {}
    while True:
        page = api.post("get_users", {"limit": limit, **cursor, **filters}).json()
        assert len(page["users"]) <= limit
        yield page["users"]
        if page["next_cursor"] is None:
            return
        assert len(page["users"]) == limit
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_pages_hold_every_record_once_and_in_order(api: Any, managers: list[str], limit: int) -> None:
    for user in [api.create(manager_id=managers[0]) for _ in range(4)]:
        _move(api, user, managers[1])
    assert [user for page in _pages(api, limit) for user in page] == api.get()
    filters = {"manager_id": managers[0], "is_active": False}
    assert [user for page in _pages(api, limit, **filters) for user in page] == api.get(**filters)


def test_the_last_page_has_a_cursor_of_null(api: Any) -> None:
    api.create()
    assert api.post("get_users", {"limit": 1}).json()["next_cursor"] is None
    assert api.post("get_users", {"limit": 1, "is_active": False}).json() == {"users": [], "next_cursor": None}


def test_paging_returns_what_still_matches_once_despite_writes(api: Any, managers: list[str]) -> None:
    users = [api.create(manager_id=managers[0]) for _ in range(6)]
    pages = _pages(api, 2, is_active=True)
    seen = list(next(pages))
    api.post("delete_user", {"user_id": users[0]["user_id"]})  # seen already
    api.post("delete_user", {"user_id": users[3]["user_id"]})  # not seen yet: gone
    api.update([users[4]["user_id"]], full_name="Changed")  # not seen yet: in place
    api.update([users[1]["user_id"]], manager_id=managers[1])  # listed already: its new version comes later
    api.create()
    for page in pages:
        seen += page
    ids = [user["user_id"] for user in seen]
    for still_matching in (users[0], users[2], users[4], users[5]):
        assert ids.count(still_matching["user_id"]) == 1
    assert users[3]["user_id"] not in ids
    assert [user["full_name"] for user in seen if user["user_id"] == users[4]["user_id"]] == ["Changed"]


@pytest.mark.parametrize(
    "cursor",
    [
        ["2026-01-01T00:00:00.000000Z", -1],
        ["2026-01-01T00:00:00.000000Z", 2**63],
        ["2026-01-01T00:00:00.000000Z", 1.5],
        ["2026-01-01T00:00:00.000000Z", True],
        ["2026-01-01T00:00:00.000000Z"],
        ["2026-13-01T00:00:00.000000Z", 1],
        ["2026-01-01", 1],
        [1, 1],
        {"created_at": 1},
        None,
    ],
)
def test_a_cursor_of_no_response_is_rejected(api: Any, errors_of: Any, cursor: object) -> None:
    text = base64.urlsafe_b64encode(json.dumps(cursor, separators=(",", ":")).encode()).decode()
    response = api.post("get_users", {"limit": 1, "cursor": text})
    assert response.status_code == 400
    assert errors_of(response) == [("/cursor", "cursor-invalid")]


@pytest.mark.parametrize("cursor", ["", "%%%", "é", "AAAA", "eyJ", 5, [], {"a": 1}, True])
def test_a_value_that_is_no_cursor_is_rejected(api: Any, errors_of: Any, cursor: object) -> None:
    response = api.post("get_users", {"limit": 1, "cursor": cursor})
    assert response.status_code == 400
    assert errors_of(response) == [("/cursor", "cursor-invalid")]


def test_more_records_than_are_fetched_at_a_time_are_one_list(
    api: Any, store_users: Callable[[int, str | None], list[str]], managers: list[str]
) -> None:
    ids = store_users(1000, None)
    users = [api.create() for _ in range(5)]
    listed = api.get()
    ids += [user["user_id"] for user in users]
    assert [user["user_id"] for user in listed] == ids
    assert listed[-5:] == users
    api.update(ids, manager_id=managers[0])
    assert [user["user_id"] for user in api.get(manager_id=managers[0])] == ids
