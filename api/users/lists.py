"""The endpoints that list users."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime

from api.http.responses import Response, Returns, encode_list
from api.users.endpoints import service
from api.users.fields import format_cursor
from api.users.list_schemas import GetUsers, LimitRequiredError, MaskedUserPage, UserPage
from api.users.settings import UsersSettings
from domain.users.errors import AsOfInFutureError, BeforeHistoryError
from domain.users.lists import require_logged_time
from domain.users.masks import mask_record
from domain.users.versions import UserRecord
from persistence import users as store
from persistence.database.connections import Connection

Batches = Iterator[list[UserRecord]]


@service.endpoint(
    "get_users",
    body=GetUsers,
    returns={200: Returns(UserPage, "Records, including superseded versions unless is_active is true")},
    errors=[LimitRequiredError, AsOfInFutureError, BeforeHistoryError],
)
def get_users(request: GetUsers, connection: Connection, settings: UsersSettings) -> Response:
    """Lists records, oldest first: all of them, or those that match every filter."""
    filters = _filters(request, connection)
    if request.limit is None:
        return Response(encode_list("users", _list_all(connection, filters, settings.list_rows_max)))
    users, position = store.list_page(connection, filters, request.limit, request.cursor)
    return Response(UserPage(users=users, next_cursor=_next_cursor(request, position)))


@service.endpoint(
    "get_users_masked",
    body=GetUsers,
    returns={200: Returns(MaskedUserPage, "Records as of get_users, with masked numbers and PANs")},
    errors=[LimitRequiredError, AsOfInFutureError, BeforeHistoryError],
)
def get_users_masked(request: GetUsers, connection: Connection, settings: UsersSettings) -> Response:
    """Lists records as get_users does, with masked numbers and PANs."""
    filters = _filters(request, connection)
    if request.limit is None:
        users = _list_all(connection, filters, settings.list_rows_max)
        return Response(encode_list("users", ([mask_record(user) for user in batch] for batch in users)))
    page, position = store.list_page(connection, filters, request.limit, request.cursor)
    return Response({"users": [mask_record(user) for user in page], "next_cursor": _next_cursor(request, position)})


def _filters(request: GetUsers, connection: Connection) -> store.Filters:
    """Returns the filters of a request. Raises `AsOfInFutureError`, `BeforeHistoryError`."""
    if request.as_of is not None:
        require_logged_time(request.as_of, store.find_log_start(connection), now=datetime.now(UTC))
    return store.Filters(**{name: getattr(request, name) for name in store.Filters._fields})


def _list_all(connection: Connection, filters: store.Filters, most: int) -> Batches:
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


def _next_cursor(request: GetUsers, position: store.Position | None) -> str | None:
    return format_cursor(position, as_of=request.as_of is not None)
