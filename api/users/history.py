"""The endpoints that read the log of changes: the history of a user, and the feed of all changes."""

from __future__ import annotations

from api.http.responses import Response, Returns
from api.users.endpoints import service
from api.users.fields import CursorInvalidError
from api.users.history_schemas import (
    AfterInvalidError,
    Changes,
    FeedChange,
    GetChanges,
    GetUserHistory,
    HistoryPosition,
    UserChange,
    UserHistory,
    format_place,
    format_position,
)
from domain.users.errors import UserNotFoundError
from domain.users.versions import user_not_found
from persistence.database.connections import Connection
from persistence.users.changes import START
from persistence.users.feed import FeedEntry, list_changes
from persistence.users.history import HistoryEntry, list_history


@service.endpoint(
    "get_user_history",
    body=GetUserHistory,
    returns={200: Returns(UserHistory, "The changes of the user, oldest first")},
    errors=[UserNotFoundError, CursorInvalidError],
)
def get_user_history(request: GetUserHistory, connection: Connection) -> Response:
    """Lists the changes of a user, oldest first. A deleted user is found by `user_id`, without personal data."""
    (key,) = request.model_fields_set & {"user_id", "mob_num"}
    value = getattr(request, key)
    cursor: HistoryPosition | None = request.cursor
    entries, more = list_history(connection, key, value, limit=request.limit, after=cursor and cursor.changed_at)
    some = entries or (list_history(connection, key, value, limit=1)[0] if cursor else [])
    if not some:
        raise user_not_found(key)
    user_id = some[0].user_id
    if cursor and cursor.user_id != user_id:  # the number has another holder than on the page before
        raise CursorInvalidError(fields=["cursor"])
    history = UserHistory(user_id=user_id, changes=[_user_change(entry) for entry in entries])
    if request.limit is not None:
        history["next_cursor"] = format_position(user_id, entries[-1].place.changed_at) if more else None
    return Response(history)


@service.endpoint(
    "get_changes",
    body=GetChanges,
    returns={200: Returns(Changes, "Changes in the order of the feed")},
    errors=[AfterInvalidError],
)
def get_changes(request: GetChanges, connection: Connection) -> Response:
    """Lists changes of all users. A caller that continues with `next` gets every change exactly once."""
    after = request.after or START
    entries = list_changes(connection, after, request.limit)
    if entries is None:
        raise AfterInvalidError(fields=["after"])
    last = entries[-1].place if entries else after
    return Response(Changes(changes=[_feed_change(entry) for entry in entries], next=format_place(last)))


def _user_change(entry: HistoryEntry) -> UserChange:
    return {
        "change_id": format_place(entry.place),
        "version": entry.version,
        "operation": entry.operation,
        "changed_at": entry.place.changed_at,
        "changed_by": entry.changed_by,
        "reason": entry.reason,
        "changed": entry.changed,
        "full_name": entry.full_name,
        "mob_num": entry.mob_num,
        "pan_num": entry.pan_num,
        "manager_id": entry.manager_id,
    }


def _feed_change(entry: FeedEntry) -> FeedChange:
    return {
        "change_id": format_place(entry.place),
        "user_id": entry.user_id,
        "version": entry.version,
        "operation": entry.operation,
        "changed": entry.changed,
        "changed_at": entry.place.changed_at,
        "changed_by": entry.changed_by,
    }
