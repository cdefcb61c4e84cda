"""The versions of a user, and the effect of an update on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Annotated, NamedTuple, TypedDict

from domain.timestamps import format_timestamp
from domain.users.errors import (
    BulkUpdateKeysError,
    ManagerInactiveError,
    ManagerUnknownError,
    UserNotFoundError,
    UsersNotFoundError,
)

UuidText = Annotated[str, "uuid"]  # formats for OpenAPI
TimeText = Annotated[str, "date-time"]


class UserRecord(TypedDict):
    """One version of a user as `get_users` returns it. Timestamps are UTC in RFC 3339 with microseconds and `Z`."""

    user_id: UuidText
    manager_id: UuidText | None
    full_name: str
    mob_num: str
    pan_num: str
    created_at: TimeText
    updated_at: TimeText | None
    is_active: bool


class Changes(TypedDict, total=False):
    """The parsed new values of an update. The value of an absent key does not change."""

    full_name: str
    mob_num: str
    pan_num: str
    manager_id: str


class CurrentUser(NamedTuple):
    """The columns of a current version that an update reads. `id` is the key of its row."""

    id: int
    user_id: str
    manager_id: str | None
    full_name: str
    mob_num: str
    pan_num: str


class UpdatePlan(NamedTuple):
    """The effect of an update: rows by `id`, users by `user_id` in the order of the request.

    Rows `in_place` are overwritten; rows `superseded` are closed and followed by a new version.
    """

    in_place: list[int]
    superseded: list[int]
    updated: list[str]
    unchanged: list[str]
    not_found: list[str]


def new_user(
    full_name: str, mob_num: str, pan_num: str, manager_id: str | None, *, user_id: str, now: datetime
) -> UserRecord:
    """Returns the first version of a user."""
    return {
        "user_id": user_id,
        "manager_id": manager_id,
        "full_name": full_name,
        "mob_num": mob_num,
        "pan_num": pan_num,
        "created_at": format_timestamp(now),
        "updated_at": None,
        "is_active": True,
    }


def require_bulk_keys(user_ids: Sequence[str], changes: Collection[str]) -> None:
    """Raises `BulkUpdateKeysError` if an update of several users has a key besides `manager_id`."""
    extra_keys = [key for key in changes if key != "manager_id"]
    if len(user_ids) > 1 and extra_keys:
        raise BulkUpdateKeysError(
            f"{', '.join(extra_keys)}: these keys can be updated on an individual basis only and not in bulk.",
            fields=extra_keys,
            member_values={"extra_keys": extra_keys},
        )


def require_active_manager(is_active: bool | None) -> None:
    """Raises `ManagerUnknownError` for None (no such manager), `ManagerInactiveError` for False."""
    if is_active is None:
        raise ManagerUnknownError
    if not is_active:
        raise ManagerInactiveError


def user_not_found(key: str) -> UserNotFoundError:
    """Returns the error for a `user_id` or `mob_num` without a user; `key` is the name of the given one."""
    return UserNotFoundError(f"No user has this {key}.", fields=[key])


def plan_update(user_ids: Sequence[str], current: Collection[CurrentUser], changes: Changes) -> UpdatePlan:
    """Returns the plan of an update, which decides on each user separately.

    A new manager supersedes the version of a user who has another one; any other difference is written in place;
    without a difference nothing is written. Raises `UsersNotFoundError` if none of `user_ids` exists.
    """
    in_place: list[int] = []
    superseded: list[int] = []
    users = {user.user_id: user for user in current}
    updated: list[str] = []
    unchanged: list[str] = []
    not_found: list[str] = []
    for user_id in user_ids:
        user = users.get(user_id)
        if user is None:
            not_found.append(user_id)
        elif all(getattr(user, key) == value for key, value in changes.items()):
            unchanged.append(user_id)
        else:
            moves = user.manager_id is not None and user.manager_id != changes.get("manager_id", user.manager_id)
            (superseded if moves else in_place).append(user.id)
            updated.append(user_id)
    if not users:
        raise UsersNotFoundError(member_values={"not_found": not_found})
    return UpdatePlan(in_place, superseded, updated, unchanged, not_found)
