"""The fields of the users service: parsing and normalising. docs/users.md lists the rules.

Every `parse_*` function is total and idempotent: it returns the stored form of any Python value or raises a subclass of
`InvalidError`, and a stored form parses to itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from domain.errors import InvalidError, Violation, WrongTypeError
from domain.users.errors import (
    PAN_HOLDER_TYPES,
    FullNameInvalidError,
    MobNumInvalidError,
    PanHolderInvalidError,
    PanNumInvalidError,
    UserIdsCountError,
    UserIdsInvalidError,
    UuidInvalidError,
)
from domain.uuids import UUID

FULL_NAME_MAX: Final = 200
"""Maximum length of a full name, in code points."""

USER_IDS_MAX: Final = 10_000
"""Maximum number of `user_ids` in an update, including duplicates."""

# Unicode category Cc, whose members never change (Unicode's stability policy), and lone surrogates.
_NOT_IN_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MOB_NUM = re.compile(r"(?:\+91|0)?([6-9][0-9]{9})")
_PAN_NUM = re.compile(r"[A-Z]{5}[0-9]{4}[A-Z]")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise WrongTypeError(f"{name} must be a JSON string.")
    return value


def parse_line(value: object, name: str, most: int, invalid: type[InvalidError]) -> str:
    """Returns a line of text, trimmed: any script, 1 to `most` code points. Raises `WrongTypeError`, `invalid`."""
    text = _text(value, name)
    if _NOT_IN_A_LINE.search(text):
        raise invalid(f"{name} must not contain control characters, line breaks included.")
    line = text.strip()
    if not line:
        raise invalid(f"{name} must not be empty.")
    if len(line) > most:
        raise invalid(f"{name} must have at most {most} characters.")
    return line


def parse_full_name(value: object) -> str:
    """Returns a name, trimmed: any script, 1 to 200 code points, no control characters (Unicode category Cc).

    Raises `WrongTypeError`, `FullNameInvalidError`.
    """
    return parse_line(value, "full_name", FULL_NAME_MAX, FullNameInvalidError)


def parse_mob_num(value: object) -> str:
    """Returns the ten digits of an Indian mobile number (national numbering plan: first digit 6 to 9).

    One prefix, `+91` or `0`, is removed. Outer ASCII spaces are trimmed, inner ASCII spaces and hyphens are dropped.
    Raises `WrongTypeError`, `MobNumInvalidError`.
    """
    text = _text(value, "mob_num").strip(" ")
    digits = text.replace(" ", "").replace("-", "")
    # A hyphen separates characters, so it is invalid at either end.
    match = None if text.startswith("-") or text.endswith("-") else _MOB_NUM.fullmatch(digits)
    if match is None:
        raise MobNumInvalidError
    return match[1]


def parse_pan_num(value: object, *, holder_check: bool = True) -> str:
    """Returns a PAN (`AAAAA9999A`) in capitals, ASCII only, surrounding spaces trimmed.

    With `holder_check`, its fourth letter must be one of `PAN_HOLDER_TYPES`. Raises `WrongTypeError`,
    `PanNumInvalidError`, `PanHolderInvalidError`.
    """
    text = _text(value, "pan_num").strip(" ")
    # ASCII first: upper() turns \u00df into SS and \u0131 into I.
    if not text.isascii() or not _PAN_NUM.fullmatch(pan_num := text.upper()):
        raise PanNumInvalidError
    if holder_check and pan_num[3] not in PAN_HOLDER_TYPES:
        raise PanHolderInvalidError
    return pan_num


def parse_uuid(value: object) -> str:
    """Returns a UUID with hyphens, in lower case. Raises `WrongTypeError`, `UuidInvalidError`."""
    text = _text(value, "A UUID")
    if not UUID.fullmatch(text):
        raise UuidInvalidError
    return text.lower()


def parse_user_ids(value: object, *, most: int = USER_IDS_MAX) -> list[str]:
    """Returns 1 to `most` UUIDs without duplicates, in the order of their first entries.

    Raises `WrongTypeError`, `UserIdsCountError`, or `UserIdsInvalidError` with a violation for every invalid entry.
    """
    if not isinstance(value, list):
        raise WrongTypeError("user_ids must be a JSON array.")
    if not 1 <= len(value) <= most:
        raise UserIdsCountError(f"user_ids must have 1 to {most} entries, not {len(value)}.")
    is_uuid = UUID.fullmatch
    if all(isinstance(entry, str) and is_uuid(entry) for entry in value):
        return list(dict.fromkeys(map(str.lower, value)))
    raise UserIdsInvalidError(violations=list(invalid_entries(value, parse_uuid)))


def invalid_entries(entries: Iterable[object], parse: Callable[[object], object]) -> Iterable[Violation]:
    """Yields a violation for each entry that `parse` rejects."""
    for position, entry in enumerate(entries):
        try:
            parse(entry)
        except InvalidError as error:
            yield Violation((position,), error.code, error.detail)
