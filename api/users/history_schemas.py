"""The request and response models of the log of changes: the history of a user, and the feed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, NamedTuple, NotRequired, TypedDict

from pydantic import ConfigDict, Field, PlainValidator

from api.http.cursors import encode_cursor, read_cursor
from api.http.requests import OPTIONAL, Examples, Request, field
from api.users.fields import CursorInvalidError, MobNum, UserId
from domain.errors import InvalidError, Violation
from domain.timestamps import format_timestamp
from domain.users.changes import Operation
from domain.users.versions import TimeText, UuidText
from domain.uuids import UUID
from persistence.users.changes import START, Place

FEED_LIMIT: Final = 100
"""The `limit` of `get_changes` by default."""


class AfterInvalidError(InvalidError):
    """The text is not the place of a change in this database."""

    code = "after-invalid"
    detail = "No change has this id; use the `next` of a previous response, or read from the beginning without `after`."


class HistoryPosition(NamedTuple):
    """A place in the history of one user."""

    user_id: str
    changed_at: str


# ---- texts


def format_place(place: Place) -> str:
    """Returns the id of a change as callers get it: also the text that continues the feed after it."""
    return encode_cursor(*place)


def parse_place(value: object) -> Place:
    """Returns the place in the id of a change. Raises `AfterInvalidError` for what `format_place` did not write."""
    place = read_cursor(value, _place, format_place)
    if place is None or not (0 < place.change_id < 2**63 or place == START):
        raise AfterInvalidError
    return place


def _place(change_id: Any, changed_at: Any) -> Place:
    return Place(int(change_id), format_timestamp(datetime.fromisoformat(changed_at)))


def format_position(user_id: str, changed_at: str) -> str:
    """Returns the cursor that continues a history after the change at this time."""
    return encode_cursor(user_id, changed_at)


def parse_position(value: object) -> HistoryPosition:
    """Returns the position in a cursor. Raises `CursorInvalidError` for what `format_position` did not write."""
    position = read_cursor(value, _position, lambda position: format_position(*position))
    if position is None:
        raise CursorInvalidError
    return position


def _position(user_id: Any, changed_at: Any) -> HistoryPosition:
    if not UUID.fullmatch(user_id):
        raise ValueError("no id of a user")
    return HistoryPosition(user_id, format_timestamp(datetime.fromisoformat(changed_at)))


# ---- requests


class GetUserHistory(Request):
    """The body of `get_user_history`: one of `user_id` and `mob_num` (else one-key-required), and paging."""

    EXAMPLES: ClassVar[Examples] = {
        "After create_user: the changes of the user who has a number now": {"mob_num": "9876543211"},
        "After create_user: the first page": {"mob_num": "9876543211", "limit": 100},
    }
    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["user_id"]}, {"required": ["mob_num"]}],
            "dependentRequired": {"cursor": ["limit"]},
        }
    )

    user_id: UserId = OPTIONAL
    mob_num: MobNum = OPTIONAL
    limit: Annotated[int, Field(ge=1, le=1000), field("Maximum number of changes per page")] = OPTIONAL
    cursor: Annotated[
        HistoryPosition,
        PlainValidator(parse_position, json_schema_input_type=str),
        field("The next_cursor of the previous page, unchanged", CursorInvalidError),
    ] = OPTIONAL

    @classmethod
    def check_content(cls, content: Mapping[str, Any]) -> Iterator[Violation]:
        """Yields violations for other than one user, and for a cursor without a limit."""
        if len(content.keys() & {"user_id", "mob_num"}) != 1:
            yield Violation((), "one-key-required", "Give exactly one of user_id and mob_num.")
        if "cursor" in content and "limit" not in content:
            yield Violation(("limit",), "missing-key", "limit is required with cursor.")


class GetChanges(Request):
    """The body of `get_changes`. Without `after` the feed begins with the first change."""

    EXAMPLES: ClassVar[Examples] = {"From the beginning": {}, "At most ten changes": {"limit": 10}}

    after: Annotated[
        Place,
        PlainValidator(parse_place, json_schema_input_type=str),
        field("The next of the previous response, or a change_id, unchanged", AfterInvalidError),
    ] = OPTIONAL
    limit: Annotated[int, Field(ge=1, le=1000), field(f"Maximum number of changes; {FEED_LIMIT} by default")] = (
        FEED_LIMIT
    )


# ---- responses


class UserChange(TypedDict):
    """A change of a user, and the user after it. Of a deleted user only a deletion's own `reason` is left."""

    change_id: str
    version: int
    operation: Operation
    changed_at: TimeText
    changed_by: str | None
    reason: str | None
    changed: list[str]
    full_name: str | None
    mob_num: str | None
    pan_num: str | None
    manager_id: UuidText | None


class UserHistory(TypedDict):
    """The response of `get_user_history`. `next_cursor` is present if `limit` was given, and null on the last page."""

    user_id: UuidText
    changes: list[UserChange]
    next_cursor: NotRequired[str | None]


class FeedChange(TypedDict):
    """A change of a user, without personal data of users."""

    change_id: str
    user_id: UuidText
    version: int
    operation: Operation
    changed: list[str]
    changed_at: TimeText
    changed_by: str | None


class Changes(TypedDict):
    """The response of `get_changes`. `next` continues the feed. It is always present, also without new changes."""

    changes: list[FeedChange]
    next: str
