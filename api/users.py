"""The triggers of the users service. A handler is a sequence: read, load, decide, save, answer."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, TypedDict, cast

import azure.functions as func
import orjson
from pydantic import BeforeValidator, Field, PlainValidator, model_validator

import settings
from api.http import Answer, Request, encode_list, endpoint
from domain import users as domain
from domain.errors import InvalidError, Violation
from persistence import users as store
from persistence.database import reading, transaction

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

FullName = Annotated[str, BeforeValidator(domain.parse_full_name)]
MobNum = Annotated[str, BeforeValidator(domain.parse_mob_num)]
PanNum = Annotated[
    str, BeforeValidator(partial(domain.parse_pan_num, holder_check=settings.current().pan_holder_check))
]
Uuid = Annotated[str, BeforeValidator(domain.parse_uuid)]
UserIds = Annotated[list[str], BeforeValidator(domain.parse_user_ids)]

_ABSENT: Any = Field(default=None)  # may be left out, but is never null


def _cursor(position: store.Position | None) -> str | None:
    return None if position is None else base64.urlsafe_b64encode(orjson.dumps([*position])).decode()


def _parse_cursor(value: object) -> store.Position:
    """The position that `_cursor` wrote. Total, as every parse function is."""
    try:
        created_at, row_id = orjson.loads(base64.b64decode(str(value), altchars=b"-_", validate=True))
        position = store.Position(domain.timestamp(datetime.fromisoformat(created_at)), int(row_id))
        if _cursor(position) == value and 0 <= position.id < 2**63:
            return position
    except (ValueError, TypeError, OverflowError):
        pass
    raise InvalidError("cursor-invalid", "This is not a next_cursor that get_users answered.")


class CreateUser(Request):
    """The body of `create_user`. A `manager_id` of null is none."""

    full_name: FullName
    mob_num: MobNum
    pan_num: PanNum
    manager_id: Uuid | None = None


class GetUsers(Request):
    """The body of `get_users`: filters that combine with AND, and paging."""

    user_id: Uuid = _ABSENT
    mob_num: MobNum = _ABSENT
    manager_id: Uuid = _ABSENT
    is_active: bool = _ABSENT
    limit: Annotated[int, Field(ge=1, le=1000)] = _ABSENT
    cursor: Annotated[store.Position, PlainValidator(_parse_cursor)] = _ABSENT

    @classmethod
    def check_keys(cls, keys: frozenset[str]) -> Iterator[Violation]:
        """A cursor continues pages, so that it needs their limit."""
        if "cursor" in keys and "limit" not in keys:
            yield Violation("/limit", "missing-key", "limit is required with cursor.")


class DeleteUser(Request):
    """The body of `delete_user`: one of its two keys."""

    user_id: Uuid = _ABSENT
    mob_num: MobNum = _ABSENT

    @classmethod
    def check_keys(cls, keys: frozenset[str]) -> Iterator[Violation]:
        """Neither key would delete nobody; both could name two people."""
        if len(keys & {"user_id", "mob_num"}) != 1:
            yield Violation("", "one-key-required", "Give exactly one of user_id and mob_num.")


class UpdateData(Request):
    """The new values of an update: at least one."""

    full_name: FullName = _ABSENT
    mob_num: MobNum = _ABSENT
    pan_num: PanNum = _ABSENT
    manager_id: Uuid = _ABSENT

    @model_validator(mode="after")
    def _has_a_key(self) -> UpdateData:
        if not self.model_fields_set:
            raise InvalidError("update-data-empty", "update_data must hold at least one key.")
        return self


class UpdateUser(Request):
    """The body of `update_user`."""

    user_ids: UserIds
    update_data: UpdateData


class Created(TypedDict):
    """The answer of `create_user`."""

    message: str
    user_id: str
    user: domain.UserRecord


class Page(TypedDict):
    """The answer of `get_users` with a limit; without one it has no `next_cursor`."""

    users: list[domain.UserRecord]
    next_cursor: str | None


class Deleted(TypedDict):
    """The answer of `delete_user`."""

    message: str
    user_id: str


class Updated(TypedDict):
    """The answer of `update_user`: every id of the request, once, in one of the lists."""

    message: str
    updated: list[str]
    unchanged: list[str]
    not_found: list[str]


@blueprint.route(route="create_user", methods=["POST"])
@endpoint(CreateUser)
def create_user(request: CreateUser) -> Answer:
    """Creates a user and answers the stored record."""
    user = domain.new_user(**request.model_dump(), user_id=str(uuid.uuid4()), now=datetime.now(UTC))
    with transaction() as connection:
        if not store.insert_user(connection, user):
            activity = store.find_manager_activity(connection, user["manager_id"])
            raise domain.manager_refusal(activity, pointer="/manager_id")
    return Answer(Created(message="User created successfully", user_id=user["user_id"], user=user), 201)


@blueprint.route(route="get_users", methods=["POST"])
@endpoint(GetUsers)
def get_users(request: GetUsers) -> Answer:
    """Lists records, oldest first: all of them, or those that match every filter."""
    filters = store.Filters(request.user_id, request.mob_num, request.manager_id, request.is_active)
    with reading() as connection:
        if request.limit is None:
            return Answer(encode_list("users", store.list_users(connection, filters)))
        users, position = store.list_page(connection, filters, request.limit, request.cursor)
    return Answer(Page(users=users, next_cursor=_cursor(position)))


@blueprint.route(route="delete_user", methods=["POST"])
@endpoint(DeleteUser)
def delete_user(request: DeleteUser) -> Answer:
    """Deletes every version of a user."""
    key = "user_id" if "user_id" in request.model_fields_set else "mob_num"
    with transaction() as connection:
        user_id = store.delete_user(connection, key, getattr(request, key))
        if user_id is None:
            raise domain.user_not_found(key)
    return Answer(Deleted(message="User deleted successfully", user_id=user_id))


@blueprint.route(route="update_user", methods=["POST"])
@endpoint(UpdateUser)
def update_user(request: UpdateUser) -> Answer:
    """Changes one user, or the manager of several: all of them or none."""
    changes = cast("domain.Changes", request.update_data.model_dump(exclude_unset=True))
    domain.require_bulk_keys(request.user_ids, changes)
    with transaction() as connection:
        current, activity = store.load_for_update(connection, request.user_ids, changes.get("manager_id"))
        if "manager_id" in changes and not activity:
            raise domain.manager_refusal(activity, pointer="/update_data/manager_id")
        plan = domain.plan_update(request.user_ids, current, changes)
        # Only now: whoever waited for the lock must not write an instant before that of the one who held it.
        store.save_update(connection, plan, changes, now=domain.timestamp(datetime.now(UTC)))
    return Answer(_updated(plan), 207 if plan.not_found else 200)


def _updated(plan: domain.UpdatePlan) -> Updated:
    message = f"Updated: {len(plan.updated)}. Unchanged: {len(plan.unchanged)}."
    if plan.not_found:
        message += f" Not found and skipped: {len(plan.not_found)}."
    return Updated(message=message, updated=plan.updated, unchanged=plan.unchanged, not_found=plan.not_found)
