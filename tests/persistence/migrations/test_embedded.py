"""The embedded database upgrades itself when the app starts: with its data, and as a whole or not at all."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.timestamps import format_timestamp
from persistence.database import connections
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.heads import HEADS
from settings import SettingsError
from tests.conftest import BRANCHES, PROJECT
from tests.support.projects import SECONDS, UPGRADE, ProjectCopy

RELEASE = PROJECT / "tests" / "fixtures" / "release-0.1.0.db"
VERSIONS = "SELECT version_num FROM alembic_version ORDER BY version_num"


@pytest.fixture
def release_file(tmp_path: Path) -> Iterator[Path]:
    """A database of release 0.1.0, with data, in a folder of its own."""
    path = tmp_path / "database" / "rollbook.db"
    path.parent.mkdir()
    shutil.copy(RELEASE, path)
    yield path
    connections.close()


@pytest.fixture
def project(tmp_path: Path) -> ProjectCopy:
    """A copy of the project."""
    folder = tmp_path / "project"
    folder.mkdir()
    return ProjectCopy(folder)


def _rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] if len(row) == 1 else row for row in connection.execute(query)]


def _dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [line for line in connection.iterdump() if "alembic_version" not in line]


def _upgrade(path: Path, *branches: str) -> None:
    connections.connect(f"sqlite:///{path}", threads=1)
    upgrade_embedded(branches or BRANCHES)


# ---- from release 0.1.0


def test_a_database_of_release_0_1_0_is_upgraded_with_its_data(release_file: Path, migrated_file: Path) -> None:
    before = [line for line in _dump(release_file) if line.startswith("INSERT")]
    _upgrade(release_file)
    # Invoices insert the two rows that are the only ones of their tables; the log of changes adopts the users.
    new = re.compile(r'INSERT INTO "(invoices_|user_(changes|change_values|logs)"|sqlite_sequence")')
    after = [line for line in _dump(release_file) if line.startswith("INSERT") and not new.match(line)]
    # Four columns more, none of which has a value.
    assert [line.replace(",NULL,NULL,NULL,NULL);", ");") for line in after] == before
    assert _rows(release_file, VERSIONS) == sorted(HEADS.values())
    columns = "SELECT name FROM pragma_table_info('idempotency_keys') ORDER BY cid"
    assert _rows(release_file, columns) == _rows(migrated_file, columns)


def test_the_app_works_on_an_upgraded_database(api: Any, release_file: Path) -> None:
    with closing(sqlite3.connect(release_file, isolation_level=None)) as connection:
        connection.execute("UPDATE idempotency_keys SET created_at = ?", [format_timestamp(datetime.now(UTC))])
    _upgrade(release_file)
    assert (len(api.get()), len(api.get(is_active=True))) == (21, 13)
    user = api.create()
    assert api.update([user["user_id"]], full_name="New").status_code == 200
    body = {"payer": "DANNON", "points": 10, "timestamp": "2026-01-01T00:00:00Z"}
    for key, statuses in (("new", [201, 201]), ("transaction-1", [409, 409])):  # the caller of the latter is not known
        responses = [api.post("addTransaction", body, headers={"Idempotency-Key": key}) for _ in range(2)]
        assert [response.status_code for response in responses] == statuses
        assert responses[0].json().get("id") == responses[1].json().get("id")


def test_a_copy_of_an_existing_file_is_written_before_the_first_migration(release_file: Path) -> None:
    release_file.chmod(0o640)
    before = _dump(release_file)
    _upgrade(release_file)
    (copy,) = release_file.parent.glob("*.before-*")
    assert copy.name == "rollbook.db.before-shared_0001"
    assert _dump(copy) == before
    assert copy.stat().st_mode == release_file.stat().st_mode
    connections.close()
    assert sorted(path.name for path in release_file.parent.iterdir()) == ["rollbook.db", copy.name]


def test_a_copy_that_cannot_be_written_leaves_nothing(release_file: Path) -> None:
    before = _dump(release_file)
    # A file that is larger than the limit is an error of the disk, as it is when that is full.
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({release_file.stat().st_size // 2},) * 2)"
    program = f"import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); {limit}\n{UPGRADE}"
    done = subprocess.run(
        [sys.executable, "-c", program, str(release_file), *BRANCHES],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert re.search(r"cannot be migrated: shared_0001_baseline failed: (disk I/O error|.* full)\.", done.stderr)
    assert not [*release_file.parent.glob("*.before-*")]
    assert _dump(release_file) == before


def test_a_new_file_gets_no_copy(tmp_path: Path) -> None:
    _upgrade(tmp_path / "new.db")
    connections.close()
    assert [path.name for path in tmp_path.iterdir()] == ["new.db"]
    assert _rows(tmp_path / "new.db", VERSIONS) == sorted(HEADS.values())


def test_a_database_with_a_part_of_release_0_1_0_is_left_as_it_is(release_file: Path) -> None:
    with closing(sqlite3.connect(release_file)) as connection:
        connection.execute("DROP INDEX ux_users_current_mob_num")
    before = _dump(release_file)
    with pytest.raises(SettingsError, match=r"users_0001_baseline failed: .* but not ux_users_current_mob_num; "):
        _upgrade(release_file, "users")
    assert _dump(release_file) == before


# ---- what a database has already


def test_branches_that_are_not_enabled_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rollbook.db"
    _upgrade(path, "shared", "points")
    assert _rows(path, VERSIONS) == [HEADS["points"], HEADS["shared"]]
    assert _rows(path, "SELECT name FROM sqlite_master WHERE name = 'users'") == []


def test_rows_of_branches_that_the_app_does_not_know_are_left_alone(database_file: Path) -> None:
    with closing(sqlite3.connect(database_file, isolation_level=None)) as connection:
        connection.execute("INSERT INTO alembic_version VALUES ('gone_0007'), ('1a2b3c4d')")
        connection.execute(f"DELETE FROM alembic_version WHERE version_num = '{HEADS['points']}'")
        for table in ("points_spends", "points_transactions", "points_balances", "points_ledger"):
            connection.execute(f"DROP TABLE {table}")
    upgrade_embedded(BRANCHES)
    assert _rows(database_file, VERSIONS) == sorted([*HEADS.values(), "gone_0007", "1a2b3c4d"])


def test_a_database_newer_than_the_app_is_one_sentence(database_file: Path) -> None:
    with closing(sqlite3.connect(database_file, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'users_9999' WHERE version_num LIKE 'users%'")
    before = _dump(database_file)
    with pytest.raises(SettingsError) as caught:
        upgrade_embedded(BRANCHES)
    assert str(caught.value).startswith("DATABASE_URL names a database that a newer version of Rollbook has migrated (")
    assert f"users_9999, while this version ends at {HEADS['users']}" in str(caught.value)
    assert "\n" not in str(caught.value)
    upgrade_embedded(("shared", "points"))  # the service is off
    assert _dump(database_file) == before


def test_a_damaged_database_is_one_sentence(database_file: Path) -> None:
    connections.close()
    query = "SELECT (SELECT page_size FROM pragma_page_size), rootpage FROM sqlite_master WHERE name = ?"
    with closing(sqlite3.connect(database_file)) as connection:
        size, page = connection.execute(query, ["alembic_version"]).fetchone()
    with database_file.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(SettingsError, match=r"Reading alembic_version failed: database disk image is malformed\.$"):
        _upgrade(database_file)


def test_a_current_database_starts_without_alembic(migrated_file: Path, tmp_path: Path) -> None:
    shutil.copy(migrated_file, tmp_path / "rollbook.db")
    program = (
        "import sys; from persistence.database import connections; "
        "from persistence.migrations.embedded import upgrade_embedded; "
        "connections.connect(sys.argv[1], threads=1); upgrade_embedded(sys.argv[2:]); print('alembic' in sys.modules)"
    )
    for name, imported in (("rollbook.db", "False"), ("new.db", "True")):
        done = subprocess.run(
            [sys.executable, "-c", program, f"sqlite:///{tmp_path / name}", *BRANCHES],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (done.stdout, done.stderr) == (f"{imported}\n", "")


# ---- migrations that a test adds


def test_a_failed_migration_leaves_nothing_and_those_before_it_stay(project: ProjectCopy, release_file: Path) -> None:
    project.add_migration("users_0003", "add", "op.add_column('users', sa.Column('nick', sa.Unicode(10)))")
    failing = project.add_migration(
        "users_0004",
        "fail",
        "op.execute(\"UPDATE users SET nick = 'x'\")",
        "op.create_table('half', sa.Column('id', sa.Integer()))",
        "op.execute('INSERT INTO nowhere VALUES (1)')",
    )
    done = project.upgrade(release_file, "shared", "users")
    assert (
        "SettingsError: DATABASE_URL names a database that cannot be migrated: users_0004_fail failed: " in done.stderr
    )
    assert "no such table: nowhere." in done.stderr
    assert _rows(release_file, VERSIONS) == ["shared_0003", "users_0003"]
    assert _rows(release_file, "SELECT DISTINCT nick FROM users") == [None]
    assert _rows(release_file, "SELECT name FROM sqlite_master WHERE name = 'half'") == []
    failing.write_text(failing.read_text("utf-8").replace("nowhere VALUES", "half VALUES"), "utf-8")
    assert project.upgrade(release_file, "shared", "users").returncode == 0
    assert _rows(release_file, "SELECT DISTINCT nick FROM users") == ["x"]
    copies = sorted(path.name.rpartition("-")[2] for path in release_file.parent.glob("*.before-*"))
    assert copies == ["shared_0001", "users_0004"]


_PARENT_AND_CHILD = (
    "op.create_table('parent', sa.Column('id', sa.Integer(), primary_key=True), sa.Column('a', sa.Integer()))",
    "parent = sa.Column('parent_id', sa.Integer(), sa.ForeignKey('parent.id', ondelete='CASCADE'))",
    "op.create_table('child', sa.Column('id', sa.Integer(), primary_key=True), parent)",
    "op.execute('INSERT INTO parent VALUES (1, 1)')",
    "op.execute('INSERT INTO child VALUES (10, 1), (11, 1)')",
)


def test_a_table_that_is_rebuilt_keeps_the_rows_of_its_children(project: ProjectCopy, tmp_path: Path) -> None:
    project.add_migration("toy_0001", "baseline", *_PARENT_AND_CHILD)
    path = project.add_migration("toy_0002", "rebuild", "pass")
    path.write_text(
        path.read_text("utf-8").replace(
            "    pass",
            "    with op.batch_alter_table('parent', recreate='always') as batch:\n        batch.drop_column('a')",
        ),
        "utf-8",
    )
    done = project.upgrade(tmp_path / "toy.db", "shared", "toy")
    assert done.returncode == 0, done.stderr
    assert _rows(tmp_path / "toy.db", "SELECT * FROM parent") == [1]
    assert _rows(tmp_path / "toy.db", "SELECT id FROM child") == [10, 11]
    assert _rows(tmp_path / "toy.db", "SELECT [table], [on_delete] FROM pragma_foreign_key_list('child')") == [
        ("parent", "CASCADE")
    ]


def test_a_migration_that_breaks_foreign_keys_is_rolled_back(project: ProjectCopy, tmp_path: Path) -> None:
    project.add_migration("toy_0001", "baseline", *_PARENT_AND_CHILD)
    project.add_migration("toy_0002", "orphan", "op.execute('DELETE FROM parent')")
    done = project.upgrade(tmp_path / "toy.db", "shared", "toy")
    assert "toy_0002_orphan failed: it would leave 2 rows of child without the row that they refer to." in done.stderr
    assert _rows(tmp_path / "toy.db", VERSIONS) == ["shared_0003", "toy_0001"]
    assert _rows(tmp_path / "toy.db", "SELECT * FROM parent") == [(1, 1)]


def test_rows_without_their_parent_before_a_migration_are_a_warning(project: ProjectCopy, tmp_path: Path) -> None:
    path = tmp_path / "toy.db"
    project.add_migration("toy_0001", "baseline", *_PARENT_AND_CHILD)
    assert project.upgrade(path, "shared", "toy").returncode == 0
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM parent")
    project.add_migration("toy_0002", "add", "op.add_column('child', sa.Column('b', sa.Integer()))")
    failing = project.add_migration(
        "toy_0003", "orphan", "op.execute('INSERT INTO child (id, parent_id) VALUES (9, 9)')"
    )
    done = project.upgrade(path, "shared", "toy")
    assert "\n2 rows of child refer to rows that do not exist, since before this migration: " in f"\n{done.stderr}"
    assert "PRAGMA foreign_key_check lists them" in done.stderr
    assert "toy_0003_orphan failed: it would leave 1 row of child without" in done.stderr
    assert _rows(path, VERSIONS) == ["shared_0003", "toy_0002"]
    failing.write_text(failing.read_text("utf-8").replace("9, 9", "9, NULL"), "utf-8")
    assert project.upgrade(path, "shared", "toy").returncode == 0


# ---- processes


_SLOW = (
    "import os, pathlib, time",
    "op.execute(\"UPDATE users SET full_name = 'changed'\")",
    "op.add_column('users', sa.Column('nick', sa.Unicode(10)))",
    "if path := os.environ.get('REACHED'):",
    "    pathlib.Path(path).touch()",
    "    for _ in range(6000):",
    "        if os.path.exists(path + '.go'):",
    "            break",
    "        time.sleep(0.01)",
)


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + SECONDS
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_process_killed_in_a_migration_leaves_what_was_there(project: ProjectCopy, release_file: Path) -> None:
    project.add_migration("users_0003", "slow", *_SLOW)
    reached = release_file.with_name("reached")
    with project.start_upgrade(release_file, "shared", "users", REACHED=str(reached)) as process:
        _wait_for(reached, process)
        process.kill()
    assert _rows(release_file, "PRAGMA integrity_check") == ["ok"]
    assert _rows(release_file, VERSIONS) == ["shared_0003", "users_0002"]
    assert "changed" not in _rows(release_file, "SELECT full_name FROM users")
    assert "nick" not in _rows(release_file, "SELECT name FROM pragma_table_info('users')")
    assert project.upgrade(release_file, "shared", "users").returncode == 0
    assert _rows(release_file, "SELECT DISTINCT full_name FROM users") == ["changed"]


def test_a_process_that_starts_while_another_migrates_waits(project: ProjectCopy, release_file: Path) -> None:
    project.add_migration("users_0003", "slow", *_SLOW)
    reached = release_file.with_name("reached")
    impatient = Path(f"{release_file}?timeout=0.1")  # for any other transaction: the migration takes longer
    with project.start_upgrade(release_file, "shared", "users", REACHED=str(reached)) as first:
        _wait_for(reached, first)
        with project.start_upgrade(impatient, "shared", "users") as second:
            assert second.stderr is not None
            lines = [second.stderr.readline()]
            reached.with_name("reached.go").touch()
            lines += second.communicate(timeout=SECONDS)[1].splitlines()
        assert "users_0003_slow: done in " in first.communicate(timeout=SECONDS)[1]
    assert (first.returncode, second.returncode) == (0, 0), lines
    assert lines[0] == "users_0003_slow: running\n"
    assert lines[1].startswith("users_0003_slow: already applied in ")
    assert _rows(release_file, VERSIONS) == ["shared_0003", "users_0003"]
