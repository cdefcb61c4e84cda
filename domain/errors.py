"""The base class of all errors, and the kinds that a domain raises. Each service declares its errors as subclasses.

An error has a stable code and names fields. The HTTP edge derives the status and the position of a field in the body.
Every error is a ValueError, because pydantic collects only these from a field's validator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Violation(NamedTuple):
    """One violated constraint.

    `path` leads to the value: keys and array positions, relative to the parsed value; `()` is the parsed value itself.
    `members` are added to the violation unchanged.
    """

    path: tuple[str | int, ...]
    code: str
    detail: str
    members: Mapping[str, Any] = _NOTHING


class RollbookError(ValueError):
    """A request that fails with a problem.

    A subclass declares a stable `code`, a `detail` for people, and the names of the `fields` that caused the error.
    `members` (types by name) and `headers` (descriptions by name) declare what it adds to the response.
    """

    code: ClassVar[str] = "internal-error"
    detail: str = "The request failed."
    fields: ClassVar[tuple[str, ...]] = ()
    members: ClassVar[Mapping[str, Any]] = _NOTHING
    headers: ClassVar[Mapping[str, str]] = _NOTHING

    def __init__(
        self,
        detail: str = "",
        *,
        fields: Iterable[str] | None = None,
        violations: Sequence[Violation] = (),
        member_values: Mapping[str, Any] = _NOTHING,
        header_values: Mapping[str, str] = _NOTHING,
    ) -> None:
        self.detail = detail or self.detail
        super().__init__(self.detail)
        named = self.fields if fields is None else fields
        self.violations = [*violations, *(Violation((field,), self.code, self.detail) for field in named)]
        self.member_values = member_values
        self.header_values = header_values


class InvalidError(RollbookError):
    """The request violates a constraint."""


class ForbiddenError(RollbookError):
    """The operation is not permitted for this caller or in this deployment."""


class NotFoundError(RollbookError):
    """The requested record does not exist."""


class ConflictError(RollbookError):
    """The request is valid, but conflicts with the current state."""


# ---- errors of fields, shared by all services


class WrongTypeError(InvalidError):
    """The value has the wrong JSON type; values are never coerced."""

    code = "wrong-type"


class OutOfRangeError(InvalidError):
    """The number is too small or too large."""

    code = "out-of-range"
