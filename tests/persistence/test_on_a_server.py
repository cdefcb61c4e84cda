"""What only a real SQL Server can show: masks, rights, and scripts that fail half-way. Needs TEST_DATABASE_URL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect

import settings
from persistence.database import connections
from persistence.scripts import SQL, ScriptFailedError, apply_scripts

pytestmark = pytest.mark.skipif(
    not os.environ.get("TEST_DATABASE_URL"), reason="needs a SQL Server, which TEST_DATABASE_URL names"
)


def _as_reader(*statements: str) -> tuple[Any, ...]:
    """What a user without a login, who may read users, sees of the only user after these statements."""
    with connections.transaction() as connection:
        for statement in (
            "CREATE USER rollbook_reader WITHOUT LOGIN",
            "GRANT SELECT ON dbo.users TO rollbook_reader",
            *statements,
            "EXECUTE AS USER = 'rollbook_reader'",
        ):
            connection.exec_driver_sql(statement)
        row = connection.exec_driver_sql("SELECT full_name, mob_num, pan_num FROM dbo.users").one()
        for statement in ("REVERT", "DROP USER rollbook_reader"):
            connection.exec_driver_sql(statement)
    return tuple(row)


def test_other_readers_see_masked_values(api: Any) -> None:
    api.create(mob_num="9876543210")
    assert _as_reader() == ("Asha Rao", "XXXXXX3210", "XXXXXX234F")


def test_the_role_of_the_app_sees_whole_values(api: Any) -> None:
    api.create(mob_num="9876543210")
    joined = "ALTER ROLE rollbook_app ADD MEMBER rollbook_reader"  # who is dropped leaves the role, too
    assert _as_reader(joined) == ("Asha Rao", "9876543210", "ABCPE1234F")


@pytest.mark.usefixtures("app_database")
def test_the_scripts_ran_before_and_do_not_run_again() -> None:
    told: list[str] = []
    apply_scripts(SQL, settings.current().services, told.append)
    assert told
    assert all(line.endswith("ran before") for line in told)


@pytest.mark.usefixtures("app_database")
def test_a_script_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    script = "CREATE TABLE dbo.rollbook_half (a INT NOT NULL);\nGO\nINSERT INTO dbo.rollbook_nowhere VALUES (1);\nGO\n"
    (tmp_path / "users" / "900_half.sql").write_text(script, "utf-8")
    with pytest.raises(ScriptFailedError, match="900_half"):
        apply_scripts(tmp_path, ["users"], lambda _: None)
    with connections.reading() as connection:
        assert "rollbook_half" not in inspect(connection).get_table_names()
