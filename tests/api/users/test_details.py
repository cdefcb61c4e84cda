"""`details` of update_user: the outcome of each id, and the version after the update."""

from __future__ import annotations

from typing import Any

import pytest

IDS = ["none", "with_manager", "same_manager", "without_manager"]


@pytest.fixture
def users(api: Any, managers: list[str], unknown_id: str) -> dict[str, str]:
    """Ids by what an update to the second manager finds; the user with a manager has two versions."""
    with_manager = api.create(manager_id=managers[2])["user_id"]
    assert api.update([with_manager], manager_id=managers[0]).status_code == 200
    return {
        "none": unknown_id,
        "with_manager": with_manager,
        "same_manager": api.create(manager_id=managers[1])["user_id"],
        "without_manager": api.create()["user_id"],
    }


def results(api: Any, body: dict[str, Any]) -> list[dict[str, Any]]:
    response = api.post("update_user", {"details": True, **body})
    assert response.status_code in (200, 207), response.text
    found: list[dict[str, Any]] = response.json()["results"]
    return found


def result(user_id: str, outcome: str, version: int | None) -> dict[str, Any]:
    return {"user_id": user_id, "outcome": outcome, "version": version}


def test_each_id_has_its_outcome_and_its_version_in_the_order_given(
    api: Any, managers: list[str], users: dict[str, str]
) -> None:
    given = [users[name] for name in IDS]
    repeated = [*given, users["without_manager"].upper(), users["none"], *reversed(given)]
    body = {"user_ids": repeated, "update_data": {"manager_id": managers[1]}}
    assert results(api, body) == [
        result(users["none"], "not_found", None),
        result(users["with_manager"], "new_version", 3),
        result(users["same_manager"], "unchanged", 1),
        result(users["without_manager"], "in_place", 1),
    ]
    assert results(api, body) == [
        result(users["none"], "not_found", None),
        result(users["with_manager"], "unchanged", 3),
        result(users["same_manager"], "unchanged", 1),
        result(users["without_manager"], "unchanged", 1),
    ]
    for name, version in (("with_manager", 3), ("same_manager", 1), ("without_manager", 1)):
        assert len(api.get(user_id=users[name])) == version


def test_another_name_with_another_manager_is_one_new_version(
    api: Any, managers: list[str], users: dict[str, str]
) -> None:
    user_id = users["with_manager"]
    for update_data, outcome, version in (
        ({"full_name": "Asha Devi"}, "in_place", 2),
        ({"full_name": "Asha Nair", "manager_id": managers[3]}, "new_version", 3),
        ({"full_name": "Asha Devi", "manager_id": managers[3]}, "in_place", 3),
    ):
        found = results(api, {"user_ids": [user_id], "update_data": update_data})
        assert found == [result(user_id, outcome, version)]


@pytest.mark.parametrize("details", [{}, {"details": False}])
def test_without_details_the_response_has_no_results(
    api: Any, managers: list[str], users: dict[str, str], details: dict[str, Any]
) -> None:
    body = {"user_ids": [*users.values()], "update_data": {"manager_id": managers[1]}, **details}
    assert set(api.post("update_user", body).json()) == {"message", "updated", "unchanged", "not_found"}


@pytest.mark.parametrize("details", [None, "true", 1, []])
def test_details_are_true_or_false(api: Any, users: dict[str, str], errors_of: Any, details: Any) -> None:
    body = {"user_ids": [users["same_manager"]], "update_data": {"full_name": "New"}, "details": details}
    assert errors_of(api.post("update_user", body)) == [("/details", "wrong-type")]
    assert errors_of(api.post("delete_user", {"user_id": users["none"], "details": True})) == [
        ("/details", "unknown-key")
    ]


def test_details_cost_no_statement(api: Any, store_users: Any, managers: list[str], count_statements: Any) -> None:
    ids = store_users(2000, managers[0])
    costs = []
    for manager_id, details in ((managers[1], False), (managers[2], True)):
        count_statements()
        body = {"user_ids": ids, "update_data": {"manager_id": manager_id}, "details": details}
        assert api.post("update_user", body).status_code == 200
        costs.append(count_statements())
    assert costs[0] == costs[1]
