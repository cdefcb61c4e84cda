"""What the log says that users were at an earlier time."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, literal_column, select, true
from sqlalchemy.sql import Select

from persistence.users.tables import CHANGES, LOGS, USER_VALUES, VALUES

_BEGAN_AT: Final = select(LOGS.c.began_at)
_VALUES: Final = [VALUES.c[name] for name in USER_VALUES]
_RECORDS: Final = (
    select(
        CHANGES.c.user_id, CHANGES.c.manager_id, *_VALUES, true().label("is_active"), CHANGES.c.change_id.label("id")
    )
    .join_from(CHANGES, VALUES, VALUES.c.change_id == CHANGES.c.change_id)
    .where(VALUES.c.full_name.is_not(None))  # of a deletion there is only a reason
)


def find_log_start(connection: Connection) -> str:
    """Returns when the log began: what users were before is not known."""
    return str(connection.execute(_BEGAN_AT).scalar_one())


def select_as_of(keys: Collection[str]) -> Select[Any]:
    """Returns the statement for the records that were current at the parameter `as_of`, without an order.

    Its columns are those of a record, and `id`, the position in the log. `keys` may have `user_id`, `mob_num` and
    `manager_id`, which are compared with parameters. The log is read once, or sought by the users in question. Users
    who are deleted have no values, and so no record.
    """
    # Numbered from the last change back. LEAD() needs no sort, but takes SQLite three times as long. These columns are
    # all in the index of users and times: entries that were superseded by then are not read.
    latest_first = CHANGES.c.changed_at.desc()
    place = func.row_number().over(partition_by=CHANGES.c.user_id, order_by=latest_first).label("place")
    entries = select(CHANGES.c.change_id, place).where(CHANGES.c.changed_at <= bindparam("as_of"))
    if "user_id" in keys:
        entries = entries.where(CHANGES.c.user_id == bindparam("user_id"))
    if "mob_num" in keys:  # all who ever had it, as candidates; that they had it then is checked below
        candidate = CHANGES.alias("candidate")
        had = VALUES.alias("had")
        candidates = select(candidate.c.user_id).join_from(had, candidate, candidate.c.change_id == had.c.change_id)
        entries = entries.where(CHANGES.c.user_id.in_(candidates.where(had.c.mob_num == bindparam("mob_num"))))
    numbered = entries.subquery("numbered")
    latest = select(numbered.c.change_id).where(numbered.c.place == literal_column("1"))
    records = _RECORDS.where(CHANGES.c.change_id.in_(latest))
    if "mob_num" in keys:
        records = records.where(VALUES.c.mob_num == bindparam("mob_num"))
    return records.where(CHANGES.c.manager_id == bindparam("manager_id")) if "manager_id" in keys else records
