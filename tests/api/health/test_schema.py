"""The health of the database's schema: whether it has the migrations of the enabled services."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from persistence.database import connections
from persistence.migrations.heads import HEADS

DATABASE = ["/health?database=1", "/health/database"]


def set_versions(*versions: str) -> None:
    """Replaces what the database records of its migrations."""
    with connections.transaction() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        for version in versions:
            connection.execute(
                text("INSERT INTO alembic_version (version_num) VALUES (:version)"), {"version": version}
            )


@pytest.mark.parametrize("path", DATABASE)
@pytest.mark.parametrize(
    "versions",
    [(), ("shared_0001", HEADS["users"], HEADS["points"]), (HEADS["shared"], HEADS["users"])],
)
def test_a_missing_migration_is_a_503(api: Any, problem_of: Any, path: str, versions: tuple[str, ...]) -> None:
    set_versions(*versions)
    response = api.client.get(path)
    assert problem_of(response) == "schema-outdated"
    assert "python -m admin migrate" in response.json()["detail"]


@pytest.mark.parametrize("path", DATABASE)
def test_a_database_ahead_of_the_app_is_healthy_and_says_newer(api: Any, path: str) -> None:
    others = [head for branch, head in HEADS.items() if branch != "users"]
    set_versions(*others, "users_0999", "unknown_0001")
    response = api.client.get(path)
    assert (response.status_code, response.json()["schema"]) == (200, "newer")


@pytest.mark.parametrize("path", DATABASE)
def test_migrations_of_other_services_do_not_matter(api: Any, path: str) -> None:
    set_versions(*HEADS.values(), "other_0007")
    response = api.client.get(path)
    assert response.status_code == 200
    assert "schema" not in response.json()
