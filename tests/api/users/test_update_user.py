"""update_user: its contract, sentence by sentence."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest


def test_a_user_without_a_manager_gets_one_in_place(api: Any, managers: list[str]) -> None:
    user = api.create()
    before = datetime.now(UTC)
    response = api.update([user["user_id"]], manager_id=managers[0])
    assert response.status_code == 200
    assert response.json() == {
        "message": "Updated: 1. Unchanged: 0.",
        "updated": [user["user_id"]],
        "unchanged": [],
        "not_found": [],
    }
    (record,) = api.get()
    assert before <= datetime.fromisoformat(record["updated_at"]) <= datetime.now(UTC)
    assert record == {**user, "manager_id": managers[0], "updated_at": record["updated_at"]}


def test_a_new_manager_closes_the_current_row_and_opens_a_new_version(
    api: Any, managers: list[str], stored: Any
) -> None:
    user = api.create(manager_id=managers[0])
    assert api.update([user["user_id"]], manager_id=managers[1]).status_code == 200
    closed, opened = api.get()
    now = closed["updated_at"]
    assert now > user["created_at"]
    assert closed == {**user, "is_active": False, "updated_at": now}
    assert opened == {**user, "manager_id": managers[1], "updated_at": now}
    assert stored("version", "is_active") == [(1, False), (2, True)]


def test_other_fields_given_with_a_new_manager_go_into_the_new_row_only(api: Any, managers: list[str]) -> None:
    user = api.create(manager_id=managers[0])
    changes = {"manager_id": managers[1], "full_name": "New", "mob_num": "9123456789", "pan_num": "ABCCE1234F"}
    assert api.update([user["user_id"]], **changes).status_code == 200
    closed, opened = api.get()
    assert closed == {**user, "is_active": False, "updated_at": closed["updated_at"]}
    assert opened == {**user, **changes, "updated_at": closed["updated_at"]}


def test_without_a_change_of_manager_the_row_is_updated_in_place(api: Any, managers: list[str]) -> None:
    user = api.create(manager_id=managers[0])
    changes = {"manager_id": managers[0], "full_name": " New ", "mob_num": "+919123456789", "pan_num": "abcce1234f"}
    assert api.update([user["user_id"]], **changes).json()["updated"] == [user["user_id"]]
    (record,) = api.get()
    stored = {"full_name": "New", "mob_num": "9123456789", "pan_num": "ABCCE1234F"}
    assert record == {**user, **stored, "updated_at": record["updated_at"]}
    assert record["updated_at"] > user["created_at"]


def test_values_equal_to_what_is_stored_write_nothing(api: Any, managers: list[str]) -> None:
    user = api.create(manager_id=managers[0])
    same = {"manager_id": managers[0].upper(), "full_name": " Asha Rao ", "mob_num": "0" + user["mob_num"]}
    response = api.update([user["user_id"]], **same, pan_num="abcpe1234f")
    assert response.status_code == 200
    assert response.json()["unchanged"] == [user["user_id"]]
    assert response.json()["updated"] == []
    assert api.get() == [user]


def test_a_bulk_update_sorts_users_into_updated_unchanged_and_not_found(
    api: Any, managers: list[str], unknown_id: str
) -> None:
    moved, same, fresh = api.create(manager_id=managers[0]), api.create(manager_id=managers[1]), api.create()
    ids = [same["user_id"], unknown_id, fresh["user_id"], moved["user_id"].upper(), moved["user_id"]]
    response = api.update(ids, manager_id=managers[1])
    assert response.status_code == 207
    assert response.json() == {
        "message": "Updated: 2. Unchanged: 1. Not found and skipped: 1.",
        "updated": [fresh["user_id"], moved["user_id"]],
        "unchanged": [same["user_id"]],
        "not_found": [unknown_id],
    }
    assert [(r["user_id"], r["manager_id"], r["is_active"]) for r in api.get()] == [
        (moved["user_id"], managers[0], False),
        (moved["user_id"], managers[1], True),
        (same["user_id"], managers[1], True),
        (fresh["user_id"], managers[1], True),
    ]
    assert api.get()[2] == same


def test_one_id_given_twice_is_no_bulk_update(api: Any) -> None:
    user = api.create()
    response = api.update([user["user_id"], user["user_id"].upper()], full_name="New")
    assert response.status_code == 200
    assert response.json()["updated"] == [user["user_id"]]


@pytest.mark.parametrize("extra", [{"full_name": "x"}, {"mob_num": "9123456789", "pan_num": "ABCPE1234F"}])
@pytest.mark.parametrize("with_manager", [False, True])
def test_a_bulk_update_may_carry_the_manager_only(
    api: Any, errors_of: Any, managers: list[str], extra: dict[str, str], with_manager: bool
) -> None:
    users = [api.create(), api.create()]
    data = {**extra, "manager_id": managers[0]} if with_manager else extra
    response = api.update([user["user_id"] for user in users], **data)
    assert response.status_code == 400
    problem = response.json()
    assert problem["type"] == "/problems/bulk-update-keys"
    assert problem["extra_keys"] == list(extra)
    assert "individual basis only and not in bulk" in problem["detail"]
    assert errors_of(response) == [(f"/update_data/{key}", "bulk-update-keys") for key in sorted(extra)]
    assert api.get() == users


def test_unknown_keys_are_reported_before_the_bulk_rule(api: Any, errors_of: Any) -> None:
    ids = [api.create()["user_id"], api.create()["user_id"]]
    response = api.update(ids, full_name="x", manger_id="y")
    assert errors_of(response) == [("/update_data/manger_id", "unknown-key")]


def test_the_bulk_rule_precedes_the_manager_and_that_precedes_existence(
    api: Any, errors_of: Any, unknown_id: str
) -> None:
    other_id = str(uuid.uuid4())
    assert api.update([other_id, unknown_id], manager_id=unknown_id, full_name="x").json()["extra_keys"] == [
        "full_name"
    ]
    response = api.update([other_id, unknown_id], manager_id=unknown_id)
    assert response.status_code == 400
    assert errors_of(response) == [("/update_data/manager_id", "manager-unknown")]


def test_existence_comes_before_the_taken_number(api: Any, unknown_id: str) -> None:
    taken = api.create()["mob_num"]
    assert api.update([unknown_id], mob_num=taken).status_code == 404


@pytest.mark.parametrize("count", [1, 3])
def test_when_no_id_exists_the_404_names_all_of_them(api: Any, managers: list[str], count: int) -> None:
    ids = [str(uuid.uuid4()) for _ in range(count)]
    response = api.update(ids, manager_id=managers[0])
    assert response.status_code == 404
    assert response.json()["not_found"] == ids


@pytest.mark.parametrize("known", [False, True])
def test_a_manager_must_exist_and_be_active(
    api: Any, errors_of: Any, retired_manager: str, unknown_id: str, known: bool
) -> None:
    user = api.create()
    response = api.update([user["user_id"]], manager_id=retired_manager if known else unknown_id, full_name="New")
    assert response.status_code == 400
    assert errors_of(response) == [("/update_data/manager_id", "manager-inactive" if known else "manager-unknown")]
    assert api.get() == [user]


@pytest.mark.parametrize("has_manager", [False, True])
def test_the_number_of_another_active_user_is_rejected_without_changes(
    api: Any, errors_of: Any, managers: list[str], has_manager: bool
) -> None:
    holder = api.create()
    user = api.create(manager_id=managers[0]) if has_manager else api.create()
    response = api.update([user["user_id"]], mob_num=f"+91{holder['mob_num']}", manager_id=managers[1], full_name="New")
    assert response.status_code == 409
    assert errors_of(response) == [("/update_data/mob_num", "mob-num-taken")]
    assert api.get() == [holder, user]


def test_a_number_that_only_a_superseded_version_has_is_free(api: Any, managers: list[str]) -> None:
    former = api.create(manager_id=managers[0])
    api.update([former["user_id"]], manager_id=managers[1], mob_num="9123456789")
    user = api.create()
    assert api.update([user["user_id"]], mob_num=former["mob_num"]).status_code == 200


def test_ones_own_number_is_no_conflict_when_the_manager_changes(api: Any, managers: list[str]) -> None:
    user = api.create(manager_id=managers[0])
    assert api.update([user["user_id"]], mob_num=user["mob_num"], manager_id=managers[1]).status_code == 200
    assert [record["mob_num"] for record in api.get()] == [user["mob_num"]] * 2


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("/update_data", "missing-key"), ("/user_ids", "missing-key")]),
        ({"user_ids": [], "update_data": {}}, [("/update_data", "update-data-empty"), ("/user_ids", "user-ids-count")]),
        ({"user_ids": None, "update_data": None}, [("/update_data", "wrong-type"), ("/user_ids", "wrong-type")]),
        ({"user_ids": "x", "update_data": []}, [("/update_data", "wrong-type"), ("/user_ids", "wrong-type")]),
        (
            {"user_ids": ["x", 1, None, []], "update_data": {"manager_id": None, "full_name": " ", "y": 1}, "z": 2},
            [
                ("/update_data/full_name", "full-name-invalid"),
                ("/update_data/manager_id", "wrong-type"),
                ("/update_data/y", "unknown-key"),
                ("/user_ids/0", "uuid-invalid"),
                ("/user_ids/1", "wrong-type"),
                ("/user_ids/2", "wrong-type"),
                ("/user_ids/3", "wrong-type"),
                ("/z", "unknown-key"),
            ],
        ),
        (
            {"user_ids": [str(uuid.UUID(int=1))] * 10_001, "update_data": {"pan_num": "1"}},
            [("/update_data/pan_num", "pan-num-invalid"), ("/user_ids", "user-ids-count")],
        ),
    ],
)
def test_all_violations_of_a_body_are_in_one_response(api: Any, errors_of: Any, body: Any, errors: Any) -> None:
    response = api.post("update_user", body)
    assert response.status_code == 400
    assert errors_of(response) == errors


def test_ten_thousand_entries_are_accepted_duplicates_included(api: Any, managers: list[str]) -> None:
    user = api.create()
    response = api.update([user["user_id"]] * 10_000, manager_id=managers[0])
    assert response.json()["updated"] == [user["user_id"]]


def test_versions_count_up_without_gaps_and_keep_the_time_of_creation(
    api: Any, managers: list[str], stored: Any
) -> None:
    user = api.create()
    for number in range(9):
        assert api.update([user["user_id"]], manager_id=managers[number % 4]).status_code == 200
    expected = [(version, version == 9, user["created_at"]) for version in range(1, 10)]
    assert stored("version", "is_active", "created_at") == expected
