"""The T-SQL scripts, the models and the embedded database have the same tables, indexes and managers."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlalchemy import update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.mssql import pyodbc
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlglot import exp
from sqlmodel import SQLModel

from persistence import database
from persistence.users import MANAGERS, SEED_MANAGERS, USERS

SCRIPTS = Path(__file__).resolve().parents[2] / "sql" / "users"
SCHEMA = SCRIPTS / "001_schema.sql"
SEED = SCRIPTS / "002_seed_managers.sql"
RIGHTS = SCRIPTS / "003_rights.sql"
TABLES = {table.name: table for table in (MANAGERS, USERS)}
MASK = re.compile(r" MASKED WITH \(FUNCTION = '([^']*)'\)")  # sqlglot knows no masks, and neither do the models


# ---- reading scripts and models


def _batches(script: Path) -> list[list[exp.Expr]]:
    """The statements of each batch, as sqlcmd cuts them: a line with nothing but GO ends one."""
    texts = re.split(r"(?im)^[ \t]*go[ \t]*$", MASK.sub("", script.read_text("utf-8")))
    batches = [[node for node in sqlglot.parse(text, dialect="tsql") if node] for text in texts]
    return [batch for batch in batches if batch]


def _guarded(script: Path) -> Iterator[tuple[exp.Expr, exp.Expr]]:
    """The condition and the statement of every batch behind the settings; refuses any other kind of batch."""
    for batch in _batches(script)[1:]:
        (guard,) = batch
        assert isinstance(guard, exp.IfBlock), f"no IF around: {_text(guard)}"
        assert not guard.args.get("false"), f"ELSE: {_text(guard)}"
        (statement,) = guard.args["true"].expressions
        assert isinstance(statement, exp.Create | exp.Insert), f"neither CREATE nor INSERT: {_text(statement)}"
        yield guard.this, statement


def _creates(script: Path) -> list[exp.Create]:
    return [statement for _, statement in _guarded(script) if isinstance(statement, exp.Create)]


def _without_comments(script: Path) -> str:
    return re.sub(r"(?m)^--.*\n", "", script.read_text("utf-8"))


def _statements(script: Path) -> list[str]:
    """Every statement as it is written, on one line."""
    parts = re.split(r";|^GO$", _without_comments(script), flags=re.MULTILINE)
    return [" ".join(part.split()) for part in parts if part.strip()]


def _text(node: exp.Expr) -> str:
    """T-SQL in one spelling, complete: whatever a script says more than a model makes the two differ."""
    return node.sql("tsql", comments=False)


def _bare(node: exp.Expr) -> str:
    """T-SQL without what the models leave to the server: dbo, names of constraints, CLUSTERED, the default (1, 1)."""
    return re.sub(r"\bdbo\.|CONSTRAINT \w+ | CLUSTERED(?= \()|(?<=IDENTITY)\(1, 1\)", "", _text(node))


def _tables(creates: list[exp.Create]) -> dict[str, list[str]]:
    """The columns, in order, and the constraints of every table."""
    tables = [create for create in creates if create.kind == "TABLE"]
    assert all(_text(create).startswith("CREATE TABLE ") and not create.args.get("properties") for create in tables)
    return {create.this.this.name: [_bare(part) for part in create.this.expressions] for create in tables}


def _indexes(creates: list[exp.Create]) -> dict[str, str]:
    """The statement of every index: its table, columns, uniqueness and predicate."""
    return {create.this.name: _bare(create) for create in creates if create.kind == "INDEX"}


def _parsed(statement: CreateTable | CreateIndex) -> exp.Create:
    dialect = pyodbc.dialect()  # type: ignore[no-untyped-call]
    parsed = sqlglot.parse_one(str(statement.compile(dialect=dialect)), dialect="tsql")
    assert isinstance(parsed, exp.Create)
    return parsed


def _model_creates() -> list[exp.Create]:
    tables = [_parsed(CreateTable(table)) for table in TABLES.values()]
    return tables + [_parsed(CreateIndex(index)) for table in TABLES.values() for index in table.indexes]


# ---- the schema script and the models


def test_the_script_creates_the_tables_of_the_models_column_by_column() -> None:
    assert _tables(_creates(SCHEMA)) == _tables(_model_creates())


def test_the_script_creates_the_indexes_of_the_models_and_no_other() -> None:
    assert _indexes(_creates(SCHEMA)) == _indexes(_model_creates())


def test_the_script_creates_nothing_else_and_nothing_twice() -> None:
    assert len(list(_guarded(SCHEMA))) == len(_model_creates())


def test_the_constraints_have_names_and_the_clustered_keys_are_written_out() -> None:
    named = [_text(part) for create in _creates(SCHEMA) for part in create.find_all(exp.Constraint)]
    assert named == [
        "CONSTRAINT pk_managers PRIMARY KEY CLUSTERED (manager_id)",
        "CONSTRAINT pk_users PRIMARY KEY CLUSTERED (id)",
        "CONSTRAINT ck_users_whole_values CHECK (mob_num NOT LIKE 'X%' AND pan_num NOT LIKE 'XXXXXX%')",
        "CONSTRAINT fk_users_manager_id FOREIGN KEY (manager_id) REFERENCES dbo.managers (manager_id)",
    ]


def test_every_create_runs_only_where_the_thing_it_creates_is_missing() -> None:
    for condition, create in _guarded(SCHEMA):
        table = next(create.find_all(exp.Table)).name
        expected = f"OBJECT_ID(N'dbo.{table}', N'U') IS NULL"
        if isinstance(create, exp.Create) and create.kind == "INDEX":
            of_index = f"object_id = OBJECT_ID(N'dbo.{table}') AND name = N'{create.this.name}'"
            expected = f"NOT EXISTS(SELECT 1 FROM sys.indexes WHERE {of_index})"
        assert _text(condition) == expected


def test_every_table_is_in_dbo_and_created_before_it_is_named() -> None:
    created: set[str] = set()
    for create in _creates(SCHEMA):
        named = [_text(table) for table in create.find_all(exp.Table)]
        if create.kind == "TABLE":
            created.add(f"dbo.{create.this.this.name}")
        assert set(named) <= created


def test_numbers_and_pans_are_masked_but_for_their_last_four_characters_and_nothing_else_is() -> None:
    text = _without_comments(SCHEMA)
    masked = re.findall(rf"^ +(\w+) CHAR\(10\){MASK.pattern}", text, re.MULTILINE)
    assert masked == [(name, 'partial(0, "XXXXXX", 4)') for name in ("mob_num", "pan_num")]  # ten characters again
    assert text.count("MASKED") == 2
    users = re.search(r"CREATE TABLE dbo\.users \(.*?\);", text, re.DOTALL)
    assert users
    assert len(MASK.findall(users[0])) == 2


# ---- the script of rights


def test_the_app_may_read_and_write_every_table_and_see_whole_values_and_nothing_else() -> None:
    grants = [statement for statement in _statements(RIGHTS) if not statement.startswith(("SET ", "IF "))]
    assert sorted(grants) == sorted(
        [
            *(f"GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.{table} TO rollbook_app" for table in TABLES),
            "GRANT UNMASK TO rollbook_app",
        ]
    )


def test_the_role_is_created_only_where_it_is_missing_and_before_it_is_named() -> None:
    statements = [statement for statement in _statements(RIGHTS) if not statement.startswith("SET ")]
    assert statements[0] == "IF DATABASE_PRINCIPAL_ID(N'rollbook_app') IS NULL CREATE ROLE rollbook_app"
    assert all(statement.startswith("GRANT ") for statement in statements[1:])  # which may be repeated


# ---- every script


each_script = pytest.mark.parametrize("script", [SCHEMA, SEED, RIGHTS], ids=lambda script: script.name)


@each_script
def test_a_script_begins_with_a_batch_of_the_settings_that_filtered_indexes_need(script: Path) -> None:
    settings = [_text(statement) for statement in _batches(script)[0]]
    assert settings == ["SET QUOTED_IDENTIFIER ON", "SET ANSI_NULLS ON", "SET XACT_ABORT ON"]


@pytest.mark.parametrize("script", [SCHEMA, SEED], ids=lambda script: script.name)
def test_every_other_batch_of_a_script_is_one_statement_behind_one_if(script: Path) -> None:
    assert len(list(_guarded(script))) == len(_batches(script)) - 1


@each_script
def test_a_script_has_no_merge_which_loses_races_and_no_go_that_cuts_a_statement(script: Path) -> None:
    text = script.read_text("utf-8")
    assert not re.search(r"\bMERGE\b", text, re.IGNORECASE)
    statements = re.sub(r"(?m)^--.*$", "", text)
    assert all(re.search(r";\s*\Z", batch) for batch in re.split(r"(?im)^\s*go\b", statements)[:-1])


@each_script
def test_a_script_is_ascii_because_sqlcmd_reads_it_in_the_code_page_of_its_machine(script: Path) -> None:
    assert script.read_bytes().isascii()


def test_there_is_no_script_that_these_tests_do_not_know() -> None:
    assert sorted(SCRIPTS.glob("*.sql")) == [SCHEMA, SEED, RIGHTS]


# ---- the seed script, run on SQLite: what it says is simple enough to mean the same there


@pytest.fixture
def seeded() -> Iterator[sqlite3.Connection]:
    """A database whose table dbo.managers was filled by the seed script."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("ATTACH ':memory:' AS dbo")
        columns = ", ".join(column.name for column in MANAGERS.c)
        connection.execute(f"CREATE TABLE dbo.managers ({columns}, PRIMARY KEY (manager_id))")
        _run_seed(connection)
        yield connection


def _run_seed(connection: sqlite3.Connection) -> None:
    for condition, insert in _guarded(SEED):
        if connection.execute(f"SELECT {_for_sqlite(condition)}").fetchone() == (1,):
            connection.execute(_for_sqlite(insert))


def _for_sqlite(node: exp.Expr) -> str:
    plain = node.transform(lambda part: exp.Literal.string(part.name) if isinstance(part, exp.National) else part)
    return plain.sql("sqlite", comments=False)


def _managers(connection: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    """The rows in the form of SEED_MANAGERS, but for the Z that DATETIME2 does not hold."""
    cursor = connection.execute(f"SELECT * FROM {table} ORDER BY manager_id")
    names = [column[0] for column in cursor.description]
    return [row | {"is_active": bool(row["is_active"])} for row in (dict(zip(names, r, strict=True)) for r in cursor)]


def _seed_without_z() -> list[dict[str, Any]]:
    times = ("created_at", "updated_at")
    return [
        row | {key: time.removesuffix("Z") for key in times if isinstance(time := row[key], str)}
        for row in SEED_MANAGERS
    ]


def test_the_seed_script_inserts_the_managers_that_the_models_seed(seeded: sqlite3.Connection) -> None:
    assert _managers(seeded, "dbo.managers") == _seed_without_z()


def test_the_seed_script_run_again_restores_a_missing_manager_and_leaves_a_retired_one_retired(
    seeded: sqlite3.Connection,
) -> None:
    first, second, *others = _seed_without_z()
    seeded.execute("UPDATE dbo.managers SET is_active = 0, full_name = 'A. Rao' WHERE manager_id = :manager_id", first)
    seeded.execute("DELETE FROM dbo.managers WHERE manager_id = :manager_id", second)
    _run_seed(seeded)
    retired = first | {"is_active": False, "full_name": "A. Rao"}
    assert _managers(seeded, "dbo.managers") == [retired, second, *others]


def test_every_manager_is_inserted_only_where_that_very_id_is_missing() -> None:
    for condition, insert in _guarded(SEED):
        manager_id = _text(insert.expression.expressions[0].expressions[0])
        assert _text(condition) == f"NOT EXISTS(SELECT 1 FROM dbo.managers WHERE manager_id = {manager_id})"


def test_the_seed_script_writes_every_text_as_unicode() -> None:
    for condition, insert in _guarded(SEED):
        assert not [text for node in (condition, insert) for text in node.find_all(exp.Literal) if text.is_string]


def test_the_seeded_times_are_read_alike_under_every_language_setting() -> None:
    times = [_text(insert.expression.expressions[0].expressions[3]) for _, insert in _guarded(SEED)]
    assert times
    assert all(re.fullmatch(r"N'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}'", time) for time in times)


def test_there_are_at_least_four_active_managers_and_one_inactive() -> None:
    activity = [row["is_active"] for row in SEED_MANAGERS]
    assert activity.count(True) >= 4
    assert activity.count(False) >= 1


# ---- the embedded database


def test_the_embedded_database_has_the_tables_and_columns_of_the_models(database_file: Path) -> None:
    with closing(sqlite3.connect(database_file)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        assert {name for (name,) in names} == set(SQLModel.metadata.tables)
        for name, table in TABLES.items():
            dialect = sqlite.dialect()
            columns = connection.execute("SELECT name, type, [notnull], pk FROM pragma_table_info(?)", [name])
            assert columns.fetchall() == [
                (column.name, column.type.compile(dialect), not column.nullable, column.primary_key)
                for column in table.c
            ]
            references = connection.execute("SELECT [from], [table], [to] FROM pragma_foreign_key_list(?)", [name])
            assert references.fetchall() == [
                (key.parent.name, key.column.table.name, key.column.name) for key in table.foreign_keys
            ]


def test_the_embedded_database_has_the_indexes_and_predicates_of_the_script(database_file: Path) -> None:
    with closing(sqlite3.connect(database_file)) as connection:
        rows = connection.execute("SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        creates = [sqlglot.parse_one(sql, dialect="sqlite") for table, sql in rows if table in TABLES]
    assert _indexes([create for create in creates if isinstance(create, exp.Create)]) == _indexes(_creates(SCHEMA))


def test_the_embedded_database_starts_with_the_seeded_managers(database_file: Path) -> None:
    with closing(sqlite3.connect(database_file)) as connection:
        assert _managers(connection, "managers") == SEED_MANAGERS


def test_opening_the_embedded_database_again_changes_nothing_and_a_retired_manager_stays_retired(
    database_file: Path,
) -> None:
    retired = SEED_MANAGERS[0]["manager_id"]
    with database.transaction() as connection:
        connection.execute(update(MANAGERS).where(MANAGERS.c.manager_id == retired).values(is_active=False))
    before = _dump(database_file)
    database.connect(f"sqlite:///{database_file}", threads=8)
    assert _dump(database_file) == before
    with closing(sqlite3.connect(database_file)) as plain:
        assert [row["is_active"] for row in _managers(plain, "managers")] == [False, True, True, True, False]


def _dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())
