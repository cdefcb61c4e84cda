"""The statements of users' versions. Every change is logged where it is made.

Every statement is built once: at import, or per combination of filters or changed columns. The predicates of the
filtered indexes (`is_active = 1`) are literals in them: with a parameter neither engine uses the indexes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    false,
    func,
    insert,
    not_,
    select,
    true,
    update,
)
from sqlalchemy.sql import ColumnElement, Executable, Insert, Select, Update

from domain.users.changes import Attribution, Change, Operation, next_timestamp
from domain.users.errors import MobNumTakenError
from domain.users.versions import Changes, CurrentUser, UpdatePlan, UserRecord, creation
from persistence.database.clauses import for_update, in_json_array
from persistence.database.errors import LostRaceError, raise_on_duplicate_key
from persistence.database.idempotency import erase_responses
from persistence.database.sqlite import execute_prepared
from persistence.users.changes import erase_values, log_changes
from persistence.users.managers import FIND_MANAGER, find_manager_is_active
from persistence.users.tables import MANAGERS, USERS

_CURRENT = USERS.c.is_active
_SUPERSEDED = not_(USERS.c.is_active)


# ---- create

# Without updated_at, and without a manager_id of None: the driver needs a round trip for an untyped NULL.
_NEW = {
    column.name: bindparam(column.name, type_=column.type)
    for column in USERS.c
    if column.name not in ("id", "updated_at")
}
_INSERT = insert(USERS).inline().values({name: value for name, value in _NEW.items() if name != "manager_id"})
# The insert looks the manager up: one statement, so that the manager cannot be retired in between.
_INSERT_UNDER_MANAGER = insert(USERS).from_select(
    list(_NEW), select(*_NEW.values()).where(MANAGERS.c.manager_id == _NEW["manager_id"], MANAGERS.c.is_active)
)


def insert_user(connection: Connection, user: UserRecord, attribution: Attribution) -> bool:
    """Stores the first version of a user. Returns False, and stores nothing, for an unknown or inactive manager.

    Raises `MobNumTakenError` if an active user has the `mob_num`, and `LostRaceError` if the manager was just deleted.
    """
    statement = _INSERT if user["manager_id"] is None else _INSERT_UNDER_MANAGER
    with raise_on_duplicate_key(MobNumTakenError(), foreign_key=statement is _INSERT_UNDER_MANAGER):
        values = {name: value for name, value in user.items() if value is not None}
        stored = execute_prepared(connection, statement, {**values, "version": 1}).rowcount == 1
    if stored:
        log_changes(connection, [creation(user)], attribution, now=user["created_at"])
    return stored


# ---- find


def find_user(connection: Connection, key: str, value: str) -> str | None:
    """Returns the `user_id` of the user whose current version has `value` in the column `key`, or None."""
    user_id: str | None = connection.execute(_find_current(key), {key: value}).scalar_one_or_none()
    return user_id


@functools.cache
def _find_current(key: str) -> Select[Any]:
    return select(USERS.c.user_id).where(USERS.c[key] == bindparam(key), _CURRENT)


# ---- delete


def delete_user(connection: Connection, key: str, value: str, attribution: Attribution, *, now: datetime) -> str | None:
    """Deletes every version of the user whose current version has `value` in the column `key`, also from the log.

    Returns the `user_id`, or None if there is no such user. Raises `LostRaceError` if a concurrent transaction
    superseded the row.
    """
    user = connection.execute(_delete_current(key), {key: value}).one_or_none()
    if user is None:
        if find_user(connection, key, value):
            raise LostRaceError  # SQL Server waited for a row that was superseded meanwhile, and missed the new one
        return None
    if user.version > 1:
        connection.execute(_DELETE_SUPERSEDED, {"user_id": user.user_id})
    erase_values(connection, user.user_id)
    erase_responses(connection, user.user_id)
    deletion = Change(user.user_id, user.version, Operation.DELETED, (), user.manager_id)
    changed_at = next_timestamp(now, [user.updated_at or user.created_at])
    log_changes(connection, [deletion], attribution, now=changed_at)
    return str(user.user_id)


_LAST = [USERS.c[name] for name in ("user_id", "version", "manager_id", "created_at", "updated_at")]


@functools.cache
def _delete_current(key: str) -> Executable:
    return delete(USERS).where(USERS.c[key] == bindparam(key), _CURRENT).returning(*_LAST)


_DELETE_SUPERSEDED = delete(USERS).where(USERS.c.user_id == bindparam("user_id"), _SUPERSEDED)


# ---- update

_READ = select(
    *(USERS.c[name] for name in CurrentUser._fields if name != "changed_at"),
    func.coalesce(USERS.c.updated_at, USERS.c.created_at).label("changed_at"),
).where(in_json_array(USERS.c.user_id, "user_ids"), _CURRENT)
_LOAD = for_update(_READ, USERS)
_COUNT_CURRENT = select(func.count()).where(in_json_array(USERS.c.user_id, "user_ids"), _CURRENT)
# With the manager in the same statement: an update of one user takes three statements.
_READ_WITH_MANAGER, _LOAD_WITH_MANAGER = (
    statement.add_columns(FIND_MANAGER.scalar_subquery()) for statement in (_READ, _LOAD)
)


def load_for_update(
    connection: Connection, user_ids: Sequence[str], manager_id: str | None, *, locks: bool = True
) -> tuple[list[CurrentUser], bool | None]:
    """Returns the current versions of the existing users, and whether the manager is active (None: no such manager).

    The rows stay locked until the transaction ends, except in a dry run, which `locks` nothing; locking them in the
    order of ids avoids deadlocks. Raises `LostRaceError` if a concurrent transaction superseded one of them.
    """
    ids = {"user_ids": orjson.dumps(sorted(user_ids)).decode()}
    if manager_id is None:
        rows = connection.execute(_LOAD if locks else _READ, ids).fetchall()
        current, is_active = [CurrentUser._make(row) for row in rows], None
    else:
        statement = _LOAD_WITH_MANAGER if locks else _READ_WITH_MANAGER
        rows = connection.execute(statement, {**ids, "manager_id": manager_id}).fetchall()
        current = [CurrentUser._make(row[:-1]) for row in rows]
        is_active = rows[0][-1] if rows else find_manager_is_active(connection, manager_id)
    if len(current) < len(user_ids) and connection.execute(_COUNT_CURRENT, ids).scalar_one() > len(current):
        raise LostRaceError  # as in delete_user
    return current, is_active


def save_update(
    connection: Connection, plan: UpdatePlan, changes: Changes, attribution: Attribution, *, now: str
) -> None:
    """Writes `plan` and its log with the timestamp `now`.

    Raises `MobNumTakenError` if another active user has the `mob_num`, `LostRaceError` if a row changed after loading
    or the new manager was deleted.
    """
    keys = frozenset(changes)
    new = {f"new_{key}": value for key, value in changes.items()} | {"now": now}
    taken = MobNumTakenError() if "mob_num" in changes else LostRaceError()
    with raise_on_duplicate_key(taken, foreign_key="manager_id" in changes):
        if plan.in_place:
            _write(connection, _set_in_place(keys), plan.in_place, new)
        if plan.superseded:
            _write(connection, _CLOSE, plan.superseded, {"now": now})
            _write(connection, _open_next(keys), plan.superseded, new)
    log_changes(connection, plan.log, attribution, now=now)


def check_update(connection: Connection, user_ids: Sequence[str], changes: Changes) -> None:
    """Raises `MobNumTakenError` if an active user besides `user_ids` has the new `mob_num`; writes nothing."""
    if "mob_num" in changes and find_user(connection, "mob_num", changes["mob_num"]) not in (None, *user_ids):
        raise MobNumTakenError


def _write(connection: Connection, statement: Executable, row_ids: list[int], values: dict[str, object]) -> None:
    result = connection.execute(statement, {**values, "row_ids": orjson.dumps(sorted(row_ids)).decode()})
    if result.rowcount != len(row_ids):
        raise LostRaceError


@functools.cache
def _set_in_place(keys: frozenset[str]) -> Update:
    statement = update(USERS).where(in_json_array(USERS.c.id, "row_ids"), _CURRENT)
    return statement.values({key: bindparam(f"new_{key}") for key in keys} | {"updated_at": bindparam("now")})


_CLOSE = (
    update(USERS)
    .where(in_json_array(USERS.c.id, "row_ids"), _CURRENT)
    .values(is_active=false(), updated_at=bindparam("now"))
)


@functools.cache
def _open_next(keys: frozenset[str]) -> Insert:
    """Returns the insert of the next versions of closed rows: changed copies, made in the database."""
    columns = {column.name: column for column in USERS.c if column.name != "id"}
    copied: dict[str, ColumnElement[Any]] = {
        **columns,
        "version": columns["version"] + 1,
        "updated_at": bindparam("now", type_=columns["updated_at"].type),
        "is_active": true(),
        **{key: bindparam(f"new_{key}", type_=columns[key].type) for key in keys},
    }
    closed = select(*copied.values()).where(in_json_array(USERS.c.id, "row_ids"))
    return insert(USERS).from_select(list(copied), closed)
