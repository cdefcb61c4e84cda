"""The endpoints of the users service. A handler is a sequence: read, load, decide, save, respond."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from api.http.idempotency import ResponseErasedError
from api.http.responses import Response, Returns, encode_list
from api.http.service import Service
from api.users.attribution import ChangedByHeader, attribution_of, changed_by_headers, writes
from api.users.dry_runs import check_creation, check_deletion
from api.users.list_schemas import GetUsers, LimitRequiredError, UserPage
from api.users.lists import list_all, next_cursor, read_filters
from api.users.schemas import (
    CheckedUser,
    CreatedUser,
    CreateUser,
    DeletedUser,
    DeleteUser,
    UpdatedUsers,
    UpdateUser,
    create_user_model,
    delete_user_model,
    update_user_model,
)
from api.users.settings import UsersSettings, check_settings
from domain.users.changes import next_timestamp
from domain.users.errors import (
    AsOfInFutureError,
    BeforeHistoryError,
    BulkUpdateKeysError,
    ManagerInactiveError,
    ManagerUnknownError,
    MobNumTakenError,
    UserNotFoundError,
    UsersNotFoundError,
)
from domain.users.outcomes import list_results
from domain.users.versions import (
    CurrentUser,
    UpdatePlan,
    new_user,
    plan_update,
    require_active_manager,
    user_not_found,
)
from persistence import users as store
from persistence.database.connections import Connection

service = Service("users", settings=UsersSettings, enabled=check_settings)


@service.endpoint(
    "create_user",
    body=create_user_model,
    headers=changed_by_headers,
    writes=writes,
    idempotent=True,
    returns={
        201: Returns(CreatedUser, "The stored record"),
        200: Returns(CheckedUser, "Only with dry_run: the user can be created"),
    },
    errors=[ManagerUnknownError, ManagerInactiveError, MobNumTakenError, ResponseErasedError],
    links={
        "get_users": {"user_id": "$response.body#/user_id"},
        "get_user_history": {"user_id": "$response.body#/user_id"},
        "update_user": {"user_ids": ["$response.body#/user_id"], "update_data": {"full_name": "Another Name"}},
        "delete_user": {"user_id": "$response.body#/user_id"},
    },
)
def create_user(request: CreateUser, connection: Connection, headers: ChangedByHeader) -> Response:
    """Creates a user and returns the stored record."""
    if request.dry_run:
        return check_creation(request, connection)
    user = new_user(**request.values, user_id=str(uuid.uuid4()), now=datetime.now(UTC))
    if not store.insert_user(connection, user, attribution_of(request, headers)):
        require_active_manager(store.find_manager_is_active(connection, user["manager_id"]))
    created = CreatedUser(message="User created successfully", user_id=user["user_id"], user=user)
    return Response(created, 201, subjects=[user["user_id"]])


@service.endpoint(
    "get_users",
    body=GetUsers,
    returns={200: Returns(UserPage, "Records, including superseded versions unless is_active is true")},
    errors=[LimitRequiredError, AsOfInFutureError, BeforeHistoryError],
)
def get_users(request: GetUsers, connection: Connection, settings: UsersSettings) -> Response:
    """Lists records, oldest first: all of them, or those that match every filter."""
    filters = read_filters(request, connection)
    if request.limit is None:
        return Response(encode_list("users", list_all(connection, filters, settings.list_rows_max)))
    users, position = store.list_page(connection, filters, request.limit, request.cursor)
    return Response(UserPage(users=users, next_cursor=next_cursor(request, position)))


@service.endpoint(
    "delete_user",
    body=delete_user_model,
    headers=changed_by_headers,
    writes=writes,
    idempotent=True,
    returns={200: Returns(DeletedUser, "The user and every version are deleted")},
    errors=[UserNotFoundError],
)
def delete_user(request: DeleteUser, connection: Connection, headers: ChangedByHeader) -> Response:
    """Deletes every version of a user."""
    if request.dry_run:
        return check_deletion(request, connection)
    key, value = request.key
    attribution = attribution_of(request, headers)
    user_id = store.delete_user(connection, key, value, attribution, now=datetime.now(UTC))
    if user_id is None:
        raise user_not_found(key)
    return Response(DeletedUser(message="User deleted successfully", user_id=user_id))


@service.endpoint(
    "update_user",
    body=update_user_model,
    headers=changed_by_headers,
    writes=writes,
    idempotent=True,
    returns={
        200: Returns(UpdatedUsers, "All users were updated, or already had these values"),
        207: Returns(UpdatedUsers, "Some ids belong to no user; they were skipped and are in not_found"),
    },
    errors=[BulkUpdateKeysError, ManagerUnknownError, ManagerInactiveError, UsersNotFoundError, MobNumTakenError],
)
def update_user(request: UpdateUser, connection: Connection, headers: ChangedByHeader) -> Response:
    """Updates one user, or the manager of several: all of them or none."""
    ids, changes, locks = request.user_ids, request.changes, not request.dry_run
    users, manager_is_active = store.load_for_update(connection, ids, changes.get("manager_id"), locks=locks)
    if "manager_id" in changes:
        require_active_manager(manager_is_active)
    plan = plan_update(ids, users, changes)
    if request.dry_run:
        store.check_update(connection, ids, changes)
    else:
        # Read the clock under the lock: a call that waited must not write an earlier timestamp than its predecessor.
        changed_at = next_timestamp(datetime.now(UTC), (user.changed_at for user in users))
        store.save_update(connection, plan, changes, attribution_of(request, headers), now=changed_at)
    return Response(_updated(request, users, plan), 207 if plan.not_found else 200)


def _updated(request: UpdateUser, users: list[CurrentUser], plan: UpdatePlan) -> UpdatedUsers:
    message = f"Updated: {len(plan.updated)}. Unchanged: {len(plan.unchanged)}."
    if plan.not_found:
        message += f" Not found and skipped: {len(plan.not_found)}."
    updated = UpdatedUsers(message=message, updated=plan.updated, unchanged=plan.unchanged, not_found=plan.not_found)
    if request.details or request.dry_run:
        updated["results"] = list_results(request.user_ids, users, plan)
    if request.dry_run:
        updated |= {"message": f"Dry run. {message}", "dry_run": True}
    return updated
