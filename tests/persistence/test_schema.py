"""The T-SQL scripts, the models and the embedded database have the same tables, indexes and first rows."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlglot
from sqlalchemy import Table, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.mssql import pyodbc
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlglot import exp
from sqlmodel import SQLModel

from persistence.database import connections
from persistence.database.idempotency import KEYS
from persistence.points import BALANCES, LEDGER, SPENDS, TRANSACTIONS
from persistence.users import MANAGERS, SEED_MANAGERS, USERS

SQL = Path(__file__).resolve().parents[2] / "sql"


class Folder(NamedTuple):
    """The scripts of a service, or of what all services share, and what must come of them."""

    name: str
    tables: tuple[Table, ...]
    scripts: tuple[str, ...]
    constraints: tuple[str, ...]
    rights: tuple[str, ...]

    @property
    def paths(self) -> list[Path]:
        """Every script, in the order in which they run."""
        return [SQL / self.name / script for script in self.scripts]

    @property
    def schema(self) -> Path:
        """The script of the tables: the first."""
        return self.paths[0]

    @property
    def rights_script(self) -> Path:
        """The script of the rights: the last."""
        return self.paths[-1]


CHASSIS = Folder(
    name="chassis",
    tables=(KEYS,),
    scripts=("001_schema.sql", "002_rights.sql"),
    constraints=("CONSTRAINT pk_idempotency_keys PRIMARY KEY CLUSTERED (id)",),
    rights=("SELECT, INSERT, UPDATE, DELETE ON dbo.idempotency_keys",),
)
USERS_SERVICE = Folder(
    name="users",
    tables=(MANAGERS, USERS),
    scripts=("001_schema.sql", "002_seed_managers.sql", "003_rights.sql"),
    constraints=(
        "CONSTRAINT pk_managers PRIMARY KEY CLUSTERED (manager_id)",
        "CONSTRAINT pk_users PRIMARY KEY CLUSTERED (id)",
        "CONSTRAINT ck_users_whole_values CHECK (mob_num NOT LIKE 'X%' AND pan_num NOT LIKE 'XXXXXX%')",
        "CONSTRAINT fk_users_manager_id FOREIGN KEY (manager_id) REFERENCES dbo.managers (manager_id)",
    ),
    rights=(
        "SELECT, INSERT, UPDATE, DELETE ON dbo.managers",
        "SELECT, INSERT, UPDATE, DELETE ON dbo.users",
        "UNMASK",
    ),
)
POINTS = Folder(
    name="points",
    tables=(LEDGER, BALANCES, TRANSACTIONS, SPENDS),
    scripts=("001_schema.sql", "002_rights.sql"),
    constraints=(
        "CONSTRAINT pk_points_ledger PRIMARY KEY CLUSTERED (id)",
        "CONSTRAINT ck_points_ledger_one_row CHECK (id = 1)",
        "CONSTRAINT ck_points_ledger_total CHECK (total >= 0)",
        "CONSTRAINT pk_points_balances PRIMARY KEY CLUSTERED (id)",
        "CONSTRAINT ck_points_balances_not_below_zero CHECK (total >= 0 AND outstanding_debit >= 0)",
        "CONSTRAINT pk_points_transactions PRIMARY KEY CLUSTERED (id)",
        "CONSTRAINT ck_points_transactions_not_below_zero CHECK (points_left >= 0)",
        "CONSTRAINT fk_points_transactions_payer_id FOREIGN KEY (payer_id) REFERENCES dbo.points_balances (id)",
        "CONSTRAINT pk_points_spends PRIMARY KEY CLUSTERED (id)",
        "CONSTRAINT fk_points_spends_payer_id FOREIGN KEY (payer_id) REFERENCES dbo.points_balances (id)",
    ),
    rights=(
        "SELECT, UPDATE ON dbo.points_ledger",
        "SELECT, INSERT, UPDATE, DELETE ON dbo.points_balances",
        "SELECT, INSERT, DELETE ON dbo.points_transactions",
        "UPDATE (points_left) ON dbo.points_transactions",  # what is history stays as it is
        "SELECT, INSERT, DELETE ON dbo.points_spends",  # a spend is written once
    ),
)
FOLDERS = (CHASSIS, USERS_SERVICE, POINTS)
SCHEMA, SEED, _ = USERS_SERVICE.paths
SCRIPTS = [script for folder in FOLDERS for script in folder.paths]
# The rows that a schema script puts in, by table: the condition, the statement, and what the model puts in.
FIRST_ROWS: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
    "points_ledger": (
        "NOT EXISTS(SELECT 1 FROM dbo.points_ledger WHERE id = 1)",
        "INSERT INTO dbo.points_ledger (id, total) VALUES (1, 0)",
        [{"id": 1, "total": 0}],
    )
}
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


def _model_creates(folder: Folder) -> list[exp.Create]:
    tables = [_parsed(CreateTable(table)) for table in folder.tables]
    return tables + [_parsed(CreateIndex(index)) for table in folder.tables for index in table.indexes]


def _first_rows(folder: Folder) -> list[str]:
    return [table.name for table in folder.tables if table.name in FIRST_ROWS]


each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


# ---- the schema scripts and the models


def test_every_table_belongs_to_exactly_one_folder() -> None:
    names = [table.name for folder in FOLDERS for table in folder.tables]
    assert sorted(names) == sorted(SQLModel.metadata.tables)
    assert all(SQLModel.metadata.tables[table.name] is table for folder in FOLDERS for table in folder.tables)


@each_folder
def test_the_script_creates_the_tables_of_the_models_column_by_column(folder: Folder) -> None:
    assert _tables(_creates(folder.schema)) == _tables(_model_creates(folder))


@each_folder
def test_the_script_creates_the_indexes_of_the_models_and_no_other(folder: Folder) -> None:
    assert _indexes(_creates(folder.schema)) == _indexes(_model_creates(folder))


@each_folder
def test_the_script_creates_nothing_else_and_nothing_twice(folder: Folder) -> None:
    assert len(list(_guarded(folder.schema))) == len(_model_creates(folder)) + len(_first_rows(folder))


@each_folder
def test_the_constraints_have_names_and_the_clustered_keys_are_written_out(folder: Folder) -> None:
    named = [_text(part) for create in _creates(folder.schema) for part in create.find_all(exp.Constraint)]
    assert named == [*folder.constraints]


@each_folder
def test_every_create_runs_only_where_the_thing_it_creates_is_missing(folder: Folder) -> None:
    for condition, statement in _guarded(folder.schema):
        table = next(statement.find_all(exp.Table)).name
        expected = f"OBJECT_ID(N'dbo.{table}', N'U') IS NULL"
        if isinstance(statement, exp.Create) and statement.kind == "INDEX":
            of_index = f"object_id = OBJECT_ID(N'dbo.{table}') AND name = N'{statement.this.name}'"
            expected = f"NOT EXISTS(SELECT 1 FROM sys.indexes WHERE {of_index})"
        if isinstance(statement, exp.Insert):
            expected = FIRST_ROWS[table][0]
        assert _text(condition) == expected


@each_folder
def test_every_table_is_in_dbo_and_created_before_it_is_named(folder: Folder) -> None:
    created: set[str] = set()
    for _, statement in _guarded(folder.schema):
        named = [_text(table) for table in statement.find_all(exp.Table)]
        if isinstance(statement, exp.Create) and statement.kind == "TABLE":
            created.add(f"dbo.{statement.this.this.name}")
        assert set(named) <= created


@each_folder
def test_the_script_puts_in_the_first_rows_that_the_models_put_in_and_no_other(folder: Folder) -> None:
    inserts = [_text(statement) for _, statement in _guarded(folder.schema) if isinstance(statement, exp.Insert)]
    assert inserts == [FIRST_ROWS[name][1] for name in _first_rows(folder)]


def test_names_and_keys_that_must_equal_nothing_but_themselves_are_compared_by_their_code_points() -> None:
    exact = [
        (create.this.this.name, column.name)
        for folder in FOLDERS
        for create in _creates(folder.schema)
        for column in create.find_all(exp.ColumnDef)
        if " COLLATE Latin1_General_100_BIN2 " in _text(column)
    ]
    assert exact == [
        ("idempotency_keys", "trigger_name"),
        ("idempotency_keys", "idempotency_key"),
        ("points_balances", "payer"),
    ]
    assert sum(_without_comments(script).count("COLLATE") for script in SCRIPTS) == len(exact)


def test_numbers_and_pans_are_masked_but_for_their_last_four_characters_and_nothing_else_is() -> None:
    text = _without_comments(SCHEMA)
    masked = re.findall(rf"^ +(\w+) CHAR\(10\){MASK.pattern}", text, re.MULTILINE)
    assert masked == [(name, 'partial(0, "XXXXXX", 4)') for name in ("mob_num", "pan_num")]  # ten characters again
    assert text.count("MASKED") == sum(script.read_text("utf-8").count("MASKED WITH") for script in SCRIPTS) == 2
    users = re.search(r"CREATE TABLE dbo\.users \(.*?\);", text, re.DOTALL)
    assert users
    assert len(MASK.findall(users[0])) == 2


# ---- the scripts of rights


@each_folder
def test_the_app_may_do_what_it_does_to_every_table_and_see_whole_values_and_nothing_else(folder: Folder) -> None:
    statements = _statements(folder.rights_script)
    grants = [statement for statement in statements if not statement.startswith(("SET ", "IF "))]
    assert sorted(grants) == sorted(f"GRANT {right} TO rollbook_app" for right in folder.rights)


@each_folder
def test_every_table_has_rights_in_the_folder_that_creates_it(folder: Folder) -> None:
    granted = dict.fromkeys(right.partition(" ON dbo.")[2] for right in folder.rights if " ON " in right)
    assert list(granted) == [table.name for table in folder.tables]


@each_folder
def test_rights_are_granted_in_the_script_of_rights_alone(folder: Folder) -> None:
    for script in folder.paths[:-1]:
        assert not re.search(r"\b(GRANT|ROLE|DENY|REVOKE)\b", _without_comments(script))


@each_folder
def test_the_role_is_created_only_where_it_is_missing_and_before_it_is_named(folder: Folder) -> None:
    # In every folder, so that each can be applied alone.
    statements = [statement for statement in _statements(folder.rights_script) if not statement.startswith("SET ")]
    assert statements.pop(0) == "IF DATABASE_PRINCIPAL_ID(N'rollbook_app') IS NULL CREATE ROLE rollbook_app"
    assert statements
    assert all(statement.startswith("GRANT ") for statement in statements)  # which may be repeated


# ---- every script


def _id(script: Path) -> str:
    return script.relative_to(SQL).as_posix()


each_script = pytest.mark.parametrize("script", SCRIPTS, ids=_id)


@each_script
def test_a_script_begins_with_a_batch_of_the_settings_that_filtered_indexes_need(script: Path) -> None:
    settings = [_text(statement) for statement in _batches(script)[0]]
    assert settings == ["SET QUOTED_IDENTIFIER ON", "SET ANSI_NULLS ON", "SET XACT_ABORT ON"]


@pytest.mark.parametrize("script", [script for folder in FOLDERS for script in folder.paths[:-1]], ids=_id)
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


@each_script
def test_the_settings_are_the_first_line_of_a_script(script: Path) -> None:
    lines = script.read_text("utf-8").splitlines()
    assert lines[:2] == ["SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;", "GO"]
    assert not re.search(r"(?i)\bSET (QUOTED|ANSI|XACT|NOCOUNT)", "\n".join(lines[2:]))


@each_script
def test_every_batch_behind_the_settings_is_one_statement(script: Path) -> None:
    # The driver tells of an error in a later one only to those who ask on.
    batches = [part for part in re.split(r"(?m)^GO$", _without_comments(script)) if part.strip()]
    assert all(len([part for part in batch.split(";") if part.strip()]) == 1 for batch in batches[1:])


def test_there_is_no_script_that_these_tests_do_not_know() -> None:
    # member.sql.template is a form that `python -m persistence --member` fills in.
    assert sorted(path for path in SQL.rglob("*") if path.is_file()) == sorted([*SCRIPTS, SQL / "member.sql.template"])
    assert all(sorted(folder.paths) == folder.paths for folder in FOLDERS)


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
        for name, table in SQLModel.metadata.tables.items():
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


@each_folder
def test_the_embedded_database_has_the_indexes_and_predicates_of_the_script(
    database_file: Path, folder: Folder
) -> None:
    names = {table.name for table in folder.tables}
    with closing(sqlite3.connect(database_file)) as connection:
        rows = connection.execute("SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        creates = [sqlglot.parse_one(sql, dialect="sqlite") for table, sql in rows if table in names]
    indexes = _indexes([create for create in creates if isinstance(create, exp.Create)])
    # SQLite has no INCLUDE, and reads the row instead.
    expected = {
        name: re.sub(r" INCLUDE \([^)]*\)", "", text) for name, text in _indexes(_creates(folder.schema)).items()
    }
    assert indexes == expected


@each_folder
def test_the_embedded_database_checks_what_the_script_says_that_the_server_checks(
    database_file: Path, folder: Folder
) -> None:
    with closing(sqlite3.connect(database_file)) as connection:
        made = [
            connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", [table.name]).fetchone()[0]
            for table in folder.tables
        ]
    checks = [check for sql in made for check in re.findall(r"CONSTRAINT \w+ CHECK \(.*\)", sql)]
    assert sorted(checks) == sorted(constraint for constraint in folder.constraints if " CHECK " in constraint)


@each_folder
def test_the_embedded_database_starts_with_the_first_rows_of_the_script(database_file: Path, folder: Folder) -> None:
    expected = {name: rows for name, (_, _, rows) in FIRST_ROWS.items()} | {"managers": SEED_MANAGERS}
    for table in folder.tables:
        with connections.reading() as connection:
            rows = [dict(row._mapping) for row in connection.execute(table.select())]
        assert rows == expected.get(table.name, [])


def test_opening_the_embedded_database_again_leaves_the_ledger_as_it_is(database_file: Path) -> None:
    with connections.transaction() as connection:
        connection.execute(update(LEDGER).values(total=5))
    before = _dump(database_file)
    connections.connect(f"sqlite:///{database_file}", threads=8)
    assert _dump(database_file) == before
    assert 'INSERT INTO "points_ledger" VALUES(1,5);' in before


def test_the_embedded_database_starts_with_the_seeded_managers(database_file: Path) -> None:
    with closing(sqlite3.connect(database_file)) as connection:
        assert _managers(connection, "managers") == SEED_MANAGERS


def test_opening_the_embedded_database_again_changes_nothing_and_a_retired_manager_stays_retired(
    database_file: Path,
) -> None:
    retired = SEED_MANAGERS[0]["manager_id"]
    with connections.transaction() as connection:
        connection.execute(update(MANAGERS).where(MANAGERS.c.manager_id == retired).values(is_active=False))
    before = _dump(database_file)
    connections.connect(f"sqlite:///{database_file}", threads=8)
    assert _dump(database_file) == before
    with closing(sqlite3.connect(database_file)) as plain:
        assert [row["is_active"] for row in _managers(plain, "managers")] == [False, True, True, True, False]


def _dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())
