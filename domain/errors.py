"""The base of all errors, and the kinds that a domain raises. Each service declares its own errors as subclasses.

An error carries a stable code and names fields. It knows neither HTTP statuses nor where a field stands in a body: the
edge derives both. Every error is a ValueError, because pydantic collects nothing else from a field's validator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Violation(NamedTuple):
    """One violated constraint.

    `path` leads to the value: names of keys and positions in arrays, relative to what was parsed; `()` is all of it.
    `members` are added to the violation as they are.
    """

    path: tuple[str | int, ...]
    code: str
    detail: str
    members: Mapping[str, Any] = _NOTHING


class RollbookError(ValueError):
    """A request that fails with a problem.

    A subclass declares its `code`, which is stable, its `detail`, which is for people, and the `fields` that caused it.
    `members` and `headers` declare what it adds to the response: types of members and descriptions of headers, by name.
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
    """The request violates a constraint, whatever is stored."""


class ForbiddenError(RollbookError):
    """The caller or this deployment is not permitted to do what the request asks for."""


class NotFoundError(RollbookError):
    """What the request names does not exist."""


class ConflictError(RollbookError):
    """The request is valid, but conflicts with what is stored."""


# ---- violations that fields of every service share


class WrongTypeError(InvalidError):
    """A value of another JSON type; nothing is coerced."""

    code = "wrong-type"


class OutOfRangeError(InvalidError):
    """A number that is too small or too large."""

    code = "out-of-range"
