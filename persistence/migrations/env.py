"""Alembic's environment: begins and ends the transaction of a migration. Run by `upgrade.py` and `generate.py`.

They put the connection into the attributes of the configuration: the command line of Alembic does not know it. A
migration finds there whether it shall insert samples: `op.get_context().config.attributes.get("samples")`.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from alembic import context
from sqlalchemy import Connection, MetaData

from persistence.migrations.attempts import LOCK_SECONDS, lock_migrations

logger = logging.getLogger("rollbook")

# Names that later migrations can use. In SQLite these constraints have none, as in release 0.1.0.
_SQL_SERVER = MetaData(naming_convention={"pk": "pk_%(table_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s"})


def _run_offline() -> None:
    context.configure(dialect_name="mssql", literal_binds=True, target_metadata=_SQL_SERVER)
    context.run_migrations()


def _run_online(connection: Connection, models: MetaData | None) -> None:
    on_sqlite = connection.dialect.name == "sqlite"
    # That of a SQL Server is in a transaction already.
    with _sqlite_transaction(connection) if on_sqlite else nullcontext():
        if not on_sqlite:  # before the versions are read, so that two processes migrate once
            lock_migrations(connection)
        context.configure(
            connection=connection,
            target_metadata=models or (MetaData() if on_sqlite else _SQL_SERVER),
            transactional_ddl=True,
        )
        context.run_migrations()


@contextmanager
def _sqlite_transaction(connection: Connection) -> Iterator[None]:
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA busy_timeout={1000 * LOCK_SECONDS}")
    # Rebuilding a table drops it: with foreign keys on, its children would go by cascade. Inside a transaction the
    # PRAGMA does nothing.
    driver.execute("PRAGMA foreign_keys=OFF")
    with connection.begin():  # sends nothing: the connection is in autocommit. At the end it commits or rolls back.
        driver.execute("BEGIN IMMEDIATE")  # before the versions are read, so that two processes migrate once
        if before := _find_orphans(driver):
            logger.warning(
                "%s refer to rows that do not exist, since before this migration: PRAGMA foreign_key_check lists them; "
                "docs/migrations.md says how to repair them",
                _describe(before),
            )
        yield
        if added := _find_orphans(driver) - before:
            raise sqlite3.IntegrityError(f"it would leave {_describe(added)} without the row that they refer to")


def _find_orphans(driver: sqlite3.Connection) -> Counter[tuple[str, int | None, str]]:
    """Table, rowid and parent of each violated foreign key; its number is left out, which a rebuilt table changes."""
    return Counter(row[:3] for row in driver.execute("PRAGMA foreign_key_check"))


def _describe(orphans: Counter[tuple[str, int | None, str]]) -> str:
    count = orphans.total()
    return f"{count} row{'s' if count > 1 else ''} of {', '.join(sorted({table for table, *_ in orphans}))}"


if context.is_offline_mode():
    _run_offline()
else:
    _run_online(context.config.attributes["connection"], context.config.attributes.get("models"))
