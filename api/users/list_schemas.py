"""The request and response models of the lists of users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, NotRequired, TypedDict

from pydantic import ConfigDict, Field, PlainValidator

from api.http.requests import OPTIONAL, Examples, Request, field
from api.users.fields import MANAGER, CursorInvalidError, ManagerId, MobNum, UserId, parse_cursor
from domain.errors import InvalidError, Violation
from domain.users.versions import UserRecord
from persistence.users import Position


class LimitRequiredError(InvalidError):
    """More records match than a response without `limit` may have."""

    code = "limit-required"
    detail = "Too many records match for one response; request pages with `limit`."
    fields = ("limit",)


class GetUsers(Request):
    """The body of `get_users`: filters, combined with AND, and paging. `cursor` requires `limit`."""

    EXAMPLES: ClassVar[Examples] = {
        "All records": {},
        "The current users of a manager": {"manager_id": MANAGER, "is_active": True},
        "The user with a number, history included": {"mob_num": "9876543210"},
        "The first page": {"limit": 100},
    }
    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"cursor": ["limit"]}})

    user_id: UserId = OPTIONAL
    mob_num: MobNum = OPTIONAL
    manager_id: ManagerId = OPTIONAL
    is_active: Annotated[bool, field("true: current versions, false: superseded ones")] = OPTIONAL
    limit: Annotated[int, Field(ge=1, le=1000), field("Maximum number of records per page")] = OPTIONAL
    cursor: Annotated[
        Position,
        PlainValidator(parse_cursor, json_schema_input_type=str),
        field("The next_cursor of the previous page, unchanged", CursorInvalidError),
    ] = OPTIONAL

    @classmethod
    def check_content(cls, content: Mapping[str, Any]) -> Iterator[Violation]:
        """Yields a violation for a cursor without a limit: cursors only continue pages."""
        if "cursor" in content and "limit" not in content:
            yield Violation(("limit",), "missing-key", "limit is required with cursor.")


class UserPage(TypedDict):
    """The response of `get_users`. `next_cursor` is present if `limit` was given; it is null on the last page."""

    users: list[UserRecord]
    next_cursor: NotRequired[str | None]
