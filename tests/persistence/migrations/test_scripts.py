"""The scripts in sql/ that are written by hand: permissions, the managers of the seed, and how scripts are split."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table
from sqlmodel import SQLModel

from persistence.database import connections
from persistence.migrations.scripts import SCRIPTS, SQL, split_batches
from persistence.points import LEDGER
from persistence.users.tables import MANAGERS
from tests.conftest import BRANCHES
from tests.support.seed import SEED_MANAGERS
from tests.support.seed_scripts import parse_seed, run_seed
from tests.support.tsql_schema import script_statements

SEED = SQL / "users" / "seed.sql"
PERMISSIONS = [SQL / branch / "permissions.sql" for branch in BRANCHES]


# ---- batches


@pytest.mark.parametrize("end", ["GO", "go", "  GO", "GO  ", "\tgO\t", "GO;"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_a_line_that_consists_of_go_ends_a_batch(end: str, line_break: str) -> None:
    script = line_break.join(["SELECT 1;", end, "SELECT 2", "FROM t;", end, "", end])
    assert split_batches(script) == ["SELECT 1;", f"SELECT 2{line_break}FROM t;"]


@pytest.mark.parametrize("line", ["GOVERNOR", "CARGO", "SELECT a AS GO", "[GO]", "-- GO", "'GO'", "GO TO", "@GO"])
def test_go_inside_a_line_or_a_word_ends_nothing(line: str) -> None:
    assert split_batches(f"SELECT 1\n{line}\nSELECT 2") == [f"SELECT 1\n{line}\nSELECT 2"]


# ---- files


def test_every_script_is_generated_or_one_that_is_applied_by_name() -> None:
    found = {path.relative_to(SQL) for path in SQL.rglob("*") if path.is_file()}
    by_name = {Path(branch) / f"{script}.sql" for branch in BRANCHES for script in SCRIPTS}
    others = {path for path in found if not re.match(r"[0-9]{3}_", path.name)} - by_name
    samples = {Path("accounts/samples.sql"), Path("calculator/samples.sql")}  # which `migrate` does not apply
    assert others == {Path("member.sql.template")} | samples


@pytest.mark.parametrize("path", [*SQL.rglob("*.sql*")], ids=lambda path: path.relative_to(SQL).as_posix())
def test_a_script_is_ascii_as_sqlcmd_reads_it_in_any_code_page(path: Path) -> None:
    assert path.read_bytes().isascii()


# ---- permissions


def _grants(path: Path) -> list[str]:
    statements = [statement.splitlines()[-1] for statement in script_statements(path)]
    return [statement for statement in statements if statement.startswith("GRANT ")]


def test_the_app_has_permissions_on_every_table() -> None:
    granted = {match for path in PERMISSIONS for match in re.findall(r" ON dbo\.(\w+) TO", "\n".join(_grants(path)))}
    assert granted == {*SQLModel.metadata.tables, "alembic_version"}


@pytest.mark.parametrize("path", PERMISSIONS, ids=lambda path: path.parent.name)
def test_permissions_create_the_role_where_it_is_missing_and_name_no_other(path: Path) -> None:
    _, role, *grants = (re.sub(r"(?m)^--.*\n", "", batch).strip() for batch in script_statements(path))
    assert role == "IF DATABASE_PRINCIPAL_ID(N'rollbook_app') IS NULL\nCREATE ROLE rollbook_app;"
    assert grants
    assert all(re.fullmatch(r"GRANT .* TO rollbook_app;", grant) for grant in grants)


def test_the_app_cannot_change_what_is_history_or_the_schemas_version() -> None:
    grants = [grant for path in PERMISSIONS for grant in _grants(path)]
    updates = [grant for grant in grants if re.search(r"\bUPDATE\b", grant) and "(" not in grant]
    for table in (
        "points_transactions",
        "points_spends",
        "calculator_records",
        "user_changes",
        "user_logs",
        "alembic_version",
    ):
        assert not [grant for grant in updates if f" ON dbo.{table} " in grant]
    assert "GRANT UPDATE (points_left) ON dbo.points_transactions TO rollbook_app;" in grants
    assert "GRANT SELECT, INSERT ON dbo.user_changes TO rollbook_app;" in grants
    assert "GRANT SELECT, INSERT, DELETE ON dbo.user_change_values TO rollbook_app;" in grants
    assert [grant for grant in grants if "alembic_version" in grant] == [
        "GRANT SELECT ON dbo.alembic_version TO rollbook_app;"
    ]


# ---- the seed, run on SQLite: what it says is simple enough to mean the same there


@pytest.fixture
def seeded() -> Iterator[sqlite3.Connection]:
    """A database whose table dbo.managers was filled by the seed script."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("ATTACH ':memory:' AS dbo")
        columns = ", ".join(column.name for column in MANAGERS.c)
        connection.execute(f"CREATE TABLE dbo.managers ({columns}, PRIMARY KEY (manager_id))")
        run_seed(connection, SEED)
        yield connection


def _managers(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """The rows as SEED_MANAGERS has them, but for the Z, which DATETIME2 does not hold."""
    cursor = connection.execute("SELECT * FROM dbo.managers ORDER BY manager_id")
    names = [column[0] for column in cursor.description]
    return [row | {"is_active": bool(row["is_active"])} for row in (dict(zip(names, r, strict=True)) for r in cursor)]


def _without_z() -> list[dict[str, Any]]:
    times = ("created_at", "updated_at")
    return [
        row | {key: time.removesuffix("Z") for key in times if isinstance(time := row[key], str)}
        for row in SEED_MANAGERS
    ]


def test_the_seed_has_the_managers_of_an_embedded_database(seeded: sqlite3.Connection) -> None:
    assert _managers(seeded) == _without_z()


def test_the_seed_run_again_adds_what_is_missing_and_changes_nothing(seeded: sqlite3.Connection) -> None:
    first, second, *others = _without_z()
    seeded.execute("UPDATE dbo.managers SET is_active = 0, full_name = 'A. Rao' WHERE manager_id = :manager_id", first)
    seeded.execute("DELETE FROM dbo.managers WHERE manager_id = :manager_id", second)
    run_seed(seeded, SEED)
    assert _managers(seeded) == [first | {"is_active": False, "full_name": "A. Rao"}, second, *others]


def test_the_seed_inserts_a_manager_only_where_that_id_is_missing() -> None:
    for condition, insert in parse_seed(SEED):
        manager_id = insert.expression.expressions[0].expressions[0].sql()
        assert condition.sql() == f"NOT EXISTS(SELECT 1 FROM dbo.managers WHERE manager_id = {manager_id})"


def test_the_times_of_the_seed_are_read_alike_under_every_language_setting() -> None:
    times = [insert.expression.expressions[0].expressions[3].name for _, insert in parse_seed(SEED)]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", time) for time in times)
    assert len(times) == len(SEED_MANAGERS)


# ---- the seed of an embedded database


@pytest.mark.usefixtures("database_file")
@pytest.mark.parametrize(("table", "rows"), [(MANAGERS, SEED_MANAGERS), (LEDGER, [{"id": 1, "total": 0}])])
def test_an_embedded_database_has_the_seed(table: Table, rows: list[dict[str, Any]]) -> None:
    with connections.reading() as connection:
        assert [dict(row._mapping) for row in connection.execute(table.select())] == rows
