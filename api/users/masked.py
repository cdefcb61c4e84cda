"""The endpoint that lists users with masked numbers and PANs."""

from __future__ import annotations

from api.http.responses import Response, Returns, encode_list
from api.users.endpoints import service
from api.users.list_schemas import GetUsers, LimitRequiredError, MaskedUserPage
from api.users.lists import list_all, next_cursor, read_filters
from api.users.settings import UsersSettings
from domain.users.errors import AsOfInFutureError, BeforeHistoryError
from domain.users.masks import mask_record
from persistence import users as store
from persistence.database.connections import Connection


@service.endpoint(
    "get_users_masked",
    body=GetUsers,
    returns={200: Returns(MaskedUserPage, "Records as of get_users, with masked numbers and PANs")},
    errors=[LimitRequiredError, AsOfInFutureError, BeforeHistoryError],
)
def get_users_masked(request: GetUsers, connection: Connection, settings: UsersSettings) -> Response:
    """Lists records as get_users does, with masked numbers and PANs."""
    filters = read_filters(request, connection)
    if request.limit is None:
        users = list_all(connection, filters, settings.list_rows_max)
        return Response(encode_list("users", ([mask_record(user) for user in batch] for batch in users)))
    page, position = store.list_page(connection, filters, request.limit, request.cursor)
    return Response({"users": [mask_record(user) for user in page], "next_cursor": next_cursor(request, position)})
