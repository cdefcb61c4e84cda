"""Applies migrations, each in a transaction of its own. Imports Alembic, and is itself imported only where needed."""

from __future__ import annotations

import functools
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep, StampStep
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from persistence.database.connections import engines, is_embedded, transaction
from persistence.migrations.adoption import find_release_0_1_0
from persistence.migrations.attempts import MigrationFailedError, attempt
from persistence.migrations.history import Migration, alembic_config, list_migrations
from persistence.migrations.state import describe_newer, find_versions, parse_versions

Report = Callable[[str], None]


def upgrade(branches: Sequence[str], report: Report, *, samples: bool = False) -> None:
    """Applies the missing migrations of these branches, in their order, and reports when each begins and ends.

    A database of release 0.1.0 is adopted. Before the first migration of an existing SQLite file a copy is written
    beside it. With `samples` the tables of an embedded database get sample accounts, whose password is public, and
    what belongs to them. Raises `MigrationFailedError`: the migrations before the one that failed stay.
    """
    versions = attempt("Reading alembic_version", find_versions)
    if newer := describe_newer(versions, branches):
        raise MigrationFailedError(f"a newer version of Rollbook has migrated the database ({newer})")
    if not is_embedded():
        attempt("Reading the default schema", _require_dbo)
    needs_copy = is_embedded() and not attempt("Reading the tables", is_empty)
    for migration in list_migrations(branches):
        if migration.number > versions.get(migration.branch, 0):
            _apply(migration, report, needs_copy=needs_copy, samples=samples)
            needs_copy = False


def is_empty() -> bool:
    """Whether the embedded database has no table."""
    with engines()[0].connect() as connection:
        return not inspect(connection).get_table_names()


def _require_dbo() -> None:
    with transaction() as connection:
        schema = connection.execute(text("SELECT SCHEMA_NAME()")).scalar()
    if schema != "dbo":  # where the permissions name the tables, and the app finds them
        raise MigrationFailedError(f"The default schema of this login is {schema}; it must be dbo")


def _apply(migration: Migration, report: Report, *, needs_copy: bool, samples: bool) -> None:
    report(f"{migration.name}: running")
    started = time.monotonic()
    outcome = attempt(
        migration.name, functools.partial(_run, migration, report if needs_copy else None, samples=samples)
    )
    report(f"{migration.name}: {outcome} in {time.monotonic() - started:.1f} s")


def _run(migration: Migration, report_copy: Report | None, *, samples: bool) -> str:
    """Applies a migration by `env.py` in one transaction, and returns the outcome."""
    steps: list[MigrationStep] = []

    def find_steps(heads: tuple[str, ...], context: MigrationContext) -> list[MigrationStep]:
        """Runs inside the transaction. Rows of other branches are left alone, those of unknown ones too."""
        if context.connection and parse_versions(heads).get(migration.branch, 0) < migration.number:
            steps.append(_find_step(migration, context.connection, report_copy))
        return steps

    try:
        with _connection() as connection:
            config = alembic_config(connection=connection, samples=samples)
            with EnvironmentContext(config, migration.scripts, fn=find_steps):
                migration.scripts.run_env()
    except CommandError as error:
        raise MigrationFailedError(f"{migration.name} failed: {error}") from error
    return _describe(steps)


def _find_step(migration: Migration, connection: Connection, report_copy: Report | None) -> MigrationStep:
    if report_copy:
        report_copy(f"{_copy_file(connection, migration)}: a copy of the database from before")
    revision, revisions = migration.script.revision, migration.scripts.revision_map
    if _is_adopted(migration, connection):
        return StampStep(None, revision, is_upgrade=True, branch_move=True, revision_map=revisions)
    return MigrationStep.upgrade_from_script(revisions, migration.script)


def _describe(steps: list[MigrationStep]) -> str:
    if not steps:
        return "already applied"
    return "adopted from release 0.1.0" if isinstance(steps[0], StampStep) else "done"


def _connection() -> AbstractContextManager[Connection]:
    """A connection: on SQL Server in a transaction, on SQLite in autocommit, where `env.py` begins one."""
    return engines()[0].connect() if is_embedded() else transaction()


def _is_adopted(migration: Migration, connection: Connection) -> bool:
    """Whether release 0.1.0 made already what this migration makes. Raises `MigrationFailedError` where it is part."""
    if migration.number > 1:
        return False
    found, missing = find_release_0_1_0(connection, migration.branch)
    if found and missing:
        raise MigrationFailedError(
            f"{migration.name} failed: the database has tables of {migration.branch} from release 0.1.0, but not "
            f"{', '.join(missing)}; complete them with that release"
        )
    return found


def _copy_file(connection: Connection, migration: Migration) -> str:
    """Copies the file as it was last committed, and returns the name of the copy, which is complete or not there."""
    (path,) = (Path(row.file) for row in connection.exec_driver_sql("PRAGMA database_list") if row.name == "main")
    copy = path.with_name(f"{path.name}.before-{migration.script.revision}")
    part = copy.with_name(f"{copy.name}.part")
    part.unlink(missing_ok=True)
    try:
        part.touch(mode=0o600)  # it holds the same data
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
        shutil.copymode(path, part)
        part.replace(copy)
    finally:  # an incomplete copy would keep a full disk full
        part.unlink(missing_ok=True)
    return copy.name
