"""The request and response models of the users service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, NotRequired, TypedDict

from pydantic import ConfigDict, model_validator

from api.http.requests import OPTIONAL, Examples, Request, field
from api.users.attribution import Attributed, attributed_body, with_fields
from api.users.fields import (
    MANAGER,
    NEXT_MANAGER,
    FullName,
    ManagerId,
    MobNum,
    PanNum,
    PanNumOfAnyHolder,
    UserId,
    UserIds,
)
from api.users.settings import UsersSettings
from domain.errors import InvalidError, Violation
from domain.users.outcomes import UpdateResult
from domain.users.versions import Changes, UserRecord, UuidText, require_bulk_keys


class UpdateDataEmptyError(InvalidError):
    """The update has no new values."""

    code = "update-data-empty"
    detail = "update_data must have at least one key."


# ---- requests


class NewUser(Request):
    """The values of a new user. A `manager_id` that is null means no manager."""

    EXAMPLES: ClassVar[Examples] = {
        "A user with a manager": {
            "full_name": "Asha Rao",
            "mob_num": "+91 98765-43210",
            "pan_num": "ABCPE1234F",
            "manager_id": MANAGER,
        },
        "A user without one": {"full_name": "Ravi Patel", "mob_num": "9876543211", "pan_num": "AAACB1234C"},
    }

    full_name: FullName
    mob_num: MobNum
    pan_num: PanNum
    manager_id: ManagerId | None = None

    @property
    def values(self) -> NewUserValues:
        """The values, as they are stored."""
        return {name: getattr(self, name) for name in NewUserValues.__annotations__}  # type: ignore[return-value]


class CreateUser(Attributed, NewUser):
    """The body of `create_user`. A `manager_id` that is null means no manager."""


class DeleteUser(Attributed):
    """The body of `delete_user`: exactly one of `user_id` and `mob_num` (else one-key-required).

    A call by `mob_num` that is repeated without an Idempotency-Key deletes the number's next holder, if there is one.
    """

    EXAMPLES: ClassVar[Examples] = {"After create_user: the user with a number": {"mob_num": "9876543210"}}
    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["user_id"]}, {"required": ["mob_num"]}]})

    user_id: UserId = OPTIONAL
    mob_num: MobNum = OPTIONAL

    @property
    def key(self) -> tuple[str, str]:
        """The name and the value of the given key."""
        return ("mob_num", self.mob_num) if "mob_num" in self.model_fields_set else ("user_id", self.user_id)

    @classmethod
    def check_content(cls, content: Mapping[str, Any]) -> Iterator[Violation]:
        """Yields a violation unless exactly one key is given: two keys could identify two users."""
        if len(content.keys() & {"user_id", "mob_num"}) != 1:
            yield Violation((), "one-key-required", "Give exactly one of user_id and mob_num.")


class UpdateData(Request):
    """The new values of an update: at least one (else update-data-empty)."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    full_name: FullName = OPTIONAL
    mob_num: MobNum = OPTIONAL
    pan_num: PanNum = OPTIONAL
    manager_id: ManagerId = OPTIONAL

    @model_validator(mode="after")
    def _has_a_key(self) -> UpdateData:
        if not self.model_fields_set:
            raise UpdateDataEmptyError
        return self


class UpdateUser(Attributed):
    """The body of `update_user`."""

    EXAMPLES: ClassVar[Examples] = {
        "After create_user: another manager; put in the user_id of that response": {
            "user_ids": ["7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"],
            "update_data": {"manager_id": NEXT_MANAGER},
        }
    }

    user_ids: UserIds
    update_data: UpdateData
    details: Annotated[bool, field("true: with `results`, the outcome of each id")] = OPTIONAL

    @property
    def changes(self) -> Changes:
        """The new values, by the keys that were sent."""
        changes: Changes = self.update_data.model_dump(exclude_unset=True)  # type: ignore[assignment]
        return changes

    def check(self) -> None:
        """Raises `BulkUpdateKeysError` for several users and a key besides `manager_id`."""
        require_bulk_keys(self.user_ids, self.changes)


# Models for PAN_HOLDER_CHECK=off and CHANGED_BY_HEADER: OpenAPI describes the rules in effect.


def create_user_model(settings: UsersSettings) -> type[CreateUser]:
    """Returns the body of `create_user` for the settings."""
    model = attributed_body(CreateUser, settings)
    return model if settings.pan_holder_check else with_fields(model, pan_num=(PanNumOfAnyHolder, ...))


def delete_user_model(settings: UsersSettings) -> type[DeleteUser]:
    """Returns the body of `delete_user` for the settings."""
    return attributed_body(DeleteUser, settings)


def update_user_model(settings: UsersSettings) -> type[UpdateUser]:
    """Returns the body of `update_user` for the settings."""
    model = attributed_body(UpdateUser, settings)
    if settings.pan_holder_check:
        return model
    return with_fields(model, update_data=(with_fields(UpdateData, pan_num=(PanNumOfAnyHolder, OPTIONAL)), ...))


# ---- responses


class CreatedUser(TypedDict):
    """The response of `create_user`."""

    message: str
    user_id: UuidText
    user: UserRecord


class NewUserValues(TypedDict):
    """The values of a user that a dry run has checked, as they would be stored."""

    full_name: str
    mob_num: str
    pan_num: str
    manager_id: UuidText | None


class CheckedUser(TypedDict):
    """The response of `create_user` to a dry run."""

    message: str
    dry_run: bool
    user: NewUserValues


class DeletedUser(TypedDict):
    """The response of `delete_user`. `dry_run` is present, and true, if nothing was deleted."""

    message: str
    user_id: UuidText
    dry_run: NotRequired[bool]


class UpdatedUsers(TypedDict):
    """The response of `update_user`: each id of the request is once in one of the lists, and once in `results`.

    `results` is present with `details` and with `dry_run`; `dry_run` is present, and true, if nothing was changed.
    """

    message: str
    updated: list[UuidText]
    unchanged: list[UuidText]
    not_found: list[UuidText]
    results: NotRequired[list[UpdateResult]]
    dry_run: NotRequired[bool]
