"""The migrations make the tables of the models on both engines, and began with those of release 0.1.0."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlglot
from alembic import command
from sqlalchemy import MetaData, create_engine
from sqlglot import exp
from sqlmodel import SQLModel

from persistence.database import connections
from persistence.migrations.adoption import RELEASE_0_1_0
from persistence.migrations.generate import generated_files
from persistence.migrations.history import alembic_config, list_branches, list_migrations
from persistence.migrations.scripts import SQL
from tests.conftest import BRANCHES, PROJECT
from tests.support.projects import ProjectCopy
from tests.support.tsql import check_tsql
from tests.support.tsql_schema import Schema, model_statements, parse, read_schema, script_statements

RELEASE = PROJECT / "tests" / "fixtures" / "release-0.1.0"
MIGRATIONS = sorted(SQL.glob("*/[0-9]*.sql"))
GUARD = "IF @@TRANCOUNT > 0\n"


def _sqlite_schema(path: Path) -> Schema:
    """The parts of every table and index, sorted: a column that a migration added stands last."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    schema: Schema = {table: set() for table, _ in rows if table != "alembic_version"}
    for table, sql in rows:
        node = sqlglot.parse_one(sql, dialect="sqlite")
        parts = node.this.expressions if node.args["kind"] == "TABLE" else [node]
        schema.get(table, set()).update(part.sql("sqlite") for part in parts)
    return schema


# ---- SQLite


def test_the_migrations_make_the_tables_of_the_models_on_sqlite(migrated_file: Path, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/models.db")
    SQLModel.metadata.create_all(engine)
    engine.dispose()
    assert _sqlite_schema(migrated_file) == _sqlite_schema(tmp_path / "models.db")


@pytest.mark.usefixtures("database_file")
def test_alembic_finds_no_difference_between_migrations_and_models() -> None:
    assert {*BRANCHES} == {*list_branches()}  # every migration has run
    with connections.engines()[0].connect() as connection:
        command.check(alembic_config(connection=connection, models=_models_of_sqlite()))  # raises


def _models_of_sqlite() -> MetaData:
    """The models without the indexes of columns that SQL Server alone has: these are system columns."""
    models = MetaData()
    for table in SQLModel.metadata.tables.values():
        copy = table.to_metadata(models)
        copy.indexes -= {index for index in copy.indexes if any(column.system for column in index.columns)}
    return models


# ---- SQL Server


def test_the_migrations_make_the_tables_of_the_models_on_sql_server() -> None:
    schema = read_schema(script_statements(*MIGRATIONS))
    assert schema == read_schema(model_statements(SQLModel.metadata))


@pytest.mark.parametrize(("branch", "folder"), [("shared", "chassis"), ("users", "users"), ("points", "points")])
def test_the_first_migration_makes_what_release_0_1_0_made_on_sql_server(branch: str, folder: str) -> None:
    baseline, release = SQL / branch / "001_baseline.sql", RELEASE / folder / "001_schema.sql"
    schema = read_schema(script_statements(baseline))
    assert schema == read_schema(script_statements(release))
    assert _masks(baseline) == _masks(release)


@pytest.mark.parametrize(("branch", "folder"), [("shared", "chassis"), ("users", "users"), ("points", "points")])
def test_release_0_1_0_is_recognized_by_all_its_tables_and_indexes(branch: str, folder: str) -> None:
    schema = read_schema(script_statements(RELEASE / folder / "001_schema.sql"))
    indexes = re.findall(r"INDEX (\w+) ON", "\n".join(part for parts in schema.values() for part in parts))
    assert (set(RELEASE_0_1_0[branch].tables), sorted(RELEASE_0_1_0[branch].indexes)) == (set(schema), sorted(indexes))
    baseline = (SQL / branch / "001_baseline.sql").read_text("utf-8")
    (adoption,) = re.findall(r"-- Release 0\.1\.0 .*?\nGO\n", baseline, re.DOTALL)
    assert set(re.findall(r"N'(?:dbo\.)?(\w{2,})'", adoption)) == {*schema, *indexes}


def _masks(script: Path) -> list[tuple[str, str]]:
    return re.findall(r"^ +(\w+ .* MASKED WITH \(FUNCTION = '([^']*)'\))", script.read_text("utf-8"), re.MULTILINE)


def test_mobile_numbers_and_pans_are_masked_from_the_beginning() -> None:
    masks = [mask for script in MIGRATIONS for mask in _masks(script)]
    assert [mask.split()[0] for mask, _ in masks] == ["mob_num", "pan_num"] * 2  # of users, and of the log
    assert {function for _, function in masks} == {'partial(0, "XXXXXX", 4)'}
    assert len(re.findall(r"'(mob_num|pan_num)'", (SQL / "users" / "masks.sql").read_text("utf-8"))) == 4


def test_keys_names_hashes_and_responses_are_compared_by_code_point() -> None:
    schema = read_schema(script_statements(*MIGRATIONS))
    compared = [
        f"{table}.{part.split()[0]}"
        for table, parts in schema.items()
        for part in sorted(parts)
        if " COLLATE Latin1_General_100_BIN2 " in part
    ]
    accounts = [f"accounts.{column}" for column in ("password_hash", "role", "username")]
    keys = [f"idempotency_keys.{column}" for column in ("caller", "idempotency_key", "trigger_name")]
    responses = ["calculator_records.operation_response"]
    assert sorted(compared) == ["account_failures.username", *accounts, *responses, *keys, "points_balances.payer"]


# ---- what is generated


def test_heads_and_scripts_are_as_the_migrations_generate_them() -> None:
    generated = generated_files()
    stale = [str(path) for path, text in generated.items() if path.read_text("utf-8") != text]
    assert not stale, f"run `make sql`: {stale}"
    assert sorted(path for path in generated if path.suffix == ".sql") == MIGRATIONS


def test_a_statement_that_is_bound_when_it_is_compiled_is_dynamic(tmp_path: Path) -> None:
    # A later migration may drop its columns: a rerun must not compile it, even behind a false condition.
    project = ProjectCopy(tmp_path)
    project.add_migration(
        "toy_0001",
        "baseline",
        "op.create_table('toys', sa.Column('name', sa.Unicode(10)), sa.Column('old', sa.Unicode(10)))",
        """op.execute("INSERT INTO toys (name, old) VALUES ('it''s', 'x')")""",
        "op.execute('UPDATE toys SET name = old')",
        "op.drop_column('toys', 'old', mssql_drop_default=True)",
    )
    path = tmp_path / "sql" / "toy" / "001_baseline.sql"
    guarded = [batch.removeprefix(GUARD) for batch in script_statements(path) if batch.startswith(GUARD)]
    created, inserted, updated, default, dropped, recorded, _ = guarded
    assert inserted == "EXEC (N'INSERT INTO toys (name, old) VALUES (''it''''s'', ''x'')');"
    assert updated == "EXEC (N'UPDATE toys SET name = old');"
    assert default.startswith("EXEC (N'declare @const_name ")  # several statements behind one condition
    assert [line.split("(")[0].split()[0] for line in (created, dropped, recorded)] == ["CREATE", "ALTER", "INSERT"]
    check_tsql(f"{GUARD}{inserted}")


def test_migrations_of_a_branch_are_numbered_without_gaps() -> None:
    for branch in list_branches():
        migrations = list_migrations([branch])
        assert [migration.number for migration in migrations] == [*range(1, len(migrations) + 1)]
        for migration in migrations:
            assert migration.name.startswith(f"{branch}_{migration.number:04}_")
            assert not migration.script.dependencies  # Alembic would drop the row of the branch depended on


def test_a_foreign_key_leads_to_a_table_that_is_made_before() -> None:
    made: set[str] = set()
    for path in [path for branch in BRANCHES for path in MIGRATIONS if path.parent.name == branch]:
        for node in [node for statement in script_statements(path) for node in parse(statement)]:
            assert {next(reference.find_all(exp.Table)).name for reference in node.find_all(exp.Reference)} <= made
            made |= {create.this.this.name for create in node.find_all(exp.Create) if create.kind == "TABLE"}
    assert made > {*SQLModel.metadata.tables}
