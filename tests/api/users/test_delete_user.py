"""delete_user: its contract, sentence by sentence."""

from __future__ import annotations

from typing import Any

import pytest


def test_every_version_of_the_user_is_deleted(api: Any, managers: list[str], stored: Any) -> None:
    user, other = api.create(manager_id=managers[0]), api.create()
    for manager_id in managers[1:3]:
        api.update([user["user_id"]], manager_id=manager_id)
    response = api.post("delete_user", {"user_id": user["user_id"]})
    assert response.status_code == 200
    assert response.json() == {"message": "User deleted successfully", "user_id": user["user_id"]}
    assert api.get() == [other]
    assert stored("user_id") == [(other["user_id"],)]


@pytest.mark.parametrize("spelling", ["9876543210", "+91 98765 43210", "09876543210"])
def test_a_number_in_any_spelling_names_the_user_who_holds_it_now(api: Any, managers: list[str], spelling: str) -> None:
    former = api.create(mob_num="9876543210", manager_id=managers[0])
    api.update([former["user_id"]], manager_id=managers[1], mob_num="9876543211")  # its first version has the number
    holder = api.create(mob_num="9876543210")
    response = api.post("delete_user", {"mob_num": spelling})
    assert response.json()["user_id"] == holder["user_id"]
    assert {record["user_id"] for record in api.get()} == {former["user_id"]}
    assert len(api.get()) == 2


def test_an_id_is_accepted_in_either_case(api: Any) -> None:
    user = api.create()
    assert api.post("delete_user", {"user_id": user["user_id"].upper()}).json()["user_id"] == user["user_id"]


@pytest.mark.parametrize("both", [False, True])
def test_neither_key_or_both_are_rejected_and_nothing_is_deleted(api: Any, errors_of: Any, both: bool) -> None:
    user = api.create()
    body = {"user_id": user["user_id"], "mob_num": user["mob_num"]} if both else {}
    response = api.post("delete_user", body)
    assert response.status_code == 400
    assert errors_of(response) == [("", "one-key-required")]
    assert api.get() == [user]


def test_all_violations_of_a_body_are_in_one_response(api: Any, errors_of: Any) -> None:
    response = api.post("delete_user", {"user_id": None, "mob_num": "1", "user": 1})
    assert response.status_code == 400
    assert errors_of(response) == [
        ("", "one-key-required"),
        ("/mob_num", "mob-num-invalid"),
        ("/user", "unknown-key"),
        ("/user_id", "wrong-type"),
    ]


def test_a_missing_body_is_rejected(api: Any, errors_of: Any) -> None:
    api.create()
    response = api.post("delete_user")
    assert response.status_code == 400
    assert errors_of(response) == [("", "one-key-required")]
    assert len(api.get()) == 1


@pytest.mark.parametrize("key", ["user_id", "mob_num"])
def test_an_unknown_user_is_not_found(api: Any, errors_of: Any, unknown_id: str, key: str) -> None:
    api.create(mob_num="9876543210")
    response = api.post("delete_user", {key: unknown_id if key == "user_id" else "9876543211"})
    assert response.status_code == 404
    assert errors_of(response) == [(f"/{key}", "user-not-found")]
    assert len(api.get()) == 1


def test_a_second_deletion_is_not_found(api: Any) -> None:
    user = api.create()
    assert api.post("delete_user", {"user_id": user["user_id"]}).status_code == 200
    assert api.post("delete_user", {"user_id": user["user_id"]}).status_code == 404


def test_the_number_is_free_again(api: Any) -> None:
    user = api.create()
    api.post("delete_user", {"mob_num": user["mob_num"]})
    assert api.create(mob_num=user["mob_num"])["user_id"] != user["user_id"]
