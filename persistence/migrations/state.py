"""How far the database is migrated, compared with the heads that this version of the app needs. Without Alembic."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from sqlalchemy import Unicode, column, select, table
from sqlalchemy.exc import DBAPIError

from persistence.database.connections import reading
from persistence.database.errors import MISSING_TABLE_ERRORS, error_code
from persistence.migrations.heads import HEADS

SHARED: Final = "shared"

SchemaState = Literal["current", "outdated", "newer"]

_REVISION = re.compile(r"(\w+)_([0-9]{4})")
_FIND = select(column("version_num", Unicode())).select_from(table("alembic_version"))


def migration_branches(services: Iterable[str]) -> tuple[str, ...]:
    """The branches of these services in their order, behind `shared`; a service without tables has none."""
    return tuple(name for name in dict.fromkeys((SHARED, *services)) if name in HEADS)


def schema_state(branches: Iterable[str]) -> SchemaState:
    """Whether the database has the heads of these branches: `outdated` where one is missing, `newer` where it is ahead.

    Costs one statement. Raises `UnavailableError`, or `TransientError`, as `reading` does.
    """
    return compare_versions(find_versions(), branches)


def compare_versions(versions: Mapping[str, int], branches: Iterable[str]) -> SchemaState:
    """What `schema_state` returns, for versions that were read before."""
    distances = [versions.get(branch, 0) - head_number(branch) for branch in branches]
    if min(distances) < 0:
        return "outdated"
    return "newer" if max(distances) > 0 else "current"


def find_versions() -> dict[str, int]:
    """The number of the last migration of each branch: empty where the database has never been migrated."""
    try:
        with reading() as connection:
            return parse_versions(connection.execute(_FIND).scalars())
    except DBAPIError as error:
        if error_code(error) in MISSING_TABLE_ERRORS:
            return {}
        raise


def parse_versions(revisions: Iterable[str]) -> dict[str, int]:
    """The number of each revision by its branch. A revision is a branch, `_` and four digits; others are left out."""
    return {match[1]: int(match[2]) for revision in revisions if (match := _REVISION.fullmatch(revision))}


def head_number(branch: str) -> int:
    """The number of a branch's head."""
    return parse_versions([HEADS[branch]])[branch]


def describe_newer(versions: Mapping[str, int], branches: Iterable[str]) -> str:
    """The branches in which the database is ahead of this version of the app, for an error; or nothing."""
    newer = [branch for branch in branches if versions.get(branch, 0) > head_number(branch)]
    return ", ".join(f"{branch}_{versions[branch]:04}, while this version ends at {HEADS[branch]}" for branch in newer)
