"""Who makes a change, and why: parsing by the rules of names."""

from __future__ import annotations

from typing import Final

from domain.errors import InvalidError
from domain.users.fields import parse_line

CHANGED_BY_MAX: Final = 200
"""Maximum length of `changed_by`, in code points."""

REASON_MAX: Final = 500
"""Maximum length of `reason`, in code points."""


class ChangedByInvalidError(InvalidError):
    """The text that says who makes a change is empty, too long, or has control characters."""

    code = "changed-by-invalid"


class ReasonInvalidError(InvalidError):
    """The reason of a change is empty, too long, or has control characters."""

    code = "reason-invalid"


def parse_changed_by(value: object) -> str:
    """Returns who makes a change, trimmed: 1 to 200 code points. Raises `WrongTypeError`, `ChangedByInvalidError`."""
    return parse_line(value, "changed_by", CHANGED_BY_MAX, ChangedByInvalidError)


def parse_reason(value: object) -> str:
    """Returns why a change is made, trimmed: 1 to 500 code points. Raises `WrongTypeError`, `ReasonInvalidError`."""
    return parse_line(value, "reason", REASON_MAX, ReasonInvalidError)
