"""The endpoints of the users service. A handler is a sequence: read, load, decide, save, respond."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from api.http.responses import Response, Returns, encode_list
from api.http.service import Service
from api.users.fields import format_cursor
from api.users.schemas import (
    CreatedUser,
    CreateUser,
    DeletedUser,
    DeleteUser,
    GetUsers,
    LimitRequiredError,
    UpdatedUsers,
    UpdateUser,
    UserPage,
    create_user_model,
    update_user_model,
)
from api.users.settings import UsersSettings
from domain.users.changes import Attribution, next_timestamp
from domain.users.errors import (
    BulkUpdateKeysError,
    ManagerInactiveError,
    ManagerUnknownError,
    MobNumTakenError,
    UserNotFoundError,
    UsersNotFoundError,
)
from domain.users.versions import UpdatePlan, new_user, plan_update, require_active_manager, user_not_found
from persistence import users as store
from persistence.database.connections import Connection

service = Service("users", settings=UsersSettings)


@service.endpoint(
    "create_user",
    body=create_user_model,
    writes=True,
    returns={201: Returns(CreatedUser, "The stored record")},
    errors=[ManagerUnknownError, ManagerInactiveError, MobNumTakenError],
    links={
        "get_users": {"user_id": "$response.body#/user_id"},
        "update_user": {"user_ids": ["$response.body#/user_id"], "update_data": {"full_name": "Another Name"}},
        "delete_user": {"user_id": "$response.body#/user_id"},
    },
)
def create_user(request: CreateUser, connection: Connection) -> Response:
    """Creates a user and returns the stored record."""
    user = new_user(**request.model_dump(), user_id=str(uuid.uuid4()), now=datetime.now(UTC))
    if not store.insert_user(connection, user, Attribution()):
        require_active_manager(store.find_manager_is_active(connection, user["manager_id"]))
    return Response(CreatedUser(message="User created successfully", user_id=user["user_id"], user=user), 201)


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


@service.endpoint(
    "delete_user",
    body=DeleteUser,
    writes=True,
    returns={200: Returns(DeletedUser, "The user and every version are deleted")},
    errors=[UserNotFoundError],
)
def delete_user(request: DeleteUser, connection: Connection) -> Response:
    """Deletes every version of a user."""
    (key,) = request.model_fields_set
    user_id = store.delete_user(connection, key, getattr(request, key), Attribution(), now=datetime.now(UTC))
    if user_id is None:
        raise user_not_found(key)
    return Response(DeletedUser(message="User deleted successfully", user_id=user_id))


@service.endpoint(
    "update_user",
    body=update_user_model,
    writes=True,
    returns={
        200: Returns(UpdatedUsers, "All users were updated, or already had these values"),
        207: Returns(UpdatedUsers, "Some ids belong to no user; they were skipped and are in not_found"),
    },
    errors=[BulkUpdateKeysError, ManagerUnknownError, ManagerInactiveError, UsersNotFoundError, MobNumTakenError],
)
def update_user(request: UpdateUser, connection: Connection) -> Response:
    """Updates one user, or the manager of several: all of them or none."""
    changes = request.changes
    current, manager_is_active = store.load_for_update(connection, request.user_ids, changes.get("manager_id"))
    if "manager_id" in changes:
        require_active_manager(manager_is_active)
    plan = plan_update(request.user_ids, current, changes)
    # Read the clock under the lock: a call that waited for it must not write an earlier timestamp than its predecessor.
    changed_at = next_timestamp(datetime.now(UTC), (user.changed_at for user in current))
    store.save_update(connection, plan, changes, Attribution(), now=changed_at)
    return Response(_updated(plan), 207 if plan.not_found else 200)


def _updated(plan: UpdatePlan) -> UpdatedUsers:
    message = f"Updated: {len(plan.updated)}. Unchanged: {len(plan.unchanged)}."
    if plan.not_found:
        message += f" Not found and skipped: {len(plan.not_found)}."
    return UpdatedUsers(message=message, updated=plan.updated, unchanged=plan.unchanged, not_found=plan.not_found)
