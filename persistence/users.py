"""The tables of managers and of users' versions, and their statements.

Every statement is built once: at import, or per combination of filters or changed columns. The predicates of the
filtered indexes (`is_active = 1`) are literals in them: with a parameter neither engine uses the indexes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import orjson
from sqlalchemy import (
    CHAR,
    CheckConstraint,
    Connection,
    CursorResult,
    Index,
    Table,
    Unicode,
    bindparam,
    delete,
    false,
    func,
    insert,
    not_,
    or_,
    select,
    text,
    true,
    union_all,
    update,
)
from sqlalchemy.sql import ColumnElement, Executable, Insert, Select, Update
from sqlmodel import Field, SQLModel

from domain.users.errors import MobNumTakenError
from domain.users.versions import Changes, CurrentUser, UpdatePlan, UserRecord
from persistence.database.clauses import count_rows, for_update, in_json_array, limit_rows
from persistence.database.errors import LostRaceError, raise_on_duplicate_key
from persistence.database.types import RowId, UtcText, UuidText

FETCH_SIZE: Final = 1000
"""Records that a list fetches and yields at a time."""


class ManagerRow(SQLModel, table=True):
    """A manager that users can be assigned to."""

    __tablename__: ClassVar[str] = "managers"

    manager_id: str = Field(primary_key=True, sa_type=UuidText)
    full_name: str = Field(sa_type=Unicode(400))  # UTF-16 units: twice the limit in code points
    is_active: bool
    created_at: str = Field(sa_type=UtcText)
    updated_at: str | None = Field(default=None, sa_type=UtcText)


class UserRow(SQLModel, table=True):
    """One version of a user."""

    __tablename__: ClassVar[str] = "users"
    # SQL Server returns such masks to users without the permission UNMASK: a masked value must never be stored.
    __table_args__: ClassVar[tuple[CheckConstraint]] = (
        CheckConstraint("mob_num NOT LIKE 'X%' AND pan_num NOT LIKE 'XXXXXX%'", name="ck_users_whole_values"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    user_id: str = Field(sa_type=UuidText)
    version: int
    manager_id: str | None = Field(default=None, foreign_key="managers.manager_id", sa_type=UuidText)
    full_name: str = Field(sa_type=Unicode(400))
    mob_num: str = Field(sa_type=CHAR(10))
    pan_num: str = Field(sa_type=CHAR(10))
    created_at: str = Field(sa_type=UtcText)
    updated_at: str | None = Field(default=None, sa_type=UtcText)
    is_active: bool


USERS: Final[Table] = SQLModel.metadata.tables["users"]
MANAGERS: Final[Table] = SQLModel.metadata.tables["managers"]
_CURRENT = USERS.c.is_active
_SUPERSEDED = not_(USERS.c.is_active)


def _filtered_index(name: str, column: str, where: str, *, unique: bool) -> None:
    Index(name, USERS.c[column], unique=unique, sqlite_where=text(where), mssql_where=text(where))


# Every index makes writes slower, so each holds only the rows that queries seek in it.
_filtered_index("ux_users_current_user_id", "user_id", "is_active = 1", unique=True)
_filtered_index("ux_users_current_mob_num", "mob_num", "is_active = 1", unique=True)
_filtered_index("ix_users_superseded_user_id", "user_id", "is_active = 0", unique=False)
# Both engines append the row's key, so these indexes have the order of a list: created_at, then id.
Index("ix_users_manager_id", USERS.c.manager_id, USERS.c.created_at)
Index("ix_users_created_at", USERS.c.created_at)


# ---- managers


_FIND_MANAGER = select(MANAGERS.c.is_active).where(MANAGERS.c.manager_id == bindparam("manager_id"))


def find_manager_is_active(connection: Connection, manager_id: str | None) -> bool | None:
    """Returns whether the manager is active, or None if there is no such manager."""
    return connection.execute(_FIND_MANAGER, {"manager_id": manager_id}).scalar_one_or_none()


_LIST_MANAGERS = select(MANAGERS).order_by(MANAGERS.c.created_at, MANAGERS.c.full_name)
_INSERT_MANAGER = insert(MANAGERS)
_RETIRE_MANAGER = (
    update(MANAGERS)
    .where(MANAGERS.c.manager_id == bindparam("retired_id"), MANAGERS.c.is_active)
    .values(is_active=false(), updated_at=bindparam("now"))
)


def list_managers(connection: Connection) -> list[dict[str, Any]]:
    """Returns the columns of every manager, oldest first."""
    return [dict(row) for row in connection.execute(_LIST_MANAGERS).mappings()]


def insert_manager(connection: Connection, manager_id: str, full_name: str, *, now: str) -> None:
    """Stores an active manager. The block of the connection raises `LostRaceError` if the id is taken."""
    values = {"manager_id": manager_id, "full_name": full_name, "is_active": True, "created_at": now}
    connection.execute(_INSERT_MANAGER, values)


def retire_manager(connection: Connection, manager_id: str, *, now: str) -> bool:
    """Makes an active manager inactive; their users stay assigned. Returns False if there is no such active manager."""
    return connection.execute(_RETIRE_MANAGER, {"retired_id": manager_id, "now": now}).rowcount == 1


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


def insert_user(connection: Connection, user: UserRecord) -> bool:
    """Stores the first version of a user. Returns False, and stores nothing, for an unknown or inactive manager.

    Raises `MobNumTakenError` if an active user has the `mob_num`, and `LostRaceError` if the manager was just deleted.
    """
    statement = _INSERT if user["manager_id"] is None else _INSERT_UNDER_MANAGER
    with raise_on_duplicate_key(MobNumTakenError(), foreign_key=statement is _INSERT_UNDER_MANAGER):
        values = {name: value for name, value in user.items() if value is not None}
        return connection.execute(statement, {**values, "version": 1}).rowcount == 1


# ---- get


class Filters(NamedTuple):
    """The filters of a list; None does not filter. `mob_num` selects the user who has this number now."""

    user_id: str | None = None
    mob_num: str | None = None
    manager_id: str | None = None
    is_active: bool | None = None


class Position(NamedTuple):
    """A place in the order of a list: after the record with this `created_at` and row `id`."""

    created_at: str
    id: int


_RECORD = [USERS.c[name] for name in (*UserRecord.__annotations__, "id")]


def list_users(connection: Connection, filters: Filters) -> Iterator[list[UserRecord]]:
    """Yields every matching record, oldest first, at most `FETCH_SIZE` at a time."""
    result = _list(connection, filters)
    while True:
        rows = result.fetchmany(FETCH_SIZE)
        if rows:
            yield _records(rows)
        if len(rows) < FETCH_SIZE:  # another fetch, which finds nothing, would add a tenth to a lookup
            return


def has_more_records(connection: Connection, filters: Filters, most: int) -> bool:
    """Returns whether more than `most` records match, by a count that ends there; False for the records of one user."""
    if filters.user_id is not None or filters.mob_num is not None:
        return False
    statement = _count_statement(filters.manager_id is not None, filters.is_active)
    return bool(connection.execute(statement, {**filters._asdict(), "row_limit": most + 1}).scalar_one() > most)


@functools.cache
def _count_statement(has_manager: bool, is_active: bool | None) -> Executable:
    conditions = [USERS.c.manager_id == bindparam("manager_id")] if has_manager else []
    if is_active is not None:
        conditions.append(_CURRENT if is_active else _SUPERSEDED)
    return count_rows(select(USERS.c.id).where(*conditions))


def list_page(
    connection: Connection, filters: Filters, limit: int, after: Position | None
) -> tuple[list[UserRecord], Position | None]:
    """Returns at most `limit` matching records after `after`, and the position of the next page or None."""
    rows = _list(connection, filters, row_limit=limit + 1, after=after).fetchall()
    more = len(rows) > limit
    rows = rows[:limit]
    return _records(rows), Position(rows[-1].created_at, rows[-1].id) if more else None


def _records(rows: Sequence[Any]) -> list[UserRecord]:
    # A dict literal: building 100,000 of them through zip() or _mapping takes twice as long.
    return [
        {
            "user_id": user_id,
            "manager_id": manager_id,
            "full_name": full_name,
            "mob_num": mob_num,
            "pan_num": pan_num,
            "created_at": created_at,
            "updated_at": updated_at,
            "is_active": is_active,
        }
        for user_id, manager_id, full_name, mob_num, pan_num, created_at, updated_at, is_active, _ in rows
    ]


def _list(
    connection: Connection, filters: Filters, *, row_limit: int | None = None, after: Position | None = None
) -> CursorResult[Any]:
    values: dict[str, object] = {
        key: value for key, value in filters._asdict().items() if value is not None and key != "is_active"
    }
    statement = _list_statement(frozenset(values), filters.is_active, row_limit is not None, after is not None)
    if row_limit is not None:
        values["row_limit"] = row_limit
    if after is not None:
        values |= {"after_created_at": after.created_at, "after_id": after.id}
    return connection.execute(statement, values)


@functools.cache
def _list_statement(keys: frozenset[str], is_active: bool | None, is_page: bool, has_after: bool) -> Executable:
    conditions = [USERS.c[key] == bindparam(key) for key in sorted(keys - {"mob_num"})]
    if "mob_num" in keys:
        holder = USERS.alias("holder")
        held = select(holder.c.user_id).where(holder.c.mob_num == bindparam("mob_num"), holder.c.is_active)
        conditions.append(USERS.c.user_id == held.scalar_subquery())
    if has_after:
        conditions += [
            USERS.c.created_at >= bindparam("after_created_at"),  # an index range; the next line is none
            or_(USERS.c.created_at > bindparam("after_created_at"), USERS.c.id > bindparam("after_id")),
        ]
    records = select(*_RECORD).where(*conditions)
    if is_active is not None:
        records = records.where(_CURRENT if is_active else _SUPERSEDED)
    elif keys & {"user_id", "mob_num"}:  # uses both filtered indexes of user_id
        versions = union_all(records.where(_SUPERSEDED), records.where(_CURRENT)).subquery()
        records = select(versions)
    ordered = records.order_by(records.selected_columns.created_at, records.selected_columns.id)
    return limit_rows(ordered) if is_page else ordered


# ---- delete


def delete_user(connection: Connection, key: str, value: str) -> str | None:
    """Deletes every version of the user whose current version has `value` in the column `key`.

    Returns the `user_id`, or None if there is no such user. Raises `LostRaceError` if a concurrent transaction
    superseded the row.
    """
    user_id: str | None = connection.execute(_delete_current(key), {key: value}).scalar()
    if user_id is not None:
        connection.execute(_DELETE_SUPERSEDED, {"user_id": user_id})
    elif connection.execute(_find_current(key), {key: value}).one_or_none():
        raise LostRaceError  # SQL Server waited for a row that was superseded meanwhile, and missed the new one
    return user_id


@functools.cache
def _delete_current(key: str) -> Executable:
    return delete(USERS).where(USERS.c[key] == bindparam(key), _CURRENT).returning(USERS.c.user_id)


@functools.cache
def _find_current(key: str) -> Select[Any]:
    return select(USERS.c.id).where(USERS.c[key] == bindparam(key), _CURRENT)


_DELETE_SUPERSEDED = delete(USERS).where(USERS.c.user_id == bindparam("user_id"), _SUPERSEDED)


# ---- update

_LOAD = for_update(
    select(*(USERS.c[name] for name in CurrentUser._fields)).where(
        in_json_array(USERS.c.user_id, "user_ids"), _CURRENT
    ),
    USERS,
)
_COUNT_CURRENT = select(func.count()).where(in_json_array(USERS.c.user_id, "user_ids"), _CURRENT)
# With the manager in the same statement: an update of one user takes three statements.
_LOAD_WITH_MANAGER = _LOAD.add_columns(_FIND_MANAGER.scalar_subquery())


def load_for_update(
    connection: Connection, user_ids: Sequence[str], manager_id: str | None
) -> tuple[list[CurrentUser], bool | None]:
    """Returns the current versions of the existing users, and whether the manager is active (None: no such manager).

    The rows stay locked until the transaction ends; locking them in the order of ids avoids deadlocks. Raises
    `LostRaceError` if a concurrent transaction superseded one of them.
    """
    ids = {"user_ids": orjson.dumps(sorted(user_ids)).decode()}
    if manager_id is None:
        rows = connection.execute(_LOAD, ids).fetchall()
        current, is_active = [CurrentUser._make(row) for row in rows], None
    else:
        rows = connection.execute(_LOAD_WITH_MANAGER, {**ids, "manager_id": manager_id}).fetchall()
        current = [CurrentUser._make(row[:-1]) for row in rows]
        is_active = rows[0][-1] if rows else find_manager_is_active(connection, manager_id)
    if len(current) < len(user_ids) and connection.execute(_COUNT_CURRENT, ids).scalar_one() > len(current):
        raise LostRaceError  # as in delete_user
    return current, is_active


def save_update(connection: Connection, plan: UpdatePlan, changes: Changes, *, now: str) -> None:
    """Writes `plan` with the timestamp `now`.

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
