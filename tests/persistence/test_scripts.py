"""`python -m persistence` applies the scripts of `sql/`: each once, in order, and as a whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, event

from persistence.database import connections
from persistence.scripts import SQL, ScriptChangedError, ScriptFailedError, apply_scripts, split_batches

PROJECT = SQL.parent
SERVICES = ["users", "points"]
NAMES = [f"{part}/{path.name}" for part in ("chassis", *SERVICES) for path in sorted((SQL / part).glob("*.sql"))]
SECONDS = 60
"""After which a program that should have ended is taken for stuck."""


def fault(number: str) -> sqlite3.OperationalError:
    """An error as pyodbc raises it."""
    return sqlite3.OperationalError("42000", f"[42000] [Microsoft][SQL Server]Not now. ({number}) (SQLDriverConnect)")


# ---- batches


@pytest.mark.parametrize("end", ["GO", "go", "Go", "  GO", "GO  ", "\tgO\t"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_a_line_that_says_go_and_nothing_else_ends_a_batch(end: str, line_break: str) -> None:
    script = line_break.join(["SELECT 1;", end, "SELECT 2", "FROM t;", end, ""])
    assert split_batches(script) == ["SELECT 1;", f"SELECT 2{line_break}FROM t;"]


@pytest.mark.parametrize(
    "line",
    ["GOVERNOR", "CARGO", "SELECT a AS GO", "GO_ON", "[GO]", "-- GO", "'GO'", "GOGO", "GO TO", "@GO"],
)
def test_go_inside_a_line_or_a_word_ends_nothing(line: str) -> None:
    assert split_batches(f"SELECT 1\n{line}\nSELECT 2") == [f"SELECT 1\n{line}\nSELECT 2"]


def test_a_script_without_go_is_one_batch_and_empty_batches_are_left_out() -> None:
    assert split_batches("SELECT 1") == ["SELECT 1"]
    assert split_batches("GO\n\nGO\nSELECT 1\nGO\nGO") == ["SELECT 1"]
    assert split_batches(" \n") == []


# ---- on SQLite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two scripts of the service users, which SQLite understands."""
    folder = tmp_path / "sql"
    (folder / "users").mkdir(parents=True)
    _write(folder, "001_first", "CREATE TABLE first (a INT)\nGO\nINSERT INTO first VALUES (1)\nGO\n")
    _write(folder, "002_second", "INSERT INTO first VALUES (2)\n")
    return folder


def _write(folder: Path, name: str, script: str) -> None:
    (folder / "users" / f"{name}.sql").write_text(script, "utf-8")


def _apply(folder: Path) -> list[str]:
    told: list[str] = []
    apply_scripts(folder, SERVICES if folder == SQL else ["users"], told.append)
    return told


def _rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def _recorded(path: Path) -> list[str]:
    return [str(name) for (name,) in _rows(path, "SELECT name FROM schema_scripts ORDER BY applied_at, name")]


def _dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_every_script_is_recorded_in_order_and_told_by_its_name(database_file: Path) -> None:
    assert _apply(SQL) == [f"{name}: done" for name in NAMES]
    assert _recorded(database_file) == NAMES
    ((checksum, applied_at),) = _rows(database_file, "SELECT checksum, applied_at FROM schema_scripts LIMIT 1")
    assert len(str(checksum)) == 64
    assert len(str(applied_at)) == len("2026-01-01T00:00:00.000000Z")


def test_a_second_run_says_that_every_script_ran_before_and_changes_nothing(database_file: Path) -> None:
    _apply(SQL)
    before = _dump(database_file)
    assert _apply(SQL) == [f"{name}: ran before" for name in NAMES]
    assert _dump(database_file) == before


def test_the_embedded_database_has_its_tables_already_and_no_script_is_run_in_it(
    database_file: Path, folder: Path
) -> None:
    assert _apply(folder) == ["users/001_first.sql: done", "users/002_second.sql: done"]
    assert _rows(database_file, "SELECT name FROM sqlite_master WHERE name = 'first'") == []


def test_the_scripts_of_a_service_that_is_not_enabled_stay_where_they_are(database_file: Path, folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "001_other.sql").write_text("SELECT 1", "utf-8")
    _apply(folder)
    assert _recorded(database_file) == ["users/001_first.sql", "users/002_second.sql"]


# ---- as on a SQL Server: scripts are run


class Driver(sqlite3.Connection):
    """A driver's connection that has a time limit for statements, as pyodbc's has."""

    timeout = 0


@pytest.fixture
def server_file(database_file: Path) -> Path:
    """The database of an app that takes it for a SQL Server."""

    def engine(**options: str) -> Engine:
        engine = create_engine(f"sqlite:///{database_file}", connect_args={"factory": Driver}, **options)
        event.listen(engine, "connect", _begin_by_hand)
        return engine

    writer = engine()
    event.listen(writer, "begin", _begin)
    connections.connect_engines(engine(isolation_level="AUTOCOMMIT"), writer, retry_seconds=5)
    return database_file


def _begin_by_hand(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # or Python's driver would create tables outside of the transaction


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def test_every_batch_is_run_in_order_and_once(server_file: Path, folder: Path) -> None:
    assert _apply(folder) == ["users/001_first.sql: done", "users/002_second.sql: done"]
    assert _apply(folder) == ["users/001_first.sql: ran before", "users/002_second.sql: ran before"]
    assert _rows(server_file, "SELECT a FROM first ORDER BY rowid") == [(1,), (2,)]


def test_a_new_script_runs_later_and_alone(server_file: Path, folder: Path) -> None:
    _apply(folder)
    _write(folder, "003_third", "INSERT INTO first VALUES (3)")
    assert _apply(folder)[1:] == ["users/002_second.sql: ran before", "users/003_third.sql: done"]
    assert _rows(server_file, "SELECT a FROM first ORDER BY rowid") == [(1,), (2,), (3,)]


def test_a_script_that_was_changed_after_it_ran_is_refused_by_name_and_nothing_after_it_runs(
    server_file: Path, folder: Path
) -> None:
    _apply(folder)
    before = _dump(server_file)
    _write(folder, "002_second", "INSERT INTO first VALUES (22)\n")
    _write(folder, "003_third", "INSERT INTO first VALUES (3)")
    told: list[str] = []
    with pytest.raises(ScriptChangedError, match=r"^users/002_second\.sql was changed after it ran\."):
        apply_scripts(folder, ["users"], told.append)
    assert told == ["users/001_first.sql: ran before"]
    assert _dump(server_file) == before


def test_line_breaks_are_no_change_because_git_may_exchange_them(server_file: Path, folder: Path) -> None:
    _apply(folder)
    script = folder / "users" / "001_first.sql"
    script.write_bytes(script.read_bytes().replace(b"\n", b"\r\n"))
    assert _apply(folder)[0] == "users/001_first.sql: ran before"
    assert _recorded(server_file) == ["users/001_first.sql", "users/002_second.sql"]


def test_a_script_that_fails_leaves_nothing_behind_and_those_before_it_stay(server_file: Path, folder: Path) -> None:
    _write(folder, "003_third", "CREATE TABLE third (a INT)\nGO\nINSERT INTO nowhere VALUES (3)\nGO\n")
    _write(folder, "004_fourth", "INSERT INTO first VALUES (4)")
    told: list[str] = []
    with pytest.raises(ScriptFailedError, match=r"^users/003_third\.sql failed: .*nowhere"):
        apply_scripts(folder, ["users"], told.append)
    assert told == ["users/001_first.sql: done", "users/002_second.sql: done"]
    assert _recorded(server_file) == ["users/001_first.sql", "users/002_second.sql"]
    assert _rows(server_file, "SELECT name FROM sqlite_master WHERE name = 'third'") == []
    assert _rows(server_file, "SELECT a FROM first ORDER BY rowid") == [(1,), (2,)]

    _write(folder, "003_third", "CREATE TABLE third (a INT)")  # it never ran: it may be changed
    assert _apply(folder)[2:] == ["users/003_third.sql: done", "users/004_fourth.sql: done"]


def test_a_script_is_told_of_when_it_is_committed_and_not_before(server_file: Path, folder: Path) -> None:
    def tell(line: str) -> None:
        assert line.removesuffix(": done") in _recorded(server_file)

    apply_scripts(folder, ["users"], tell)


def test_a_server_that_is_waking_up_is_waited_for(server_file: Path, folder: Path) -> None:
    waiting = [fault("40613"), fault("40197")]

    def meet(*_: object) -> None:
        if waiting:
            raise waiting.pop()

    event.listen(connections.engines()[1], "do_connect", meet)
    assert _apply(folder)[0] == "users/001_first.sql: done"
    assert waiting == []
    assert len(_recorded(server_file)) == 2


# ---- the program


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A function that runs `python -m persistence` on a database of this test, with settings."""

    def run(project: Path = PROJECT, **settings: str) -> subprocess.CompletedProcess[str]:
        own = {
            "DATABASE_URL": f"sqlite:///{tmp_path}/program.db",
            "SERVICES": ",".join(SERVICES),
            "WEBSITE_SITE_NAME": "",
        }
        return subprocess.run(
            [sys.executable, "-m", "persistence", "--wait", "2"],
            cwd=project,
            env={**os.environ, **own, **settings},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run


def _line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line with which the program stopped."""
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Stopped: ")
    return line


def test_the_program_tells_of_every_script_and_may_be_run_again(run: Run, tmp_path: Path) -> None:
    for outcome in ("done", "ran before"):
        done = run()
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [f"{name}: {outcome}" for name in NAMES]
        assert _recorded(tmp_path / "program.db") == NAMES


def test_the_program_names_a_changed_script_in_one_line(run: Run, tmp_path: Path) -> None:
    project = tmp_path / "project"
    for package in ("domain", "persistence", "sql"):
        shutil.copytree(PROJECT / package, project / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "settings.py", project)
    assert run(project).returncode == 0
    with (project / "sql" / NAMES[1]).open("a", encoding="utf-8") as script:
        script.write("-- one more thought\n")
    done = run(project)
    assert _line(done).startswith(f"Stopped: {NAMES[1]} was changed after it ran.")
    assert done.stdout.splitlines() == [f"{NAMES[0]}: ran before"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://localhost/rollbook", "DATABASE_URL names postgresql"),
        ("rollbook.db", "DATABASE_URL is neither"),
        ("sqlite://", "DATABASE_URL names no file"),
        ("sqlite:////nowhere/at/all/rollbook.db", "DATABASE_URL names a file that cannot be used as a database"),
        ("Driver={Unheard of};Server=localhost;Database=rollbook;PWD=hunter2", "DATABASE_URL names "),
    ],
)
def test_the_program_stops_with_one_line_at_a_database_that_it_cannot_use(run: Run, url: str, reason: str) -> None:
    done = run(DATABASE_URL=url)
    assert reason in _line(done)
    assert done.stdout == ""
    assert "hunter2" not in done.stderr


def test_the_program_names_a_script_that_fails_in_one_line(run: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "program.db")) as connection:
        connection.execute("CREATE TABLE schema_scripts (other INT)")
    assert _line(run()).startswith(f"Stopped: {NAMES[0]} failed: ")


def test_the_program_stops_with_one_line_at_a_server_that_cannot_be_reached(run: Run) -> None:
    # A machine without the driver does not get as far, and says so.
    server = "Driver={ODBC Driver 18 for SQL Server};Server=127.0.0.1,1;Database=rollbook;UID=app;PWD=hunter2;"
    done = run(DATABASE_URL=server)
    assert re.search(r"does not answer|which is not installed|pyodbc does not load", _line(done))
    assert done.stdout == ""
    assert "hunter2" not in done.stderr


@pytest.mark.usefixtures("database_file")
def test_a_service_without_scripts_is_refused_by_name() -> None:
    with pytest.raises(ScriptFailedError, match="userss"):
        apply_scripts(SQL, ["users", "userss"], lambda _: None)
