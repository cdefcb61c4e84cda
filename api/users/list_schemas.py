"""The request and response models of the lists of users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, NotRequired, TypedDict

from pydantic import ConfigDict, Field, PlainValidator, ValidationInfo

from api.http.requests import OPTIONAL, Examples, Request, field
from api.users.fields import (
    MANAGER,
    AsOf,
    CursorInvalidError,
    ListedUserIds,
    ManagerId,
    MobNum,
    MobNums,
    UserId,
    parse_cursor,
)
from domain.errors import InvalidError, Violation
from domain.users.versions import TimeText, UserRecord, UuidText
from persistence.users import Position


class LimitRequiredError(InvalidError):
    """More records match than a response without `limit` may have."""

    code = "limit-required"
    detail = "Too many records match for one response; request pages with `limit`."
    fields = ("limit",)


_NOT_WITH_AS_OF: Final = ("is_active", "user_ids", "mob_nums")


def _parse_cursor(value: object, info: ValidationInfo) -> Position:
    # An invalid as_of is not in the data; it was given, too.
    return parse_cursor(value, as_of=info.data.get("as_of", "") is not None)


class GetUsers(Request):
    """The body of `get_users`: filters, combined with AND, and paging. `cursor` requires `limit`.

    With `as_of`, what was current then: without `is_active`, `user_ids` and `mob_nums` (else not-with-as-of).
    """

    EXAMPLES: ClassVar[Examples] = {
        "All records": {},
        "The current users of a manager": {"manager_id": MANAGER, "is_active": True},
        "The user with a number, history included": {"mob_num": "9876543210"},
        "The users with some numbers": {"mob_nums": ["9876543210", "9876543211"], "is_active": True},
        "The first page": {"limit": 100},
    }
    model_config = ConfigDict(
        json_schema_extra={
            "dependentRequired": {"cursor": ["limit"]},
            "dependentSchemas": {"as_of": {"properties": dict.fromkeys(_NOT_WITH_AS_OF, False)}},
        }
    )

    user_id: UserId = OPTIONAL
    mob_num: MobNum = OPTIONAL
    manager_id: ManagerId = OPTIONAL
    is_active: Annotated[bool, field("true: current versions, false: superseded ones")] = OPTIONAL
    user_ids: ListedUserIds = OPTIONAL
    mob_nums: MobNums = OPTIONAL
    as_of: AsOf = OPTIONAL
    limit: Annotated[int, Field(ge=1, le=1000), field("Maximum number of records per page")] = OPTIONAL
    # After as_of: a cursor continues a list with as_of, or one without it.
    cursor: Annotated[
        Position,
        PlainValidator(_parse_cursor, json_schema_input_type=str),
        field("The next_cursor of the previous page, unchanged", CursorInvalidError),
    ] = OPTIONAL

    @classmethod
    def check_content(cls, content: Mapping[str, Any]) -> Iterator[Violation]:
        """Yields violations for a cursor without a limit (cursors only continue pages), and for keys beside as_of."""
        if "cursor" in content and "limit" not in content:
            yield Violation(("limit",), "missing-key", "limit is required with cursor.")
        if "as_of" in content:
            for key in _NOT_WITH_AS_OF:
                if key in content:
                    yield Violation((key,), "not-with-as-of", f"{key} cannot be given together with as_of.")


class UserPage(TypedDict):
    """The response of `get_users`. `next_cursor` is present if `limit` was given; it is null on the last page."""

    users: list[UserRecord]
    next_cursor: NotRequired[str | None]


class MaskedUser(TypedDict):
    """One version of a user with its number and PAN masked."""

    user_id: UuidText
    manager_id: UuidText | None
    full_name: str
    mob_num: Annotated[str, field("The first and the last two digits", pattern="^[6-9][0-9]X{6}[0-9]{2}$")]
    pan_num: Annotated[str, field("The digits", pattern="^X{5}[0-9]{4}X$")]
    created_at: TimeText
    updated_at: TimeText | None
    is_active: bool


class MaskedUserPage(TypedDict):
    """The response of `get_users_masked`, as that of `get_users`."""

    users: list[MaskedUser]
    next_cursor: NotRequired[str | None]
