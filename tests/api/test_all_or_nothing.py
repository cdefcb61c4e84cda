"""A bulk update is one transaction of few statements, and an error anywhere leaves every row as it was."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CREATED_AT = "2026-01-01T00:00:00.000000Z"


def _fill(database_file: Path, count: int, manager_id: str | None) -> list[str]:
    """Stores users without the API: thousands of calls would take longer than what is tested."""
    ids = [str(uuid.uuid4()) for _ in range(count)]
    connection = sqlite3.connect(database_file)
    with connection:
        connection.executemany(
            "INSERT INTO users (user_id, version, manager_id, full_name, mob_num, pan_num, created_at, is_active) "
            "VALUES (?, 1, ?, 'Asha', ?, 'ABCPE1234F', ?, 1)",
            [(user_id, manager_id, str(7_000_000_000 + n), CREATED_AT) for n, user_id in enumerate(ids)],
        )
    connection.close()
    return ids


def _dump(database_file: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(database_file)
    try:
        return connection.execute("SELECT * FROM users ORDER BY id").fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("statement", ["UPDATE", "INSERT"])
def test_ten_thousand_ids_are_all_or_nothing_when_it_fails_in_the_middle(
    api: Any, managers: list[str], database_file: Path, statement: str
) -> None:
    ids = _fill(database_file, 10_000, managers[0])
    connection = sqlite3.connect(database_file)
    connection.execute(
        f"CREATE TRIGGER fail BEFORE {statement} ON users WHEN NEW.mob_num = '7000005000' "
        "BEGIN SELECT RAISE(ABORT, 'the disk burns'); END"
    )
    before = _dump(database_file)
    assert api.update(ids, manager_id=managers[1]).status_code == 500
    assert _dump(database_file) == before
    connection.execute("DROP TRIGGER fail")
    connection.close()
    assert len(api.update(ids, manager_id=managers[1]).json()["updated"]) == 10_000
    assert len(_dump(database_file)) == 20_000


def test_ten_thousand_ids_are_sorted_and_every_version_is_right(
    api: Any, managers: list[str], database_file: Path, unknown_id: str
) -> None:
    with_manager = _fill(database_file, 9_998, managers[0])
    without = api.create()["user_id"]
    response = api.update([*with_manager, without, unknown_id], manager_id=managers[1])
    assert response.status_code == 207
    answer = response.json()
    assert answer["updated"] == [*with_manager, without]
    assert answer["not_found"] == [unknown_id]
    assert len(api.get(manager_id=managers[0], is_active=False)) == 9_998
    assert len(api.get(manager_id=managers[1], is_active=True)) == 9_999
    assert api.get(is_active=True, manager_id=managers[0]) == []


def test_every_trigger_keeps_its_budget_of_statements(
    api: Any, managers: list[str], count_statements: Callable[[], int], unknown_id: str
) -> None:
    user = api.create(manager_id=managers[0])
    user_id = user["user_id"]
    count_statements()

    def cost(answer: Any) -> int:
        assert answer is not None
        return count_statements()

    assert cost(api.get(user_id=user_id)) == 1
    assert cost(api.get(mob_num=user["mob_num"])) == 1
    assert cost(api.get(manager_id=managers[0])) == 1
    assert cost(api.get()) == 1
    assert cost(api.post("get_users", {"limit": 1})) == 1
    assert cost(api.create()) == 1
    assert cost(api.create(manager_id=managers[0])) == 1
    assert cost(api.post("create_user", api.new_user(manager_id=unknown_id))) == 2
    assert cost(api.post("create_user", {**user, "x": 1})) == 0
    assert cost(api.update([user_id], full_name="New")) == 2
    assert cost(api.update([user_id], full_name="New")) == 1
    assert cost(api.update([user_id], manager_id=managers[1])) == 3
    assert cost(api.update([user_id], manager_id=managers[2], mob_num="9876543210")) == 3
    assert cost(api.update([user_id], manager_id=unknown_id)) <= 3
    assert cost(api.update([unknown_id], manager_id=unknown_id)) == 3
    assert cost(api.update([unknown_id, user_id], manager_id=managers[3])) == 4
    assert cost(api.post("delete_user", {"mob_num": "9876543210"})) == 2
    assert cost(api.post("delete_user", {"user_id": user_id})) == 2


@pytest.mark.parametrize("count", [1, 50, 5_000])
def test_a_bulk_update_costs_the_same_for_any_number_of_ids(
    api: Any, managers: list[str], database_file: Path, count_statements: Callable[[], int], count: int
) -> None:
    ids = _fill(database_file, count, managers[0])
    connection = sqlite3.connect(database_file)
    with connection:
        connection.executemany(
            "INSERT INTO users (user_id, version, full_name, mob_num, pan_num, created_at, is_active) "
            "VALUES (?, 1, 'Asha', ?, 'ABCPE1234F', ?, 1)",
            [(str(uuid.UUID(int=n)), str(8_000_000_000 + n), CREATED_AT) for n in range(count)],
        )
    connection.close()
    count_statements()
    response = api.update([*ids, *(str(uuid.UUID(int=n)) for n in range(count))], manager_id=managers[1])
    assert len(response.json()["updated"]) == 2 * count
    assert count_statements() == 4  # load with the manager, set in place, close, open
