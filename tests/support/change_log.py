"""The stored log of changes, and all that a database holds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlmodel import SQLModel

from persistence.database import connections
from persistence.users.tables import CHANGES, VALUES


def attributions(user_id: str) -> list[tuple[str, str | None, str | None]]:
    """The operation, `changed_by` and reason of every change of a user, oldest first."""
    log = CHANGES.outerjoin(VALUES, VALUES.c.change_id == CHANGES.c.change_id)
    columns = select(CHANGES.c.operation, CHANGES.c.changed_by, VALUES.c.reason).select_from(log)
    with connections.reading() as connection:
        rows = connection.execute(columns.where(CHANGES.c.user_id == user_id).order_by(CHANGES.c.change_id)).fetchall()
    return [tuple(row) for row in rows]


def contents() -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table, without what only one engine has."""
    found = {}
    with connections.reading() as connection:
        for table in SQLModel.metadata.sorted_tables:
            rows = connection.execute(select(*(column for column in table.c if not column.system)))
            found[table.name] = sorted((tuple(row) for row in rows), key=repr)
    return found
