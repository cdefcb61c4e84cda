"""A bulk update is one transaction of few statements, and an error anywhere leaves every row as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROW = ["id", "user_id", "version", "manager_id", "created_at", "updated_at", "is_active"]


@pytest.mark.slow  # ten thousand users
@pytest.mark.parametrize("statement", ["UPDATE", "INSERT"])
def test_ten_thousand_ids_are_all_or_nothing_at_a_failure_half_way(
    api: Any, managers: list[str], database_file: Path, store_users: Any, stored: Any, statement: str
) -> None:
    ids = store_users(10_000, managers[0])
    connection = sqlite3.connect(database_file)
    connection.execute(
        f"CREATE TRIGGER fail BEFORE {statement} ON users WHEN NEW.mob_num = '7000005000' "
        "BEGIN SELECT RAISE(ABORT, 'the disk burns'); END"
    )
    before = stored(*ROW)
    assert api.update(ids, manager_id=managers[1]).status_code == 500
    assert stored(*ROW) == before
    connection.execute("DROP TRIGGER fail")
    connection.close()
    assert len(api.update(ids, manager_id=managers[1]).json()["updated"]) == 10_000
    assert len(stored("id")) == 20_000


@pytest.mark.slow  # ten thousand users
def test_ten_thousand_ids_are_sorted_and_every_version_is_right(
    api: Any, managers: list[str], store_users: Any, unknown_id: str
) -> None:
    with_manager = store_users(9_998, managers[0])
    without = api.create()["user_id"]
    response = api.update([*with_manager, without, unknown_id], manager_id=managers[1])
    assert response.status_code == 207
    updates = response.json()
    assert updates["updated"] == [*with_manager, without]
    assert updates["not_found"] == [unknown_id]
    assert len(api.get(manager_id=managers[0], is_active=False)) == 9_998
    assert len(api.get(manager_id=managers[1], is_active=True)) == 9_999
    assert api.get(is_active=True, manager_id=managers[0]) == []


def test_every_endpoint_keeps_its_budget_of_statements(
    api: Any, managers: list[str], count_statements: Callable[[], int], unknown_id: str
) -> None:
    user = api.create(manager_id=managers[0])
    user_id = user["user_id"]
    api.get()  # the first read of a new pool fetches SQL Server's version, once
    count_statements()

    def cost(response: Any) -> int:
        assert response is not None
        return count_statements()

    assert cost(api.get(user_id=user_id)) == 1
    assert cost(api.get(mob_num=user["mob_num"])) == 1
    assert cost(api.get(manager_id=managers[0])) == 1
    assert cost(api.get()) == 1
    assert cost(api.post("get_users", {"limit": 1})) == 1
    assert cost(api.create()) == 3
    assert cost(api.create(manager_id=managers[0])) == 3
    assert cost(api.post("create_user", api.new_user(manager_id=unknown_id))) == 2
    assert cost(api.post("create_user", {**user, "x": 1})) == 0
    assert cost(api.update([user_id], full_name="New")) == 4
    assert cost(api.update([user_id], full_name="New")) == 1
    assert cost(api.update([user_id], manager_id=managers[1])) == 5
    assert cost(api.update([user_id], manager_id=managers[2], mob_num="9876543210")) == 5
    assert cost(api.update([user_id], manager_id=unknown_id)) <= 3
    assert cost(api.update([unknown_id], manager_id=unknown_id)) == 3
    assert cost(api.update([unknown_id, user_id], manager_id=managers[3])) == 6
    assert cost(api.post("delete_user", {"mob_num": "9876543210"})) == 5
    assert cost(api.post("delete_user", {"user_id": user_id})) == 2


@pytest.mark.parametrize("count", [1, 50, 3_333])
def test_a_bulk_update_costs_the_same_for_any_number_of_ids(
    api: Any, managers: list[str], store_users: Any, count_statements: Callable[[], int], unknown_id: str, count: int
) -> None:
    ids = store_users(count, managers[0]) + store_users(count, None)
    count_statements()
    response = api.update(ids, manager_id=managers[1])
    assert len(response.json()["updated"]) == 2 * count
    assert count_statements() == 6  # load with the manager, set in place, close, open, log, log the values
    assert api.update([*ids, unknown_id], manager_id=managers[2]).status_code == 207
    assert count_statements() == 6  # load, find the missing ones, close, open, log, log the values
    response = api.update([*ids, unknown_id, *store_users(count, None)], manager_id=managers[3])
    assert len(response.json()["updated"]) == 3 * count
    assert count_statements() == 7 + 1  # as above, in place, and the users stored here
