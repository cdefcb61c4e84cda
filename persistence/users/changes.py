"""The log of changes. Its entries are written in the transaction of the change, while the rows of users are locked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, delete, insert, select
from sqlalchemy.sql import ColumnElement, Select

from domain.users.changes import Attribution, Change, Operation
from persistence.database.clauses import check_by_seek, in_json_array, json_rows
from persistence.database.sqlite import execute_prepared
from persistence.users.tables import CHANGES, USER_VALUES, USERS, VALUES

_ATTRIBUTED: Final = {name: bindparam(name, type_=CHANGES.c[name].type) for name in ("changed_by", "changed_at")}
_ENTRY: Final = {
    name: bindparam("changed_columns" if name == "changed" else name, type_=CHANGES.c[name].type)
    for name in Change._fields
}
_PARAMETERS: Final = tuple(parameter.key for parameter in _ENTRY.values())
_LOG_ONE: Final = insert(CHANGES).inline().values(_ENTRY | _ATTRIBUTED)
_ENTRIES: Final = json_rows("entries", *(CHANGES.c[name] for name in Change._fields))
_LOG_MANY: Final = insert(CHANGES).from_select(
    [*Change._fields, *_ATTRIBUTED], select(*_ENTRIES.c, *_ATTRIBUTED.values())
)

_ONE_USER: Final = CHANGES.c.user_id == bindparam("user_id")
_IS_NEW: Final = CHANGES.c.changed_at == _ATTRIBUTED["changed_at"]
_REASON: Final = bindparam("reason", type_=VALUES.c.reason.type)


def _copy_values(which: ColumnElement[bool]) -> Select[Any]:
    current = CHANGES.join(USERS, (USERS.c.user_id == CHANGES.c.user_id) & USERS.c.is_active)
    copies = select(CHANGES.c.change_id, *(USERS.c[name] for name in USER_VALUES), _REASON).select_from(current)
    return copies.where(which, _IS_NEW)


_VALUES: Final = ("change_id", *USER_VALUES, "reason")
_COPY_ONE: Final = insert(VALUES).from_select([*_VALUES], _copy_values(_ONE_USER))
_COPY_MANY: Final = insert(VALUES).from_select(
    [*_VALUES], check_by_seek(_copy_values(in_json_array(CHANGES.c.user_id, "user_ids")))
)
_EXPLAIN_ONE: Final = insert(VALUES).from_select(
    ["change_id", "reason"], select(CHANGES.c.change_id, _REASON).where(_ONE_USER, _IS_NEW)
)
_ERASE: Final = delete(VALUES).where(VALUES.c.change_id.in_(select(CHANGES.c.change_id).where(_ONE_USER)))


class Place(NamedTuple):
    """Identifies an entry of the log, also beside those of a restored or another database with the same ids."""

    change_id: int
    changed_at: str


START: Final = Place(0, "0001-01-01T00:00:00.000000Z")
"""The place before all entries."""


def log_changes(connection: Connection, changes: Sequence[Change], attribution: Attribution, *, now: str) -> None:
    """Appends changes of different users, made at `now`, with what these users are after them.

    Two statements for any number of changes; of a deletion, only its reason is stored with it.
    """
    if not changes:
        return
    common = {"changed_by": attribution.changed_by, "changed_at": now}
    if len(changes) > 1:
        # In the order of the index of users, which is then written page by page.
        entries = sorted(map(_columns, changes))
        connection.execute(_LOG_MANY, {**common, "entries": _json(entries)})
        user_ids = _json([entry[0] for entry in entries])
        connection.execute(_COPY_MANY, {"user_ids": user_ids, "changed_at": now, "reason": attribution.reason})
        return
    (change,) = changes
    execute_prepared(connection, _LOG_ONE, {**dict(zip(_PARAMETERS, _columns(change), strict=True)), **common})
    is_deletion = change.operation is Operation.DELETED
    if not is_deletion or attribution.reason is not None:
        statement = _EXPLAIN_ONE if is_deletion else _COPY_ONE
        values = {"user_id": change.user_id, "changed_at": now, "reason": attribution.reason}
        execute_prepared(connection, statement, values)


def erase_values(connection: Connection, user_id: str) -> None:
    """Deletes what the log has of a user's data, the reasons of their changes included."""
    connection.execute(_ERASE, {"user_id": user_id})


def split_names(changed: str) -> list[str]:
    """Returns the names in the column `changed`."""
    return changed.split(",") if changed else []


def _columns(change: Change) -> tuple[object, ...]:
    return change.user_id, change.version, change.operation.value, ",".join(change.changed), change.manager_id


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
