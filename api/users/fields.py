"""The fields of the users service: parsed by the domain's rules, described for OpenAPI; and cursors."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from api.http.cursors import encode_cursor, read_cursor
from api.http.requests import field
from domain.errors import InvalidError
from domain.timestamps import format_timestamp
from domain.users import errors, fields, lists
from domain.uuids import UUID
from persistence.users import Position


class CursorInvalidError(InvalidError):
    """The text is not a cursor."""

    code = "cursor-invalid"
    detail = "Not a valid cursor; use the `next_cursor` of a previous response."


_UUID: Final[dict[str, Any]] = {"format": "uuid", "pattern": f"^{UUID.pattern}$"}
_HOLDERS: Final = errors.PAN_HOLDER_TYPES + errors.PAN_HOLDER_TYPES.lower()
MANAGER, NEXT_MANAGER = (f"11111111-1111-4111-8111-11111111111{digit}" for digit in (1, 2))  # seeded managers

_MOB_NUM: Final = r"^ *(\+[ -]*9[ -]*1[ -]*|0[ -]*)?[6-9]([ -]*[0-9]){9} *$"

FullName = Annotated[
    str,
    BeforeValidator(fields.parse_full_name),
    field(
        f"Any script, at most {fields.FULL_NAME_MAX} characters after trimming, no control characters",
        errors.FullNameInvalidError,
        minLength=1,
    ),
]
MobNum = Annotated[
    str,
    BeforeValidator(fields.parse_mob_num),
    field(
        "An Indian mobile number, optionally after +91 or 0; stored as its ten digits",
        errors.MobNumInvalidError,
        pattern=_MOB_NUM,
    ),
]
PanNum = Annotated[
    str,
    BeforeValidator(fields.parse_pan_num),
    field(
        "A PAN (AAAAA9999A); stored in capitals",
        errors.PanNumInvalidError,
        errors.PanHolderInvalidError,
        pattern=f"^ *[A-Za-z]{{3}}[{_HOLDERS}][A-Za-z][0-9]{{4}}[A-Za-z] *$",
    ),
]
PanNumOfAnyHolder = Annotated[
    str,
    BeforeValidator(partial(fields.parse_pan_num, holder_check=False)),
    field(
        "A PAN (AAAAA9999A); stored in capitals",
        errors.PanNumInvalidError,
        pattern="^ *[A-Za-z]{5}[0-9]{4}[A-Za-z] *$",
    ),
]
UserId = Annotated[
    str,
    BeforeValidator(fields.parse_uuid),
    field("Identifies a user; the same in every version", errors.UuidInvalidError, **_UUID),
]
ManagerId = Annotated[
    str,
    BeforeValidator(fields.parse_uuid),
    field("The id of a manager; create_user and update_user require an active one", errors.UuidInvalidError, **_UUID),
]
UserIds = Annotated[
    list[str],
    BeforeValidator(fields.parse_user_ids),
    field(
        "Ids of users; several only if update_data has no key but manager_id",
        errors.UserIdsCountError,
        errors.UuidInvalidError,
        items={"type": "string", **_UUID},
        minItems=1,
        maxItems=fields.USER_IDS_MAX,
    ),
]
ListedUserIds = Annotated[
    list[str],
    BeforeValidator(lists.parse_listed_user_ids),
    field(
        "Ids of users; unknown ones are left out",
        errors.UserIdsCountError,
        errors.UuidInvalidError,
        items={"type": "string", **_UUID},
        minItems=1,
        maxItems=lists.LISTED_MAX,
    ),
]
MobNums = Annotated[
    list[str],
    BeforeValidator(lists.parse_mob_nums),
    field(
        "Mobile numbers; selects the users who have them now, and leaves out the others",
        errors.MobNumsCountError,
        errors.MobNumInvalidError,
        items={"type": "string", "pattern": _MOB_NUM},
        minItems=1,
        maxItems=lists.LISTED_MAX,
    ),
]
AsOf = Annotated[
    str,
    BeforeValidator(lists.parse_as_of),
    field(
        "Lists what was current at this time, with a zone and at most six decimals; mob_num selects the holder then",
        errors.AsOfInvalidError,
        format="date-time",
    ),
]


def format_cursor(position: Position | None, *, as_of: bool = False) -> str | None:
    """Returns the cursor that continues a listing at a position; None at the end of the listing.

    A cursor of a listing with `as_of` is marked: its position is one in the log.
    """
    if position is None:
        return None
    return encode_cursor("as_of", *position) if as_of else encode_cursor(*position)


def parse_cursor(value: object, *, as_of: bool = False) -> Position:
    """Returns the position in a cursor. Raises `CursorInvalidError` for what `format_cursor` did not write."""
    position: Position | None = read_cursor(value, _position, partial(format_cursor, as_of=as_of))
    if position is None or not 0 <= position.id < 2**63:
        raise CursorInvalidError
    return position


def _position(*parts: Any) -> Position:
    *_, created_at, row_id = parts
    return Position(format_timestamp(datetime.fromisoformat(created_at)), int(row_id))
