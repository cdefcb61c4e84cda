"""Feeds: the rows of a log in an order in which a reader misses none. What the engines guarantee stands here.

A reader keeps the last row that it got and asks for the rows after it. That is every row exactly once if no row can
appear before one that was returned.

- SQLite has one writer at a time, so transactions end in the order of their keys (AUTOINCREMENT never gives a key
  again: sqlite.org/autoinc.html). A read sees what is committed when it begins. The order is that of the keys.
- On SQL Server identities are given when a row is inserted, not when it is committed, so a greater key may be committed
  first, and a reader that has returned it would miss the smaller one. Pollers of event stores did:
  github.com/NEventStore/NEventStore.Persistence.SQL/issues/21, github.com/SQLStreamStore/SQLStreamStore/issues/121.
  Rows have the same problem with a `rowversion`, a number of the database that increases with every row that is written
  (learn.microsoft.com/sql/t-sql/data-types/rowversion-transact-sql). But MIN_ACTIVE_ROWVERSION() returns the lowest one
  of any open transaction, or the next one if there is none, whatever the isolation level
  (learn.microsoft.com/sql/t-sql/functions/min-active-rowversion-transact-sql). A transaction that had a lower number
  has ended, and one that writes later gets a higher number: below this bound nothing appears any more.

The bound is read in a statement of its own, before the rows. A statement sees what was committed when it began
(READ_COMMITTED_SNAPSHOT) or when it read a row. In one statement the bound could be read after that: it would be above
a row that was committed in between, which this statement does not return and the next one skips.

A position changes only if its row is updated, which the rows of a log are not. A backup or a copy of the whole database
has the same positions. Where the rows were inserted again (a bacpac, bcp) they have new ones, in any order: a reader of
the old database begins again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Column, Connection, bindparam, func, select
from sqlalchemy.sql import Select

from persistence.database.clauses import limit_rows

_BEFORE_ALL: Final = bytes(8)
"""A position before that of any row."""


class Feed(NamedTuple):
    """The statements of a feed. The first two columns of its rows, an integer key and another one, identify a row."""

    by_key: Select[Any]
    bounds: Select[Any]
    by_position: Select[Any]


def feed_of(rows: Select[Any], position: Column[Any]) -> Feed:
    """Returns the feed of `rows`, a SELECT without conditions. `position` is the column of type `RowVersion`."""
    key, other, *_ = rows.selected_columns
    is_after = (key == bindparam("after_key", type_=key.type)) & (other == bindparam("after_other", type_=other.type))
    after, below = (bindparam(name, type_=position.type) for name in ("after_position", "below_position"))
    return Feed(
        by_key=limit_rows(rows.where(key >= bindparam("after_key", type_=key.type)).order_by(key)),
        bounds=select(
            func.MIN_ACTIVE_ROWVERSION(type_=position.type), select(position).where(is_after).scalar_subquery()
        ),
        by_position=limit_rows(rows.where(position > after, position < below).order_by(position)),
    )


def read_feed(connection: Connection, feed: Feed, after: tuple[int, object], row_limit: int) -> Sequence[Any] | None:
    """Returns at most `row_limit` rows behind the row that begins with `after`, or None if there is no such row.

    A key of 0 is before all rows. `connection` must be in autocommit: one statement on SQLite, two on SQL Server.
    """
    read = _read_by_position if connection.dialect.name == "mssql" else _read_by_key
    return read(connection, feed, after, row_limit)


def _read_by_key(connection: Connection, feed: Feed, after: tuple[int, object], row_limit: int) -> Sequence[Any] | None:
    key, _ = after
    rows = connection.execute(feed.by_key, {"after_key": key, "row_limit": row_limit + 1}).fetchall()
    if not key:
        return rows[:row_limit]
    return rows[1:] if rows and tuple(rows[0][:2]) == after else None


def _read_by_position(
    connection: Connection, feed: Feed, after: tuple[int, object], row_limit: int
) -> Sequence[Any] | None:
    key, other = after
    below, position = connection.execute(feed.bounds, {"after_key": key, "after_other": other}).one()
    if key and position is None:
        return None
    positions = {"after_position": position if key else _BEFORE_ALL, "below_position": below}
    return connection.execute(feed.by_position, {**positions, "row_limit": row_limit}).fetchall()
