"""The triggers of the users service. A handler is a sequence: read, load, decide, save, answer."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, ClassVar, NotRequired, TypedDict, cast

import azure.functions as func
import orjson
from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, model_validator

import settings
from api.description import WRITING, described, shaped
from api.http import Answer, Examples, Request, encode_list, endpoint
from domain import users as domain
from domain.errors import InvalidError, Violation
from domain.timestamps import format_timestamp
from persistence import users as store
from persistence.database.connections import reading, transaction

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

_HOLDER_CHECK = settings.current().pan_holder_check
_HOLDER = f"[{domain.PAN_HOLDER_TYPES}{domain.PAN_HOLDER_TYPES.lower()}]" if _HOLDER_CHECK else "[A-Za-z]"
_UUID: dict[str, Any] = {"format": "uuid", "pattern": f"^{domain.UUID.pattern}$"}

FullName = Annotated[
    str,
    BeforeValidator(domain.parse_full_name),
    shaped(
        f"Any script, at most {domain.FULL_NAME_MAX} characters after trimming, no control characters",
        "full-name-invalid",
        minLength=1,
    ),
]
MobNum = Annotated[
    str,
    BeforeValidator(domain.parse_mob_num),
    shaped(
        "An Indian mobile number, optionally after +91 or 0; stored as its ten digits",
        "mob-num-invalid",
        pattern=r"^ *(\+[ -]*9[ -]*1[ -]*|0[ -]*)?[6-9]([ -]*[0-9]){9} *$",
    ),
]
PanNum = Annotated[
    str,
    BeforeValidator(partial(domain.parse_pan_num, holder_check=_HOLDER_CHECK)),
    shaped(
        "A PAN (AAAAA9999A); stored in capitals",
        "pan-num-invalid",
        *(["pan-holder-invalid"] if _HOLDER_CHECK else []),
        pattern=f"^ *[A-Za-z]{{3}}{_HOLDER}[A-Za-z][0-9]{{4}}[A-Za-z] *$",
    ),
]
UserId = Annotated[
    str, BeforeValidator(domain.parse_uuid), shaped("The same in every version of a user", "uuid-invalid", **_UUID)
]
ManagerId = Annotated[
    str, BeforeValidator(domain.parse_uuid), shaped("A manager; who takes users is active", "uuid-invalid", **_UUID)
]
UserIds = Annotated[
    list[str],
    BeforeValidator(domain.parse_user_ids),
    shaped(
        "Users by their ids; more than one only with manager_id alone",
        "user-ids-count",
        "uuid-invalid",
        items={"type": "string", **_UUID},
        minItems=1,
        maxItems=domain.USER_IDS_MAX,
    ),
]
_MANAGER, _NEXT_MANAGER = (f"11111111-1111-4111-8111-11111111111{digit}" for digit in (1, 2))  # of the seed

_ABSENT: Any = Field(default=None)  # may be left out, but is never null


def _cursor(position: store.Position | None) -> str | None:
    return None if position is None else base64.urlsafe_b64encode(orjson.dumps([*position])).decode()


def _parse_cursor(value: object) -> store.Position:
    """The position that `_cursor` wrote. Total, as every parse function is."""
    try:
        created_at, row_id = orjson.loads(base64.b64decode(str(value), altchars=b"-_", validate=True))
        position = store.Position(format_timestamp(datetime.fromisoformat(created_at)), int(row_id))
        if _cursor(position) == value and 0 <= position.id < 2**63:
            return position
    except (ValueError, TypeError, OverflowError):
        pass
    raise InvalidError("cursor-invalid", "This is not a next_cursor that get_users answered.")


class CreateUser(Request):
    """The body of `create_user`. A `manager_id` of null is none."""

    EXAMPLES: ClassVar[Examples] = {
        "A user with a manager": {
            "full_name": "Asha Rao",
            "mob_num": "+91 98765-43210",
            "pan_num": "ABCPE1234F",
            "manager_id": _MANAGER,
        },
        "A user without one": {"full_name": "Ravi Patel", "mob_num": "9876543211", "pan_num": "AAACB1234C"},
    }

    full_name: FullName
    mob_num: MobNum
    pan_num: PanNum
    manager_id: ManagerId | None = None


class GetUsers(Request):
    """The body of `get_users`: filters that combine with AND, and paging. A cursor needs the limit of its pages."""

    EXAMPLES: ClassVar[Examples] = {
        "All records": {},
        "The current users of a manager": {"manager_id": _MANAGER, "is_active": True},
        "Whoever holds a number, with the history": {"mob_num": "9876543210"},
        "The first page": {"limit": 100},
    }
    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"cursor": ["limit"]}})

    user_id: UserId = _ABSENT
    mob_num: MobNum = _ABSENT
    manager_id: ManagerId = _ABSENT
    is_active: Annotated[bool, shaped("true: current versions, false: superseded ones")] = _ABSENT
    limit: Annotated[int, Field(ge=1, le=1000), shaped("Cuts the list into pages")] = _ABSENT
    cursor: Annotated[
        store.Position,
        PlainValidator(_parse_cursor, json_schema_input_type=str),
        shaped("The next_cursor of the page before, as it was", "cursor-invalid"),
    ] = _ABSENT

    @classmethod
    def check_keys(cls, keys: frozenset[str]) -> Iterator[Violation]:
        """A cursor continues pages, so that it needs their limit."""
        if "cursor" in keys and "limit" not in keys:
            yield Violation("/limit", "missing-key", "limit is required with cursor.")


class DeleteUser(Request):
    """The body of `delete_user`: one of its two keys (refused as one-key-required)."""

    EXAMPLES: ClassVar[Examples] = {"After create_user: whoever holds a number": {"mob_num": "9876543210"}}
    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    user_id: UserId = _ABSENT
    mob_num: MobNum = _ABSENT

    @classmethod
    def check_keys(cls, keys: frozenset[str]) -> Iterator[Violation]:
        """Neither key would delete nobody; both could name two people."""
        if len(keys & {"user_id", "mob_num"}) != 1:
            yield Violation("", "one-key-required", "Give exactly one of user_id and mob_num.")


class UpdateData(Request):
    """The new values of an update: at least one (refused as update-data-empty)."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    full_name: FullName = _ABSENT
    mob_num: MobNum = _ABSENT
    pan_num: PanNum = _ABSENT
    manager_id: ManagerId = _ABSENT

    @model_validator(mode="after")
    def _has_a_key(self) -> UpdateData:
        if not self.model_fields_set:
            raise InvalidError("update-data-empty", "update_data must hold at least one key.")
        return self


class UpdateUser(Request):
    """The body of `update_user`."""

    EXAMPLES: ClassVar[Examples] = {
        "After create_user: another manager; put in the user_id that was answered": {
            "user_ids": ["7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"],
            "update_data": {"manager_id": _NEXT_MANAGER},
        }
    }

    user_ids: UserIds
    update_data: UpdateData


class CreatedUser(TypedDict):
    """The answer of `create_user`."""

    message: str
    user_id: domain.UuidText
    user: domain.UserRecord


class UserPage(TypedDict):
    """The answer of `get_users`; `next_cursor` comes with a limit, and is null on the last page."""

    users: list[domain.UserRecord]
    next_cursor: NotRequired[str | None]


class DeletedUser(TypedDict):
    """The answer of `delete_user`."""

    message: str
    user_id: domain.UuidText


class UpdatedUsers(TypedDict):
    """The answer of `update_user`: every id of the request, once, in one of the lists."""

    message: str
    updated: list[domain.UuidText]
    unchanged: list[domain.UuidText]
    not_found: list[domain.UuidText]


@blueprint.route(route="create_user", methods=["POST"])
@described(
    {201: (CreatedUser, "The stored record")},
    {400: ("manager-unknown", "manager-inactive"), 409: ("mob-num-taken",)},
    WRITING,
    links={
        "get_users": {"user_id": "$response.body#/user_id"},
        "update_user": {"user_ids": ["$response.body#/user_id"], "update_data": {"full_name": "Another Name"}},
        "delete_user": {"user_id": "$response.body#/user_id"},
    },
)
@endpoint(CreateUser)
def create_user(request: CreateUser) -> Answer:
    """Creates a user and answers the stored record."""
    user = domain.new_user(**request.model_dump(), user_id=str(uuid.uuid4()), now=datetime.now(UTC))
    with transaction() as connection:
        if not store.insert_user(connection, user):
            activity = store.find_manager_is_active(connection, user["manager_id"])
            raise domain.manager_refusal(activity, pointer="/manager_id")
    return Answer(CreatedUser(message="User created successfully", user_id=user["user_id"], user=user), 201)


@blueprint.route(route="get_users", methods=["POST"])
@described({200: (UserPage, "Records, superseded versions among them unless is_active is true")})
@endpoint(GetUsers)
def get_users(request: GetUsers) -> Answer:
    """Lists records, oldest first: all of them, or those that match every filter."""
    filters = store.Filters(request.user_id, request.mob_num, request.manager_id, request.is_active)
    with reading() as connection:
        if request.limit is None:
            return Answer(encode_list("users", store.list_users(connection, filters)))
        users, position = store.list_page(connection, filters, request.limit, request.cursor)
    return Answer(UserPage(users=users, next_cursor=_cursor(position)))


@blueprint.route(route="delete_user", methods=["POST"])
@described({200: (DeletedUser, "The user is gone, with every version")}, {404: ("user-not-found",)}, WRITING)
@endpoint(DeleteUser)
def delete_user(request: DeleteUser) -> Answer:
    """Deletes every version of a user."""
    key = "user_id" if "user_id" in request.model_fields_set else "mob_num"
    with transaction() as connection:
        user_id = store.delete_user(connection, key, getattr(request, key))
        if user_id is None:
            raise domain.user_not_found(key)
    return Answer(DeletedUser(message="User deleted successfully", user_id=user_id))


@blueprint.route(route="update_user", methods=["POST"])
@described(
    {
        200: (UpdatedUsers, "All of the users were changed, or were so already"),
        207: (UpdatedUsers, "Some ids belong to nobody and were skipped: they are in not_found"),
    },
    {
        400: ("bulk-update-keys", "manager-unknown", "manager-inactive"),
        404: ("users-not-found",),
        409: ("mob-num-taken",),
    },
    WRITING,
)
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
        store.save_update(connection, plan, changes, now=format_timestamp(datetime.now(UTC)))
    return Answer(_updated(plan), 207 if plan.not_found else 200)


def _updated(plan: domain.UpdatePlan) -> UpdatedUsers:
    message = f"Updated: {len(plan.updated)}. Unchanged: {len(plan.unchanged)}."
    if plan.not_found:
        message += f" Not found and skipped: {len(plan.not_found)}."
    return UpdatedUsers(message=message, updated=plan.updated, unchanged=plan.unchanged, not_found=plan.not_found)
