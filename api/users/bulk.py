"""The endpoint that creates several users: all of them or none."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Final

from api.http.idempotency import ResponseErasedError
from api.http.responses import Response, Returns
from api.users.attribution import ChangedByHeader, attribution_of, changed_by_headers, writes
from api.users.bulk_schemas import CheckedUsers, CreatedUsers, CreateUsers, create_users_model
from api.users.endpoints import service
from domain.users.bulk import USERS_MAX, require_active_managers, require_free_numbers
from domain.users.errors import ManagerInactiveError, ManagerUnknownError, MobNumTakenError
from domain.users.versions import UserRecord, new_user
from persistence import users as store
from persistence.database.connections import Connection

_BODY_LIMIT: Final = 2 * 1024 * 1024
"""In bytes: 1,000 bodies with the longest names have 0.9 MB in UTF-8."""


@service.endpoint(
    "create_users",
    body=create_users_model,
    headers=changed_by_headers,
    body_limit=_BODY_LIMIT,
    max_violations=USERS_MAX,
    writes=writes,
    idempotent=True,
    returns={
        201: Returns(CreatedUsers, "The stored records, in the order of the request"),
        200: Returns(CheckedUsers, "Only with dry_run: the users can be created"),
    },
    errors=[ManagerUnknownError, ManagerInactiveError, MobNumTakenError, ResponseErasedError],
)
def create_users(request: CreateUsers, connection: Connection, headers: ChangedByHeader) -> Response:
    """Creates 1 to 1,000 users: all of them or none."""
    users = _new_users(request)
    require_active_managers(users, store.find_managers(connection, (user["manager_id"] for user in users)))
    require_free_numbers(users, store.find_taken_numbers(connection, (user["mob_num"] for user in users)))
    if request.dry_run:
        values = [body.values for body in request.users]
        message = f"Dry run: users that can be created: {len(users)}."
        return Response(CheckedUsers(message=message, dry_run=True, users=values))
    store.insert_users(connection, users, attribution_of(request, headers))
    created = CreatedUsers(message=f"Users created: {len(users)}.", users=users)
    return Response(created, 201, subjects=[user["user_id"] for user in users])


def _new_users(request: CreateUsers) -> list[UserRecord]:
    now = datetime.now(UTC)
    return [new_user(**body.values, user_id=str(uuid.uuid4()), now=now) for body in request.users]
