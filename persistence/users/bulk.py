"""The statements that create several users: as many for one as for a thousand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import orjson
from sqlalchemy import Connection, Integer, bindparam, column, exists, insert, or_, select

from domain.users.changes import Attribution
from domain.users.versions import UserRecord, creation
from persistence.database.clauses import in_json_array, in_order, json_rows
from persistence.database.errors import LostRaceError, raise_on_duplicate_key
from persistence.users.changes import log_changes
from persistence.users.tables import MANAGERS, USERS

_FIND_MANAGERS: Final = select(MANAGERS.c.manager_id, MANAGERS.c.is_active).where(
    in_json_array(MANAGERS.c.manager_id, "manager_ids")
)
_FIND_TAKEN: Final = select(USERS.c.mob_num).where(in_json_array(USERS.c.mob_num, "mob_nums"), USERS.c.is_active)

_OWN: Final = ("user_id", "manager_id", "full_name", "mob_num", "pan_num")
_COMMON: Final = {name: bindparam(name, type_=USERS.c[name].type) for name in ("version", "created_at", "is_active")}
_USERS: Final = json_rows("new_users", column("position", Integer), *(USERS.c[name] for name in _OWN))
_HAS_ACTIVE_MANAGER: Final = exists().where(MANAGERS.c.manager_id == _USERS.c.manager_id, MANAGERS.c.is_active)
# The insert looks the managers up, as that of one user does.
_INSERT_USERS: Final = insert(USERS).from_select(
    [*_OWN, *_COMMON],
    in_order(
        select(*(_USERS.c[name] for name in _OWN), *_COMMON.values()).where(
            or_(_USERS.c.manager_id.is_(None), _HAS_ACTIVE_MANAGER)
        ),
        _USERS.c.position,
    ),
)


def find_managers(connection: Connection, manager_ids: Iterable[str | None]) -> dict[str, bool]:
    """Returns which of these managers exist, and whether they are active. Costs nothing if all are None."""
    wanted = sorted({manager_id for manager_id in manager_ids if manager_id is not None})
    if not wanted:
        return {}
    rows = connection.execute(_FIND_MANAGERS, {"manager_ids": _json(wanted)})
    return {row.manager_id: row.is_active for row in rows}


def find_taken_numbers(connection: Connection, mob_nums: Iterable[str]) -> set[str]:
    """Returns which of these numbers active users have."""
    return {*connection.execute(_FIND_TAKEN, {"mob_nums": _json(sorted(mob_nums))}).scalars()}


def insert_users(connection: Connection, users: Sequence[UserRecord], attribution: Attribution) -> None:
    """Stores the first versions of users, which are created at the same time, in their order.

    Raises `LostRaceError`, and may have stored some, if a number was taken or a manager became inactive meanwhile.
    """
    created_at = users[0]["created_at"]
    rows = [[position, *(user[name] for name in _OWN)] for position, user in enumerate(users)]
    with raise_on_duplicate_key(LostRaceError(), foreign_key=True):
        values = {"new_users": _json(rows), "version": 1, "created_at": created_at, "is_active": True}
        stored = connection.execute(_INSERT_USERS, values).rowcount
    if stored != len(users):
        raise LostRaceError
    log_changes(connection, [creation(user) for user in users], attribution, now=created_at)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
