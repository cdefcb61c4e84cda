"""The T-SQL in `sql/` that is written by hand: permissions, seed, checks of masks, and access for an identity.

All of it is idempotent and is applied every time, after the migrations. SQLite needs none of it.
"""

from __future__ import annotations

import functools
import re
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from persistence.database.connections import is_embedded, transaction
from persistence.migrations.attempts import MigrationFailedError, attempt, lock_migrations

SQL: Final = Path(__file__).resolve().parents[2] / "sql"
SCRIPTS: Final = ("permissions", "seed", "masks")
"""The names of scripts that a branch may have, in the order in which they are applied."""

# Both become part of a script, in brackets and in a literal.
_IDENTITY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_CLIENT_ID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def apply_scripts(branches: Iterable[str], report: Callable[[str], None]) -> None:
    """Applies the scripts of these branches, each in one transaction, and reports each. Does nothing on SQLite.

    Raises `MigrationFailedError`: the scripts before the one that failed stay.
    """
    paths = [] if is_embedded() else [SQL / branch / f"{script}.sql" for branch in branches for script in SCRIPTS]
    for path in filter(Path.exists, paths):
        name = f"sql/{path.relative_to(SQL).as_posix()}"
        attempt(name, functools.partial(_run, path.read_text("utf-8")))
        report(f"{name}: applied")


def grant_access(name: str, client_id: str) -> None:
    """Makes an identity of Microsoft Entra a user of the database and a member of the app's role, unless it is both.

    Raises `MigrationFailedError` for an invalid name or client id, for SQLite, and where the server rejects it.
    """
    if not _IDENTITY_NAME.fullmatch(name):
        raise MigrationFailedError(
            f"{name!r} is not the name of an identity: letters, digits, dots, hyphens and underscores"
        )
    if not _CLIENT_ID.fullmatch(client_id):
        raise MigrationFailedError(f"{client_id!r} is not a client id: a UUID with hyphens")
    if is_embedded():
        raise MigrationFailedError("DATABASE_URL names a SQLite file, which has no users to grant anything to")
    sid = "0x" + uuid.UUID(client_id).bytes_le.hex().upper()  # the order in which SQL Server stores a GUID
    script = (SQL / "member.sql.template").read_text("utf-8").replace("{name}", name).replace("{sid}", sid)
    attempt("sql/member.sql.template", functools.partial(_run, script))


def split_batches(script: str) -> list[str]:
    """The batches between the lines that consist of GO, as sqlcmd splits them."""
    return [batch.strip() for batch in re.split(r"(?im)^[ \t]*GO[ \t]*;?[ \t]*\r?$", script) if batch.strip()]


def _run(script: str) -> None:
    with transaction() as connection:
        lock_migrations(connection)  # two processes would both find that a role is missing
        for batch in split_batches(script):
            connection.exec_driver_sql(batch)
