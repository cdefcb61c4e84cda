"""The last checks of the users' statements: lost races, and values that must not be stored."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.dialects.mssql import pyodbc as sql_server_dialect
from sqlalchemy.exc import IntegrityError

from domain.users.changes import Attribution
from domain.users.versions import UpdatePlan
from persistence.database.connections import transaction
from persistence.database.errors import LostRaceError
from persistence.users.records import _LOAD, _LOAD_WITH_MANAGER, save_update
from persistence.users.tables import USERS


@pytest.mark.parametrize("masked", [{"mob_num": "XXXXXX3210"}, {"pan_num": "XXXXXX234F"}])
def test_a_masked_value_is_never_stored(api: Any, masked: dict[str, str]) -> None:
    user = api.create()
    with pytest.raises((IntegrityError, LostRaceError)), transaction() as connection:
        connection.execute(update(USERS).values(masked))
    assert api.get() == [user]


def test_filters_have_one_order_so_that_a_server_compiles_one_plan(
    api: Any, statements: list[str], managers: list[str], unknown_id: str
) -> None:
    """The order of a set differs between processes."""
    api.get(user_id=unknown_id, manager_id=managers[0], is_active=True)
    _, conditions = statements[-1].split("WHERE ")
    assert [condition.split()[0] for condition in conditions.split(" AND ")] == [
        "users.manager_id",
        "users.user_id",
        "users.is_active",
    ]


def test_rows_loaded_for_an_update_are_locked_on_sql_server() -> None:
    for statement in (_LOAD, _LOAD_WITH_MANAGER):
        compiled = statement.compile(dialect=sql_server_dialect.dialect())  # type: ignore[no-untyped-call]
        assert "FROM users WITH (UPDLOCK, ROWLOCK)" in str(compiled)


@pytest.mark.parametrize("plan", [UpdatePlan([99], [], [], [], []), UpdatePlan([], [99], [], [], [])])
def test_a_row_that_is_not_as_loaded_is_a_lost_race(api: Any, managers: list[str], plan: UpdatePlan) -> None:
    user = api.create(manager_id=managers[0])

    def save() -> None:
        with transaction() as connection:
            save_update(connection, plan, {"manager_id": managers[1]}, Attribution(), now="2026-01-01T00:00:00.000000Z")

    with pytest.raises(LostRaceError):
        save()
    assert api.get() == [user]


def test_a_delete_that_missed_an_existing_row_lost_a_race(api: Any, database_file: Path) -> None:
    user = api.create()
    other = sqlite3.connect(database_file)
    other.execute("CREATE TRIGGER miss BEFORE DELETE ON users BEGIN SELECT RAISE(IGNORE); END")
    response = api.post("delete_user", {"user_id": user["user_id"]})
    assert response.status_code == 409
    assert response.json()["type"] == "/problems/lost-race"
    other.execute("DROP TRIGGER miss")
    other.close()
    assert api.post("delete_user", {"user_id": user["user_id"]}).status_code == 200
