"""The endpoints that list users."""

from __future__ import annotations

from api.http.responses import Response, Returns, encode_list
from api.users.endpoints import service
from api.users.fields import format_cursor
from api.users.list_schemas import GetUsers, LimitRequiredError, UserPage
from api.users.settings import UsersSettings
from persistence import users as store
from persistence.database.connections import Connection


@service.endpoint(
    "get_users",
    body=GetUsers,
    returns={200: Returns(UserPage, "Records, including superseded versions unless is_active is true")},
    errors=[LimitRequiredError],
)
def get_users(request: GetUsers, connection: Connection, settings: UsersSettings) -> Response:
    """Lists records, oldest first: all of them, or those that match every filter."""
    filters = store.Filters(request.user_id, request.mob_num, request.manager_id, request.is_active)
    if request.limit is None:
        if settings.list_rows_max and store.has_more_records(connection, filters, settings.list_rows_max):
            raise LimitRequiredError
        return Response(encode_list("users", store.list_users(connection, filters)))
    users, position = store.list_page(connection, filters, request.limit, request.cursor)
    return Response(UserPage(users=users, next_cursor=format_cursor(position)))
