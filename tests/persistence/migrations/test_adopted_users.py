"""The log of changes adopts the users of the version before, superseded versions among them."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from persistence.database import connections
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.scripts import SQL, split_batches
from settings import SettingsError
from tests.conftest import BRANCHES, PROJECT

BEFORE = PROJECT / "tests" / "fixtures" / "release-0.1.0.db"
USERS = (
    "SELECT user_id, version, manager_id, full_name, mob_num, pan_num, created_at, updated_at FROM users ORDER BY id"
)
ADOPTED = (
    "SELECT user_id, version, manager_id, full_name, mob_num, pan_num, created_at, updated_at "
    "FROM user_changes INNER JOIN user_change_values USING (change_id) ORDER BY change_id"
)
NOON = "2026-03-01T12:00:00.000001Z"


@pytest.fixture
def file_before(tmp_path: Path) -> Path:
    """A database of the version before, with a user of three versions whose last change is just after a second."""
    path = tmp_path / "rollbook.db"
    path.write_bytes(BEFORE.read_bytes())
    user_id = str(uuid.uuid4())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for version in (1, 2, 3):
            values = (user_id, version, "Asha", "6000000001", "ABCPE1234F", NOON, NOON, version == 3)
            connection.execute(
                "INSERT INTO users (user_id, version, full_name, mob_num, pan_num, created_at, updated_at, is_active) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
    return path


def _rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def _upgrade(path: Path) -> None:
    connections.connect(f"sqlite:///{path}", threads=1)
    try:
        upgrade_embedded(BRANCHES)
    finally:
        connections.close()


def test_every_version_is_adopted_once_in_the_order_of_its_row(file_before: Path) -> None:
    before = _rows(file_before, USERS)
    _upgrade(file_before)
    assert _rows(file_before, USERS) == before
    assert _rows(file_before, ADOPTED) == before
    assert _rows(file_before, "SELECT DISTINCT operation, changed, changed_by FROM user_changes") == [
        ("adopted", "", None)
    ]


def test_adopted_versions_end_with_the_timestamp_of_the_record(file_before: Path) -> None:
    _upgrade(file_before)
    ((began_at,),) = _rows(file_before, "SELECT began_at FROM user_logs")
    times: dict[str, list[str]] = {}
    for user_id, changed_at in _rows(
        file_before, "SELECT user_id, changed_at FROM user_changes ORDER BY user_id, version"
    ):
        assert len(changed_at) == len(began_at) == 27
        assert changed_at < began_at
        times.setdefault(user_id, []).append(changed_at)
    assert all(one == sorted({*one}) for one in times.values())
    current = "SELECT user_id, COALESCE(updated_at, created_at) FROM users WHERE is_active"
    assert {user_id: one[-1] for user_id, one in times.items()} == dict(_rows(file_before, current))
    assert ["2026-03-01T11:59:59.999999Z", "2026-03-01T12:00:00.000000Z", NOON] in times.values()


def test_an_adoption_that_fails_leaves_what_was_there(file_before: Path) -> None:
    with closing(sqlite3.connect(file_before, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE user_logs (id INTEGER)")  # in the way of the migration's last table
    before = _rows(file_before, USERS)
    with pytest.raises(SettingsError, match=r"users_0002_change_log failed: table user_logs already exists"):
        _upgrade(file_before)
    assert _rows(file_before, USERS) == before
    assert _rows(file_before, "SELECT name FROM sqlite_master WHERE name LIKE 'user_change%'") == []
    assert ("users_0001",) in _rows(file_before, "SELECT version_num FROM alembic_version")


def test_the_t_sql_adopts_at_the_same_timestamps() -> None:
    batches = split_batches((SQL / "users" / "002_change_log.sql").read_text("utf-8"))
    (adoption,) = [batch for batch in batches if "INSERT INTO user_changes " in batch]
    last = "COALESCE(latest.updated_at, latest.created_at)"
    assert (
        f"''adopted'', '''', users.manager_id, DATEADD(MICROSECOND, users.version - latest.version, {last})" in adoption
    )
    assert adoption.rstrip("';)").endswith("ORDER BY users.id")
