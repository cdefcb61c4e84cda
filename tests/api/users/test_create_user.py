"""create_user: its contract, sentence by sentence."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert

from persistence.database import connections
from persistence.users.tables import MANAGERS
from tests.support.seed import SEED_MANAGERS

MISSING = "missing-key"


def test_a_user_is_created_and_returned_as_get_users_has_it(api: Any, managers: list[str]) -> None:
    body = {"full_name": " Asha Rao ", "mob_num": "+91 98765-43210", "pan_num": "abcpe1234f", "manager_id": managers[0]}
    before = datetime.now(UTC)
    response = api.post("create_user", body)
    assert response.status_code == 201
    created = response.json()
    assert created["message"] == "User created successfully"
    user = created["user"]
    assert user["user_id"] == created["user_id"]
    assert uuid.UUID(user["user_id"]).version == 4
    assert list(user) == [
        "user_id", "manager_id", "full_name", "mob_num", "pan_num", "created_at", "updated_at", "is_active",
    ]  # fmt: skip
    assert (user["full_name"], user["mob_num"], user["pan_num"]) == ("Asha Rao", "9876543210", "ABCPE1234F")
    assert user["manager_id"] == managers[0]
    assert user["updated_at"] is None
    assert user["is_active"] is True
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", user["created_at"])
    assert before <= datetime.fromisoformat(user["created_at"]) <= datetime.now(UTC)
    assert api.get() == [user]


@pytest.mark.parametrize("fields", [{}, {"manager_id": None}])
def test_a_user_may_have_no_manager_yet(api: Any, fields: dict[str, None]) -> None:
    assert api.create(**fields)["manager_id"] is None


def test_a_manager_is_named_in_either_case_and_returned_in_lower_case(api: Any) -> None:
    manager = {**SEED_MANAGERS[0], "manager_id": "abcdefab-1111-4111-8111-abcdefabcdef"}
    with connections.transaction() as connection:
        connection.execute(insert(MANAGERS), manager)
    assert api.create(manager_id=str(manager["manager_id"]).upper())["manager_id"] == manager["manager_id"]


def test_all_missing_keys_are_named_together(api: Any, errors_of: Any) -> None:
    response = api.post("create_user", {})
    assert response.status_code == 400
    assert errors_of(response) == [("/full_name", MISSING), ("/mob_num", MISSING), ("/pan_num", MISSING)]


def test_missing_invalid_and_unknown_keys_are_named_in_one_response(api: Any, errors_of: Any) -> None:
    response = api.post("create_user", {"mob_num": "12", "pan_num": 5, "manager_id": "x", "manger_id": "y", "a/~": 1})
    assert response.status_code == 400
    assert errors_of(response) == [
        ("/a~1~0", "unknown-key"),
        ("/full_name", MISSING),
        ("/manager_id", "uuid-invalid"),
        ("/manger_id", "unknown-key"),
        ("/mob_num", "mob-num-invalid"),
        ("/pan_num", "wrong-type"),
    ]
    assert api.get() == []


@pytest.mark.parametrize("key", ["full_name", "mob_num", "pan_num", "manager_id"])
@pytest.mark.parametrize("value", [9876543210, 1.5, True, [], {}, ["9876543210"]])
def test_a_wrong_type_is_rejected_and_never_coerced(api: Any, errors_of: Any, key: str, value: object) -> None:
    response = api.post("create_user", api.new_user(**{key: value}))
    assert response.status_code == 400
    assert errors_of(response) == [(f"/{key}", "wrong-type")]


@pytest.mark.parametrize("key", ["full_name", "mob_num", "pan_num"])
def test_null_is_a_wrong_type(api: Any, errors_of: Any, key: str) -> None:
    response = api.post("create_user", api.new_user(**{key: None}))
    assert errors_of(response) == [(f"/{key}", "wrong-type")]


def test_an_unknown_manager_is_rejected(api: Any, errors_of: Any, unknown_id: str) -> None:
    response = api.post("create_user", api.new_user(manager_id=unknown_id))
    assert response.status_code == 400
    assert response.json()["type"] == "/problems/manager-unknown"
    assert errors_of(response) == [("/manager_id", "manager-unknown")]
    assert api.get() == []


def test_a_retired_manager_is_rejected(api: Any, errors_of: Any, retired_manager: str) -> None:
    response = api.post("create_user", api.new_user(manager_id=retired_manager))
    assert response.status_code == 400
    assert errors_of(response) == [("/manager_id", "manager-inactive")]


def test_a_number_that_an_active_user_has_is_rejected(api: Any, errors_of: Any) -> None:
    user = api.create()
    response = api.post("create_user", api.new_user(mob_num="0" + user["mob_num"]))
    assert response.status_code == 409
    assert response.json()["type"] == "/problems/mob-num-taken"
    assert errors_of(response) == [("/mob_num", "mob-num-taken")]
    assert api.get() == [user]


def test_two_people_may_have_one_pan(api: Any) -> None:
    assert api.create(pan_num="ABCCE1234F")["pan_num"] == api.create(pan_num="ABCCE1234F")["pan_num"]


def test_fields_are_checked_before_the_manager_and_that_before_the_number(
    api: Any, errors_of: Any, unknown_id: str
) -> None:
    taken = api.create()["mob_num"]
    body = api.new_user(mob_num=taken, manager_id=unknown_id)
    assert errors_of(api.post("create_user", {**body, "pan_num": "x"})) == [("/pan_num", "pan-num-invalid")]
    assert errors_of(api.post("create_user", body)) == [("/manager_id", "manager-unknown")]


@pytest.mark.parametrize(
    "name", ["नीला राव", "Ñandú", "李小龍", "O'Brien; DROP TABLE users", "\U0001f642" * 200, "<b>&amp;"]
)
def test_a_name_in_any_script_is_returned_unchanged(api: Any, name: str) -> None:
    assert api.create(full_name=name)["full_name"] == name
    assert api.get()[0]["full_name"] == name


def test_a_rejected_holder_type_names_the_letters_and_the_setting(api: Any) -> None:
    (error,) = api.post("create_user", api.new_user(pan_num="ABCZE1234F")).json()["errors"]
    assert error["code"] == "pan-holder-invalid"
    assert "ABCFGHJLPT" in error["detail"]
    assert "PAN_HOLDER_CHECK=off" in error["detail"]
