"""The kinds of refusal. A refusal carries a stable code and never an HTTP status: the edge maps kinds to statuses.

Every kind subclasses ValueError, because pydantic collects nothing else from a field's validator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Violation(NamedTuple):
    """One broken rule: where (JSON Pointer, RFC 6901, into the request body), which, and in words."""

    pointer: str
    code: str
    detail: str


class RefusalError(ValueError):
    """A request that is answered with a problem.

    `code` names the problem and is stable; `detail` is for people. `violations` name the places in the body that
    caused it; `members` are added to the problem as they are (`extra_keys`, `not_found`).
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        pointers: Sequence[str] = (),
        violations: Sequence[Violation] = (),
        members: dict[str, list[str]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.violations = [*violations, *(Violation(pointer, code, detail) for pointer in pointers)]
        self.members = members or {}


class InvalidError(RefusalError):
    """The request breaks a rule, whatever is stored."""


class TooLargeError(RefusalError):
    """The body is larger than the service reads."""


class LengthRequiredError(RefusalError):
    """The body was sent in a way that does not reach the service."""


class ForbiddenError(RefusalError):
    """This deployment does not allow what the request asks for."""


class NotFoundError(RefusalError):
    """What the request names does not exist."""


class ConflictError(RefusalError):
    """The request is sound, but what is stored forbids it."""
