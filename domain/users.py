"""The rules of the users service: what a field accepts, and what an update does to a user's versions.

Every `parse_*` function is total and idempotent: any Python value is either answered in its stored form or refused
with an `InvalidError`, and a stored form parses to itself. README lists the rules of the fields.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Final, NamedTuple, TypedDict

from domain.errors import ConflictError, InvalidError, NotFoundError, Violation
from domain.timestamps import format_timestamp

FULL_NAME_MAX: Final = 200
"""Longest full name, in code points."""

USER_IDS_MAX: Final = 10_000
"""Most entries of one update's `user_ids`, duplicates included."""

PAN_HOLDER_TYPES: Final = "ABCFGHJLPT"
"""The holder types that the Income Tax Department assigns: a PAN's fourth letter."""

# [0-9] and not \d: \d matches the digits of every script. fullmatch and not $: $ matches before a trailing line break.
UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
# Category Cc is closed by Unicode's stability policy: exactly these. A lone surrogate is no character at all.
_NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MOB_NUM = re.compile(r"(?:\+91|0)?([6-9][0-9]{9})")
_PAN_NUM = re.compile(r"[A-Z]{5}[0-9]{4}[A-Z]")


UuidText = Annotated[str, "uuid"]  # formats, for whoever describes an answer
TimeText = Annotated[str, "date-time"]


class UserRecord(TypedDict):
    """One version of a user as `get_users` answers it. Times are UTC in RFC 3339 with microseconds and `Z`."""

    user_id: UuidText
    manager_id: UuidText | None
    full_name: str
    mob_num: str
    pan_num: str
    created_at: TimeText
    updated_at: TimeText | None
    is_active: bool


class Changes(TypedDict, total=False):
    """The new values of an update, parsed; a key that is absent is left as it is."""

    full_name: str
    mob_num: str
    pan_num: str
    manager_id: str


class CurrentUser(NamedTuple):
    """The current version of a user, as far as an update looks at it. `id` is the key of its row."""

    id: int
    user_id: str
    manager_id: str | None
    full_name: str
    mob_num: str
    pan_num: str


class UpdatePlan(NamedTuple):
    """What an update does. Rows are named by `id`, users by `user_id` in the order of the request.

    `in_place` rows are overwritten; `superseded` rows are closed and followed by a new version.
    """

    in_place: list[int]
    superseded: list[int]
    updated: list[str]
    unchanged: list[str]
    not_found: list[str]


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidError("wrong-type", f"{name} must be a JSON string.")
    return value


def parse_full_name(value: object) -> str:
    """A name in any script, trimmed: 1 to 200 code points, no control characters (Unicode category Cc)."""
    text = _text(value, "full_name")
    if _NOT_IN_A_NAME.search(text):
        raise InvalidError("full-name-invalid", "full_name must not hold control characters, line breaks included.")
    name = text.strip()
    if not name:
        raise InvalidError("full-name-invalid", "full_name must not be empty.")
    if len(name) > FULL_NAME_MAX:
        raise InvalidError("full-name-invalid", f"full_name must have at most {FULL_NAME_MAX} characters.")
    return name


def parse_mob_num(value: object) -> str:
    """The ten digits of an Indian mobile number (national numbering plan: first digit 6 to 9).

    One prefix, `+91` or `0`, is removed; ASCII spaces around it are trimmed, ASCII spaces and hyphens inside dropped.
    """
    text = _text(value, "mob_num").strip(" ")
    digits = text.replace(" ", "").replace("-", "")
    # A hyphen is a separator between characters: one at either end is not.
    match = None if text.startswith("-") or text.endswith("-") else _MOB_NUM.fullmatch(digits)
    if match is None:
        raise InvalidError(
            "mob-num-invalid",
            "mob_num must be a 10-digit Indian mobile number that starts with 6, 7, 8 or 9, optionally after +91 or 0.",
        )
    return match[1]


def parse_pan_num(value: object, *, holder_check: bool = True) -> str:
    """A PAN (`AAAAA9999A`) in capitals, ASCII only, surrounding spaces trimmed.

    With `holder_check`, its fourth letter must be one of `PAN_HOLDER_TYPES`.
    """
    text = _text(value, "pan_num").strip(" ")
    # ASCII first: upper() turns \u00df into SS and \u0131 into I.
    if not text.isascii() or not _PAN_NUM.fullmatch(pan_num := text.upper()):
        raise InvalidError(
            "pan-num-invalid", "pan_num must be five letters, four digits and a letter, such as ABCPE1234F."
        )
    if holder_check and pan_num[3] not in PAN_HOLDER_TYPES:
        raise InvalidError(
            "pan-holder-invalid",
            f"pan_num's fourth letter is the holder type and must be one of {PAN_HOLDER_TYPES} "
            "(the setting PAN_HOLDER_CHECK=off accepts any letter).",
        )
    return pan_num


def parse_uuid(value: object) -> str:
    """A UUID with hyphens, in lower case."""
    text = _text(value, "A UUID")
    if not UUID.fullmatch(text):
        raise InvalidError("uuid-invalid", "Not a UUID with hyphens, such as 7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f.")
    return text.lower()


def parse_user_ids(value: object) -> list[str]:
    """1 to 10,000 UUIDs, each once, in the order of their first entry. Every invalid entry is named."""
    if not isinstance(value, list):
        raise InvalidError("wrong-type", "user_ids must be a JSON array.")
    if not 1 <= len(value) <= USER_IDS_MAX:
        raise InvalidError("user-ids-count", f"user_ids must have 1 to {USER_IDS_MAX} entries, not {len(value)}.")
    is_uuid = UUID.fullmatch
    if all(isinstance(entry, str) and is_uuid(entry) for entry in value):
        return list(dict.fromkeys(map(str.lower, value)))
    raise InvalidError(
        "user-ids-invalid", "user_ids holds entries that are not UUIDs.", violations=list(_bad_entries(value))
    )


def _bad_entries(entries: Iterable[object]) -> Iterable[Violation]:
    for position, entry in enumerate(entries):
        try:
            parse_uuid(entry)
        except InvalidError as error:
            yield Violation(f"/{position}", error.code, error.detail)


def new_user(
    full_name: str, mob_num: str, pan_num: str, manager_id: str | None, *, user_id: str, now: datetime
) -> UserRecord:
    """The first version of a user."""
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


def require_bulk_keys(user_ids: Sequence[str], changes: Changes) -> None:
    """Refuses an update of several users that carries anything but a manager."""
    extra_keys = [key for key in changes if key != "manager_id"]
    if len(user_ids) > 1 and extra_keys:
        raise InvalidError(
            "bulk-update-keys",
            f"{', '.join(extra_keys)}: these keys can be updated on an individual basis only and not in bulk.",
            pointers=[f"/update_data/{key}" for key in extra_keys],
            members={"extra_keys": extra_keys},
        )


def manager_refusal(is_active: bool | None, *, pointer: str) -> InvalidError:
    """The refusal of a manager that is unknown (None) or not active; `pointer` says where the body named it."""
    if is_active is None:
        return InvalidError("manager-unknown", "No manager has this manager_id.", pointers=[pointer])
    return InvalidError("manager-inactive", "The manager with this manager_id is not active.", pointers=[pointer])


def mob_num_taken(*, pointer: str) -> ConflictError:
    """The refusal of a mobile number that another active user holds."""
    return ConflictError("mob-num-taken", "An active user has this mob_num.", pointers=[pointer])


def user_not_found(key: str) -> NotFoundError:
    """The refusal of a `user_id` or `mob_num` that belongs to nobody; `key` says which of them it was."""
    return NotFoundError("user-not-found", f"No user has this {key}.", pointers=[f"/{key}"])


def plan_update(user_ids: Sequence[str], current: Collection[CurrentUser], changes: Changes) -> UpdatePlan:
    """Decides what `changes` do to each user.

    A user who has a manager and gets another one is superseded; any other difference is written in place; no
    difference writes nothing. Refuses with `NotFoundError` when none of `user_ids` exists.
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
        raise NotFoundError(
            "users-not-found", "None of the user_ids belongs to a user.", members={"not_found": not_found}
        )
    return UpdatePlan(in_place, superseded, updated, unchanged, not_found)
