"""The statements that list users: their versions, or what was current at an earlier time.

Every statement is built once, per combination of filters. The predicates of the filtered indexes (`is_active = 1`) are
literals in them: with a parameter neither engine uses the indexes.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Sequence
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, CursorResult, bindparam, not_, or_, select, union_all
from sqlalchemy.sql import ColumnElement, Executable, Select

from domain.users.versions import UserRecord
from persistence.database.clauses import count_rows, in_json_array, limit_rows
from persistence.users.as_of import select_as_of
from persistence.users.tables import USERS

FETCH_SIZE: Final = 1000
"""Records that a list fetches and yields at a time."""

_CURRENT = USERS.c.is_active
_SUPERSEDED = not_(USERS.c.is_active)


class Filters(NamedTuple):
    """The filters of a list; None does not filter. `mob_num` and `mob_nums` select those who have these numbers now.

    With `as_of`, a timestamp, the list has what was current then, `mob_num` selects the user who had the number then,
    and `is_active`, `user_ids` and `mob_nums` are None.
    """

    user_id: str | None = None
    mob_num: str | None = None
    manager_id: str | None = None
    is_active: bool | None = None
    user_ids: Sequence[str] | None = None
    mob_nums: Sequence[str] | None = None
    as_of: str | None = None


class Position(NamedTuple):
    """A place in the order of a list: after the record with this `created_at` and row `id`, of the log with `as_of`."""

    created_at: str
    id: int


_RECORD = [USERS.c[name] for name in (*UserRecord.__annotations__, "id")]
_OF_SOME_USERS: Final = {"user_id", "mob_num", "user_ids", "mob_nums"}


def list_users(connection: Connection, filters: Filters) -> Generator[list[UserRecord]]:
    """Yields every matching record, oldest first, at most `FETCH_SIZE` at a time."""
    result = _list(connection, filters)
    try:
        while True:
            rows = result.fetchmany(FETCH_SIZE)
            if rows:
                yield _records(rows)
            if len(rows) < FETCH_SIZE:  # another fetch, which finds nothing, would add a tenth to a lookup
                return
    finally:
        result.close()  # a reader may stop early


def has_more_records(connection: Connection, filters: Filters, most: int) -> bool:
    """Returns whether more than `most` versions match `manager_id` and `is_active`, by a count that ends there."""
    statement = _count_statement(filters.manager_id is not None, filters.is_active)
    values = {"manager_id": filters.manager_id} if filters.manager_id is not None else {}
    return bool(connection.execute(statement, {**values, "row_limit": most + 1}).scalar_one() > most)


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
    values |= {key: orjson.dumps(values[key]).decode() for key in ("user_ids", "mob_nums") if key in values}
    if row_limit is not None:
        values["row_limit"] = row_limit
    if after is not None:
        values |= {"after_created_at": after.created_at, "after_id": after.id}
    return connection.execute(statement, values)


@functools.cache
def _list_statement(keys: frozenset[str], is_active: bool | None, is_page: bool, has_after: bool) -> Executable:
    if "as_of" in keys:
        records = select_as_of(keys)
        if has_after:
            records = records.where(*_after(records.selected_columns.created_at, records.selected_columns.id))
    else:
        records = _select_versions(keys, is_active, has_after)
    ordered = records.order_by(records.selected_columns.created_at, records.selected_columns.id)
    return limit_rows(ordered) if is_page else ordered


def _select_versions(keys: frozenset[str], is_active: bool | None, has_after: bool) -> Select[Any]:
    conditions = [USERS.c[key] == bindparam(key) for key in sorted(keys & {"user_id", "manager_id"})]
    if "user_ids" in keys:
        conditions.append(in_json_array(USERS.c.user_id, "user_ids"))
    holder = USERS.alias("holder")
    holders = select(holder.c.user_id)
    if "mob_num" in keys:
        held = holders.where(holder.c.mob_num == bindparam("mob_num"), holder.c.is_active)
        conditions.append(USERS.c.user_id == held.scalar_subquery())
    if "mob_nums" in keys:
        held = holders.where(in_json_array(holder.c.mob_num, "mob_nums"), holder.c.is_active)
        conditions.append(USERS.c.user_id.in_(held))
    if has_after:
        conditions += _after(USERS.c.created_at, USERS.c.id)
    records = select(*_RECORD).where(*conditions)
    if is_active is not None:
        return records.where(_CURRENT if is_active else _SUPERSEDED)
    if keys & _OF_SOME_USERS:  # uses both filtered indexes of user_id
        return select(union_all(records.where(_SUPERSEDED), records.where(_CURRENT)).subquery())
    return records


def _after(created_at: ColumnElement[Any], row_id: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    return [
        created_at >= bindparam("after_created_at"),  # an index range; the next line is none
        or_(created_at > bindparam("after_created_at"), row_id > bindparam("after_id")),
    ]
