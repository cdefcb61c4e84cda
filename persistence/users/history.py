"""The history of one user: the entries of the log, with what they have of the user's data."""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.sql import Executable

from domain.users.changes import Operation
from persistence.database.clauses import limit_rows
from persistence.users.changes import Place, split_names
from persistence.users.tables import CHANGES, USERS, VALUES


class HistoryEntry(NamedTuple):
    """A change of a user, and the user after it. Of a deleted user the log has neither values nor earlier reasons."""

    place: Place
    user_id: str
    version: int
    operation: Operation
    changed: list[str]
    changed_by: str | None
    reason: str | None
    full_name: str | None
    mob_num: str | None
    pan_num: str | None
    manager_id: str | None


_COLUMNS: Final = [
    *(CHANGES.c[name] for name in ("change_id", "changed_at", "user_id", "version", "operation", "changed")),
    CHANGES.c.changed_by,
    *(VALUES.c[name] for name in ("reason", "full_name", "mob_num", "pan_num")),
    CHANGES.c.manager_id,
]


def list_history(
    connection: Connection, key: str, value: str, *, limit: int | None = None, after: str | None = None
) -> tuple[list[HistoryEntry], bool]:
    """Returns the changes of a user, oldest first, and whether there are more than `limit`.

    The user has this `user_id`, or holds this `mob_num` now. `after` is the timestamp of a change; no two changes of a
    user have the same. The list is empty if there is no such user, or no such change.
    """
    values: dict[str, object] = {key: value}
    if limit is not None:
        values["row_limit"] = limit + 1
    if after is not None:
        values["after_changed_at"] = after
    rows = connection.execute(_statement(key, limit is not None, after is not None), values).fetchall()
    return [_entry(*row) for row in rows[:limit]], limit is not None and len(rows) > limit


@functools.cache
def _statement(key: str, is_page: bool, has_after: bool) -> Executable:
    user_id: Any = bindparam("user_id")
    if key == "mob_num":
        user_id = select(USERS.c.user_id).where(USERS.c.mob_num == bindparam("mob_num"), USERS.c.is_active)
        user_id = user_id.scalar_subquery()
    conditions = [CHANGES.c.user_id == user_id]
    if has_after:
        conditions.append(CHANGES.c.changed_at > bindparam("after_changed_at"))
    entries = CHANGES.outerjoin(VALUES, VALUES.c.change_id == CHANGES.c.change_id)
    ordered = select(*_COLUMNS).select_from(entries).where(*conditions).order_by(CHANGES.c.changed_at)
    return limit_rows(ordered) if is_page else ordered


def _entry(
    change_id: int, changed_at: str, user_id: str, version: int, operation: str, changed: str, *others: Any
) -> HistoryEntry:
    place = Place(change_id, changed_at)
    return HistoryEntry(place, user_id, version, Operation(operation), split_names(changed), *others)
