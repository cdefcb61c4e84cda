"""The feed of the log: every change exactly once, for a reader that keeps where it is. It has no data of users."""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from domain.users.changes import Operation
from persistence.database.feed import feed_of, read_feed
from persistence.users.changes import Place, split_names
from persistence.users.tables import CHANGES


class FeedEntry(NamedTuple):
    """A change as the feed has it."""

    place: Place
    user_id: str
    version: int
    operation: Operation
    changed: list[str]
    changed_by: str | None


_COLUMNS: Final = ("change_id", "changed_at", "user_id", "version", "operation", "changed", "changed_by")
_FEED: Final = feed_of(select(*(CHANGES.c[name] for name in _COLUMNS)), CHANGES.c.feed_position)


def list_changes(connection: Connection, after: Place, limit: int) -> list[FeedEntry] | None:
    """Returns at most `limit` changes after a place, or None if no change is at this place.

    A reader that continues after the last entry gets every change exactly once: persistence/database/feed.py says why.
    The changes of a user are in their order, because a later one is written when the transaction of the earlier one has
    ended: both lock the user's row. A deletion deletes and updates no row of the log, so nothing appears again.
    """
    rows = read_feed(connection, _FEED, after, limit)
    if rows is None:
        return None
    return [_entry(*row) for row in rows]


def _entry(
    change_id: int, changed_at: str, user_id: str, version: int, operation: str, changed: str, changed_by: str | None
) -> FeedEntry:
    place = Place(change_id, changed_at)
    return FeedEntry(place, user_id, version, Operation(operation), split_names(changed), changed_by)
