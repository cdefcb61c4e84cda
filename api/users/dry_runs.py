"""Dry runs: the checks of a creation and of a deletion, in the order of the calls that write."""

from __future__ import annotations

from api.http.responses import Response
from api.users.schemas import CheckedUser, CreateUser, DeletedUser, DeleteUser
from domain.users.errors import MobNumTakenError
from domain.users.versions import require_active_manager, user_not_found
from persistence import users as store
from persistence.database.connections import Connection


def check_creation(request: CreateUser, connection: Connection) -> Response:
    """Returns what would be stored. Raises what `create_user` would raise."""
    if request.manager_id is not None:
        require_active_manager(store.find_manager_is_active(connection, request.manager_id))
    if store.find_user(connection, "mob_num", request.mob_num):
        raise MobNumTakenError
    return Response(CheckedUser(message="Dry run: the user can be created", dry_run=True, user=request.values))


def check_deletion(request: DeleteUser, connection: Connection) -> Response:
    """Returns who would be deleted. Raises `UserNotFoundError`."""
    key, value = request.key
    user_id = store.find_user(connection, key, value)
    if user_id is None:
        raise user_not_found(key)
    return Response(DeletedUser(message="Dry run: the user can be deleted", user_id=user_id, dry_run=True))
