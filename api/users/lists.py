"""What the endpoints that list users share: filters, all matching records, the next cursor."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime

from api.users.fields import format_cursor
from api.users.list_schemas import GetUsers, LimitRequiredError
from domain.users.lists import require_logged_time
from domain.users.versions import UserRecord
from persistence import users as store
from persistence.database.connections import Connection

Batches = Iterator[list[UserRecord]]


def read_filters(request: GetUsers, connection: Connection) -> store.Filters:
    """Returns the filters of a request. Raises `AsOfInFutureError`, `BeforeHistoryError`."""
    if request.as_of is not None:
        require_logged_time(request.as_of, store.find_log_start(connection), now=datetime.now(UTC))
    return store.Filters(**{name: getattr(request, name) for name in store.Filters._fields})


def list_all(connection: Connection, filters: store.Filters, most: int) -> Batches:
    """Returns every matching record. Raises `LimitRequiredError` if there are more than `most`; 0 is no maximum."""
    users = store.list_users(connection, filters)
    if not most or filters.user_id is not None or filters.mob_num is not None:
        return users
    if filters.as_of is not None or filters.user_ids is not None or filters.mob_nums is not None:
        return _at_most(most, users)  # a count would read the log twice
    if store.has_more_records(connection, filters, most):
        raise LimitRequiredError
    return users


def _at_most(most: int, batches: Generator[list[UserRecord]]) -> Batches:
    with closing(batches):
        count = 0
        for batch in batches:
            count += len(batch)
            if count > most:
                raise LimitRequiredError
            yield batch


def next_cursor(request: GetUsers, position: store.Position | None) -> str | None:
    """Returns the cursor that continues a list at a position; None at its end."""
    return format_cursor(position, as_of=request.as_of is not None)
