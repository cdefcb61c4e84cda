"""Behaviour of a real SQL Server alone: masks, permissions, failed migrations, sqlcmd's scripts. TEST_DATABASE_URL."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError

from domain.users.changes import Attribution, Change, Operation
from persistence.database import connections
from persistence.migrations.scripts import SQL, apply_scripts, split_batches
from persistence.migrations.state import schema_state
from persistence.migrations.upgrade import upgrade
from persistence.users.changes import log_changes
from tests.conftest import BRANCHES, TEST_DATABASE_URL
from tests.support.users import ASHA

pytestmark = pytest.mark.skipif(not TEST_DATABASE_URL, reason="needs a SQL Server, which TEST_DATABASE_URL names")


def _as_reader(*statements: str) -> tuple[Any, ...]:
    """The only stored user as read by a database user without a login, after these statements."""
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
    joined = "ALTER ROLE rollbook_app ADD MEMBER rollbook_reader"  # a dropped user leaves the role, too
    assert _as_reader(joined) == ("Asha Rao", "9876543210", "ABCPE1234F")


@pytest.mark.usefixtures("app_database")
def test_a_current_database_is_left_as_it_is_and_scripts_may_be_repeated() -> None:
    lines: list[str] = []
    upgrade(BRANCHES, lines.append)
    assert lines == []
    apply_scripts(BRANCHES, lines.append)
    assert lines
    assert schema_state(BRANCHES) == "current"


@pytest.mark.usefixtures("app_database")
def test_the_scripts_for_sqlcmd_do_nothing_on_a_current_database() -> None:
    for path in [path for branch in BRANCHES for path in sorted((SQL / branch).glob("[0-9]*.sql"))]:
        with connections.reading() as connection:
            for batch in split_batches(path.read_text("utf-8")):
                connection.exec_driver_sql(batch)
    assert schema_state(BRANCHES) == "current"


@pytest.mark.usefixtures("app_database")
def test_a_transaction_that_fails_half_way_leaves_no_table() -> None:
    def fail() -> None:
        with connections.transaction() as connection:
            connection.exec_driver_sql("CREATE TABLE dbo.rollbook_half (a INT NOT NULL)")
            connection.exec_driver_sql("INSERT INTO dbo.rollbook_nowhere VALUES (1)")

    with pytest.raises(DBAPIError):
        fail()
    with connections.reading() as connection:
        assert "rollbook_half" not in inspect(connection).get_table_names()


def test_a_change_waits_in_the_feed_for_an_open_transaction_before_it(api: Any) -> None:
    beginning = api.post("get_changes").json()["next"]
    with connections.transaction() as connection:
        change = Change(ASHA, 1, Operation.CREATED, (), None)
        log_changes(connection, [change], Attribution(), now="2026-01-01T00:00:00.000000Z")
        user = api.create()
        assert api.post("get_changes", {"after": beginning}).json() == {"changes": [], "next": beginning}
    changes = api.post("get_changes", {"after": beginning}).json()["changes"]
    assert [change["user_id"] for change in changes] == [ASHA, user["user_id"]]


@pytest.mark.usefixtures("app_database")
def test_the_locks_on_records_of_the_calculator_never_escalate() -> None:
    query = "SELECT lock_escalation_desc FROM sys.tables WHERE object_id = OBJECT_ID(N'dbo.calculator_records')"
    with connections.reading() as connection:
        assert connection.exec_driver_sql(query).scalar_one() == "DISABLE"
