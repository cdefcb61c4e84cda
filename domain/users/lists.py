"""The rules of lists of users: which users, and at which time. Parsing as in fields.py."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from domain.errors import InvalidError, WrongTypeError
from domain.timestamps import format_timestamp, parse_rfc3339, shift_timestamp
from domain.users.errors import (
    AsOfInFutureError,
    AsOfInvalidError,
    BeforeHistoryError,
    MobNumsCountError,
    MobNumsInvalidError,
)
from domain.users.fields import invalid_entries, parse_mob_num, parse_user_ids

LISTED_MAX: Final = 1000
"""Maximum number of `user_ids` or `mob_nums` in a list, including duplicates."""

CLOCK_TOLERANCE: Final = 5
"""Seconds that `as_of` may be ahead: the clocks of callers, and of the computers that serve them, differ."""

_TOO_PRECISE = re.compile(r"\.[0-9]{7}")


def parse_listed_user_ids(value: object) -> list[str]:
    """Returns 1 to 1,000 UUIDs, as `parse_user_ids` does; raises what it raises."""
    return parse_user_ids(value, most=LISTED_MAX)


def parse_mob_nums(value: object) -> list[str]:
    """Returns 1 to 1,000 mobile numbers without duplicates, in the order of their first entries.

    Raises `WrongTypeError`, `MobNumsCountError`, or `MobNumsInvalidError` with a violation for every invalid entry.
    """
    if not isinstance(value, list):
        raise WrongTypeError("mob_nums must be a JSON array.")
    if not 1 <= len(value) <= LISTED_MAX:
        raise MobNumsCountError(f"mob_nums must have 1 to {LISTED_MAX} entries, not {len(value)}.")
    try:
        return list(dict.fromkeys(map(parse_mob_num, value)))
    except InvalidError:
        raise MobNumsInvalidError(violations=list(invalid_entries(value, parse_mob_num))) from None


def parse_as_of(value: object) -> str:
    """Returns an RFC 3339 timestamp with a zone, as UTC. Raises `WrongTypeError`, `AsOfInvalidError`.

    More than six decimals are an error: the log has microseconds, and cutting digits off would hide changes.
    """
    if not isinstance(value, str):
        raise WrongTypeError("as_of must be a JSON string.")
    timestamp = parse_rfc3339(value)
    if timestamp is None or _TOO_PRECISE.search(value):
        raise AsOfInvalidError
    return timestamp


def require_logged_time(as_of: str, began_at: str, *, now: datetime) -> None:
    """Raises `AsOfInFutureError` or `BeforeHistoryError` for a time that the log, begun at `began_at`, does not cover.

    The last `CLOCK_TOLERANCE` seconds before that are not in the future.
    """
    if as_of > shift_timestamp(format_timestamp(now), CLOCK_TOLERANCE):
        raise AsOfInFutureError
    if as_of < began_at:
        raise BeforeHistoryError(
            f"What users were is known from {began_at} on, when the log of changes began.",
            member_values={"earliest": began_at},
        )
