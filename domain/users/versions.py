"""The versions of a user, and the effect of changes on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Annotated, Final, NamedTuple, TypedDict

from domain.timestamps import format_timestamp
from domain.users.changes import Change, Operation
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


UPDATABLE: Final = ("full_name", "mob_num", "pan_num", "manager_id")
"""The columns that a caller gives, in the order in which the log names them."""


class Changes(TypedDict, total=False):
    """The parsed new values of an update. The value of an absent key does not change."""

    full_name: str
    mob_num: str
    pan_num: str
    manager_id: str


class CurrentUser(NamedTuple):
    """What an update reads of a current version: `id` is the key of its row, `changed_at` when it was last changed."""

    id: int
    user_id: str
    manager_id: str | None
    full_name: str
    mob_num: str
    pan_num: str
    version: int
    changed_at: str


class UpdatePlan(NamedTuple):
    """The effect of an update: rows by `id`, users by `user_id` in the order of the request.

    Rows `in_place` are overwritten; rows `superseded` are closed and followed by a new version. `log` has the change of
    each updated user.
    """

    in_place: list[int]
    superseded: list[int]
    log: list[Change]
    unchanged: list[str]
    not_found: list[str]

    @property
    def updated(self) -> list[str]:
        """The users who are changed."""
        return [change.user_id for change in self.log]


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


def creation(user: UserRecord) -> Change:
    """Returns the log's entry of a new user: of its columns, those that were given and are not null."""
    given = tuple(name for name in UPDATABLE if user[name] is not None)
    return Change(user["user_id"], 1, Operation.CREATED, given, user["manager_id"])


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
    log: list[Change] = []
    users = {user.user_id: user for user in current}
    unchanged: list[str] = []
    not_found: list[str] = []
    for user_id in user_ids:
        user = users.get(user_id)
        if user is None:
            not_found.append(user_id)
        elif changed := tuple(key for key, value in changes.items() if getattr(user, key) != value):
            moves = user.manager_id is not None and "manager_id" in changed
            (superseded if moves else in_place).append(user.id)
            log.append(_update_of(user, changed, changes, moves=moves))
        else:
            unchanged.append(user_id)
    if not users:
        raise UsersNotFoundError(member_values={"not_found": not_found})
    return UpdatePlan(in_place, superseded, log, unchanged, not_found)


def _update_of(user: CurrentUser, changed: tuple[str, ...], changes: Changes, *, moves: bool) -> Change:
    operation = Operation.REASSIGNED if moves else Operation.UPDATED
    manager_id = changes.get("manager_id", user.manager_id)
    return Change(user.user_id, user.version + moves, operation, changed, manager_id)
