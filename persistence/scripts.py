"""Applies `sql/` to the database, each script once: what `make database` does."""

from __future__ import annotations

import functools
import hashlib
import re
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import CHAR, Column, Connection, MetaData, Table, Unicode, bindparam, insert, select
from sqlalchemy.exc import DBAPIError

from domain.timestamps import format_timestamp
from persistence.database.connections import is_embedded, transaction
from persistence.database.retries import run_with_retries
from persistence.database.types import UtcText

T = TypeVar("T")

SQL: Final = Path(__file__).resolve().parent.parent / "sql"

# Its own MetaData: the tables of the services are made by the scripts that this one records.
SCRIPTS: Final = Table(
    "schema_scripts",
    MetaData(),
    Column("name", Unicode(200), primary_key=True),
    Column("checksum", CHAR(64), nullable=False),
    Column("applied_at", UtcText, nullable=False),
)
_FIND = select(SCRIPTS.c.checksum).where(SCRIPTS.c.name == bindparam("name"))


_MEMBER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # stands in a script, in brackets and in a literal
_CLIENT_ID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class ScriptChangedError(Exception):
    """A script that is not what it was when it ran."""


class ScriptFailedError(Exception):
    """A script that the database does not take; nothing of it was kept."""


def apply_scripts(folder: Path, services: Sequence[str], tell: Callable[[str], None]) -> None:
    """Runs every script that has not run yet, in the order of their names, each in one transaction.

    Those in `chassis`, which every service needs, come first, then those of the services. Tells of each script what was
    done. On SQLite the tables are there as soon as the database is opened: a script is recorded there, and nothing is
    run. Refuses with `ScriptChangedError` a script that was changed after it ran, and with `ScriptFailedError` one that
    the database does not take; what ran before it stays.
    """
    if missing := [service for service in services if not (folder / service).is_dir()]:
        raise ScriptFailedError(f"SERVICES names {', '.join(missing)}, of which sql/ has no scripts")
    _keep("The table of the scripts", functools.partial(SCRIPTS.create, checkfirst=True))
    for path in [path for part in ("chassis", *services) for path in sorted((folder / part).glob("*.sql"))]:
        name = path.relative_to(folder).as_posix()
        outcome = _keep(name, functools.partial(_apply, name=name, script=path.read_text("utf-8")))
        tell(f"{name}: {outcome}")  # told only when it is committed


def add_member(name: str, client_id: str) -> None:
    """Makes an identity of Entra a user of the database and a member of the app's role, unless it is both already.

    Refuses with `ScriptFailedError` what is no name or no UUID, a SQLite, and what the database does not take.
    """
    if not _MEMBER_NAME.fullmatch(name):
        raise ScriptFailedError(f"{name!r} is no name of an identity: letters, digits, dots, hyphens and underscores")
    if not _CLIENT_ID.fullmatch(client_id):
        raise ScriptFailedError(f"{client_id!r} is no client id: a UUID with hyphens")
    sid = "0x" + uuid.UUID(client_id).bytes_le.hex().upper()  # the order in which SQL Server keeps a GUID
    if is_embedded():
        raise ScriptFailedError("DATABASE_URL names a SQLite, which knows no members")
    script = (SQL / "member.sql.template").read_text("utf-8").replace("{name}", name).replace("{sid}", sid)
    _keep("member.sql", functools.partial(_run, script=script))


def _run(connection: Connection, script: str) -> None:
    for batch in split_batches(script):
        connection.exec_driver_sql(batch)


def _keep(what: str, work: Callable[[Connection], T]) -> T:
    """What `work` returns, in a transaction of its own; a database that is waking up is waited for."""

    def attempt() -> T:
        with transaction() as connection:
            return work(connection)

    try:
        return run_with_retries(attempt)
    except DBAPIError as error:
        raise ScriptFailedError(f"{what} failed: {error.orig}") from error


def _apply(connection: Connection, name: str, script: str) -> str:
    checksum = hashlib.sha256(script.encode()).hexdigest()
    recorded = connection.execute(_FIND, {"name": name}).scalar()
    if recorded == checksum:
        return "ran before"
    if recorded is not None:
        raise ScriptChangedError(
            f"{name} was changed after it ran. Put the change into a new script: this one will not run again."
        )
    if not is_embedded():
        _run(connection, script)
    applied_at = format_timestamp(datetime.now(UTC))
    connection.execute(insert(SCRIPTS), {"name": name, "checksum": checksum, "applied_at": applied_at})
    return "done"


def split_batches(script: str) -> list[str]:
    """The batches between the lines that say GO and nothing else, as sqlcmd takes them."""
    return [batch.strip() for batch in re.split(r"(?im)^[ \t]*GO[ \t]*;?[ \t]*\r?$", script) if batch.strip()]
