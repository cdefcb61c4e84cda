"""`python -m admin`: each command, its errors on one line, and what it prints."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import settings
from admin.__main__ import build_parser, main
from api import SERVICES, load_services
from persistence.migrations.heads import HEADS
from persistence.migrations.history import list_migrations
from persistence.migrations.scripts import SCRIPTS, SQL
from persistence.migrations.state import migration_branches
from tests.conftest import BRANCHES, PROJECT
from tests.support.projects import SECONDS, ProjectCopy
from tests.support.recording_server import recording_server
from tests.support.seed import SEED_MANAGERS

ASHA = str(SEED_MANAGERS[0]["manager_id"])
FARAH = str(SEED_MANAGERS[-1]["manager_id"])
NEW = "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"
UNKNOWN = "00000000-0000-4000-8000-000000000000"

ENABLED = migration_branches(service.name for service in load_services(SERVICES))

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def own_settings(tmp_path: Path, migrated_file: Path) -> dict[str, str]:
    """The settings of a command on an embedded database of this test."""
    shutil.copy(migrated_file, tmp_path / "admin.db")
    url = f"sqlite:///{tmp_path}/admin.db"
    return {"DATABASE_URL": url, "SERVICES": ",".join(SERVICES), "WEBSITE_SITE_NAME": ""}


@pytest.fixture
def run_program(own_settings: dict[str, str]) -> Run:
    """A function that runs a command on the database of this test, or with other settings, as a program."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "admin", *arguments],
            cwd=PROJECT,
            env={**os.environ, **own_settings, **settings},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def run(
    own_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """The same in this process, which takes a hundredth of the time."""

    def run(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        for name, value in {**own_settings, **changed}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["python -m admin", *arguments])
        settings.current.cache_clear()
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        if isinstance(code, str):  # the interpreter prints it
            return subprocess.CompletedProcess(arguments, 1, printed.out, f"{printed.err}{code}\n")
        return subprocess.CompletedProcess(arguments, int(str(code)), *printed)

    yield run
    monkeypatch.undo()
    settings.current.cache_clear()


def _stopped(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that could not be carried out."""
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Stopped: ")
    return line.removeprefix("Stopped: ")


def _printed(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def _manager(path: Path, manager_id: str) -> tuple[str, int, str | None]:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT full_name, is_active, updated_at FROM managers WHERE manager_id = ?"
        row: tuple[str, int, str | None] = connection.execute(query, [manager_id]).fetchone()
    return row


# ---- the list of commands


def test_help_lists_the_commands_of_the_enabled_services(run: Run) -> None:
    listed = {
        services: {*re.findall(r"(?m)^    ([a-z-]+)", run("--help", SERVICES=services).stdout)}
        for services in ("users,points", "points")
    }
    assert listed["points"] == {"migrate", "grant-access"}
    assert "then permissions, seed and the check of masks" in " ".join(run("--help").stdout.split())
    assert listed["users,points"] == {*listed["points"], "add-manager", "retire-manager", "list-managers"}


@pytest.mark.parametrize("command", ["migrate", "grant-access", "add-manager", "retire-manager", "list-managers"])
def test_every_command_has_a_help_text(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser(["users"]).parse_args([command, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m admin {command} ")


@pytest.mark.parametrize("wait", ["0", "3601", "-1", "1.5", "", "x", "١"])
def test_a_wait_is_a_whole_number_of_seconds(wait: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser([]).parse_args(["migrate", f"--wait={wait}"])
    assert caught.value.code == 2
    assert "is not a whole number from 1 to 3600" in capsys.readouterr().err
    assert build_parser([]).parse_args(["migrate", "--wait", "3600"]).wait == 3600


def test_a_service_adds_its_commands_by_a_file(tmp_path: Path) -> None:
    project = ProjectCopy(tmp_path)
    (tmp_path / "admin" / "points.py").write_text(
        "def add_commands(commands):\n"
        "    commands.add_parser('count').set_defaults(run=lambda arguments: print(arguments.branches))\n",
        "utf-8",
    )
    done = project.run("-m", "admin", "count", DATABASE_URL=f"sqlite:///{tmp_path}/x.db", SERVICES="points")
    assert _printed(done) == ["('shared', 'points')"]


# ---- migrate


def test_migrate_migrates_an_embedded_database_and_reports_it(run: Run, run_program: Run, tmp_path: Path) -> None:
    new = f"sqlite:///{tmp_path}/new.db"
    first, *lines, last = _printed(run_program("migrate", DATABASE_URL=new))
    assert first == "DATABASE_URL names a SQLite file, which is migrated as when the app starts."
    assert [re.sub(r"in \d+\.\d s", "in # s", line) for line in lines if not line.endswith(": running")] == [
        f"{migration.name}: done in # s" for migration in list_migrations(ENABLED)
    ]
    assert last == f"The schema is current: {', '.join(HEADS[branch] for branch in ENABLED)}."
    assert _printed(run("migrate", DATABASE_URL=new)) == [first, last]


def test_migrate_applies_migrations_and_scripts_to_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    with recording_server() as server:
        arguments = build_parser([]).parse_args(["migrate"])
        arguments.branches, arguments.settings = BRANCHES, settings.current()
        arguments.run(arguments)
    applied = [line for line in capsys.readouterr().out.splitlines() if line.startswith("sql/")]
    scripts = sorted(path for script in SCRIPTS for path in SQL.glob(f"*/{script}.sql"))
    assert sorted(applied) == [f"sql/{path.relative_to(SQL).as_posix()}: applied" for path in scripts]
    assert "ALTER TABLE idempotency_keys ADD caller" in "".join(server.executed)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"DATABASE_URL": "postgresql://localhost/rollbook"}, "DATABASE_URL names postgresql"),
        (
            {"DATABASE_URL": "sqlite:////nowhere/at/all.db"},
            "DATABASE_URL names a file that cannot be used as a database",
        ),
        ({"DATABASE_URL": "Driver={Unheard of};Server=x;Database=y;PWD=hunter2"}, "DATABASE_URL names "),
        ({"SERVICES": "userss"}, "SERVICES names userss; the services are: "),
        ({"DB_RETRY_SECONDS": "x"}, "DB_RETRY_SECONDS must be a whole number"),
    ],
)
def test_settings_that_cannot_be_used_are_one_line(run: Run, settings: dict[str, str], reason: str) -> None:
    done = run("migrate", "--wait", "2", **settings)
    assert _stopped(done).startswith(reason)
    assert "hunter2" not in done.stderr


def test_a_server_that_cannot_be_reached_is_one_line(run_program: Run) -> None:
    # Without the driver the command fails earlier, with another message.
    server = "Driver={ODBC Driver 18 for SQL Server};Server=127.0.0.1,1;Database=rollbook;UID=app;PWD=hunter2;"
    done = run_program("migrate", "--wait", "2", DATABASE_URL=server)
    assert re.search(r"Reading alembic_version failed: |is not installed|pyodbc does not load", _stopped(done))
    assert "hunter2" not in done.stderr


def test_access_to_an_embedded_database_cannot_be_granted(run: Run) -> None:
    assert _stopped(run("grant-access", "app", NEW)).startswith("DATABASE_URL names a SQLite file, which has no users")


# ---- managers


def test_a_manager_is_added_listed_and_retired(run: Run, tmp_path: Path) -> None:
    assert _printed(run("add-manager", "  Zoë 王 ", "--id", NEW.upper())) == [f"{NEW}: added as Zoë 王"]
    table = _printed(run("list-managers"))
    assert table[0].split() == ["manager_id", "full_name", "is_active", "created_at", "updated_at"]
    assert len(table) == 1 + len(SEED_MANAGERS) + 1
    assert len({line.index("2026-01-01") for line in table[1:-1]}) == 1  # columns are aligned
    assert re.fullmatch(rf"{NEW}  Zoë 王 +yes  +2\S+Z  -", table[-1])
    assert _printed(run("retire-manager", NEW)) == [f"{NEW}: retired"]
    before = _manager(tmp_path / "admin.db", NEW)
    assert before[:2] == ("Zoë 王", 0)
    assert before[2]
    assert _printed(run("retire-manager", NEW)) == [f"{NEW}: was retired before"]
    assert _manager(tmp_path / "admin.db", NEW) == before


def test_managers_are_listed_as_json(run: Run) -> None:
    done = run("list-managers", "--json")
    assert sorted(json.loads(done.stdout), key=lambda manager: str(manager["manager_id"])) == SEED_MANAGERS


def test_a_manager_without_an_id_gets_a_random_one(run: Run, tmp_path: Path) -> None:
    ids = [_printed(run("add-manager", "Asha Rao"))[0].split(":")[0] for _ in range(2)]
    assert len({*ids, ASHA}) == 3
    assert all(_manager(tmp_path / "admin.db", manager_id) == ("Asha Rao", 1, None) for manager_id in ids)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["add-manager", " "], "full_name must not be empty."),
        (["add-manager", "x" * 201], "full_name must have at most 200 characters."),
        (["add-manager", "a\nb"], "full_name must not contain control characters"),
        (["add-manager", "A B", "--id", "7"], "Not a UUID with hyphens"),
        (["add-manager", "A B", "--id", ASHA], f"{ASHA} is the id of a manager already"),
        (["add-manager", "A B", "--id", FARAH], f"{FARAH} is the id of a manager already"),
        (["retire-manager", "7"], "Not a UUID with hyphens"),
        (["retire-manager", UNKNOWN], f"there is no manager with the id {UNKNOWN}"),
    ],
)
def test_an_invalid_manager_is_one_line_and_changes_nothing(
    run: Run, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    assert _stopped(run(*arguments)).startswith(reason)
    with closing(sqlite3.connect(tmp_path / "admin.db")) as connection:
        rows = connection.execute("SELECT manager_id, is_active FROM managers ORDER BY manager_id").fetchall()
    assert rows == [(manager["manager_id"], manager["is_active"]) for manager in SEED_MANAGERS]


# ---- output


def test_a_name_that_the_output_cannot_encode_is_escaped(run_program: Run) -> None:
    assert _printed(run_program("add-manager", "Zoë", "--id", NEW, PYTHONIOENCODING="ascii")) == [
        f"{NEW}: added as Zo\\xeb"
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_one_line(tmp_path: Path, unbuffered: str) -> None:
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "admin", "list-managers"],
            cwd=PROJECT,
            env={**os.environ, **environment},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert _stopped(done) == "No space left on device"


def test_an_interrupted_command_is_one_line(tmp_path: Path) -> None:
    project = ProjectCopy(tmp_path)
    (tmp_path / "admin" / "points.py").write_text(
        "def stop(arguments):\n"
        "    raise KeyboardInterrupt\n"
        "def add_commands(commands):\n"
        "    commands.add_parser('stop').set_defaults(run=stop)\n",
        "utf-8",
    )
    done = project.run("-m", "admin", "stop", DATABASE_URL=f"sqlite:///{tmp_path}/x.db", SERVICES="points")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped: interrupted\n")


def test_progress_is_shown_in_a_pipe_at_once(tmp_path: Path) -> None:
    ProjectCopy(tmp_path)
    (tmp_path / "admin" / "points.py").write_text(
        "import sys\n"
        "def wait(arguments):\n"
        "    print('begun')\n"
        "    sys.stdin.read()\n"
        "def add_commands(commands):\n"
        "    commands.add_parser('wait').set_defaults(run=wait)\n",
        "utf-8",
    )
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "SERVICES": "points", "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(
        [sys.executable, "-m", "admin", "wait"],
        cwd=tmp_path,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin:
            ready, _, _ = select.select([process.stdout], [], [], SECONDS)
        assert ready
        assert process.stdout.read() == "begun\n"


def test_commands_migrate_an_embedded_database_first(run: Run, tmp_path: Path) -> None:
    lines = _printed(run("list-managers", DATABASE_URL=f"sqlite:///{tmp_path}/new.db"))
    assert len(lines) == 1 + len(SEED_MANAGERS)
