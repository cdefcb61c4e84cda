"""How far a database is migrated, as the health check sees it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from persistence.migrations.heads import HEADS
from persistence.migrations.state import migration_branches, schema_state
from tests.conftest import BRANCHES
from tests.support.recording_server import fault, recording_server

BEHIND, AHEAD = "shared_0001", "users_0999"
OTHERS = [head for branch, head in HEADS.items() if branch not in ("shared", "users")]


@pytest.mark.parametrize(
    ("versions", "state"),
    [
        ([*HEADS.values()], "current"),
        ([*HEADS.values(), "gone_0003", "1a2b3c4d"], "current"),
        ([], "outdated"),
        ([HEADS["shared"], HEADS["users"]], "outdated"),
        ([BEHIND, HEADS["users"], *OTHERS], "outdated"),
        ([HEADS["shared"], AHEAD, *OTHERS], "newer"),
        ([BEHIND, AHEAD, *OTHERS], "outdated"),
    ],
)
def test_the_state_compares_what_is_applied_with_the_heads(
    database_file: Path, statements: list[str], versions: list[str], state: str
) -> None:
    with closing(sqlite3.connect(database_file, isolation_level=None)) as connection:
        connection.execute("DELETE FROM alembic_version")
        connection.executemany("INSERT INTO alembic_version VALUES (?)", [[version] for version in versions])
    statements.clear()
    assert schema_state(BRANCHES) == state
    assert len(statements) == 1


def test_only_the_branches_of_enabled_services_count(database_file: Path) -> None:
    with closing(sqlite3.connect(database_file, isolation_level=None)) as connection:
        connection.execute("DELETE FROM alembic_version WHERE version_num LIKE 'points%'")
    assert schema_state(migration_branches(["users"])) == "current"
    assert schema_state(migration_branches(["users", "points"])) == "outdated"


def test_a_database_that_was_never_migrated_is_outdated(database_file: Path) -> None:
    with closing(sqlite3.connect(database_file, isolation_level=None)) as connection:
        connection.execute("DROP TABLE alembic_version")
    assert schema_state(BRANCHES) == "outdated"
    with recording_server():
        assert schema_state(BRANCHES) == "outdated"


def test_a_missing_permission_is_an_error_and_not_a_state() -> None:
    with recording_server() as server:
        server.faults = [("alembic_version", fault("229", "The SELECT permission was denied on the object"))]
        with pytest.raises(DBAPIError, match="permission was denied"):
            schema_state(BRANCHES)


def test_the_shared_branch_comes_first_and_services_without_tables_have_none() -> None:
    assert migration_branches(["points", "users"]) == ("shared", "points", "users")
    assert migration_branches(["health", "users"]) == ("shared", "users")
