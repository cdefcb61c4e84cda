"""Errors as problem details (RFC 9457): their statuses, their bodies, and the errors that only the HTTP edge raises.

Errors name fields. The edge alone resolves the position of a field: `Locate` turns a violation's path into a pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NotRequired, TypedDict

from pydantic_core import ErrorDetails

from domain.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, RollbookError
from domain.errors import Violation as DomainViolation
from persistence.database.errors import UnavailableError

MEDIA_TYPE: Final = "application/problem+json"

MAX_VIOLATIONS: Final = 100
"""Maximum number of violations in a problem, unless an endpoint declares another one; `more` counts the rest."""

RETRY_AFTER_SECONDS: Final = 5
"""The `Retry-After` of a 503, unless the error has its own."""

Path = tuple[str | int, ...]
Locate = Callable[[Path], str]
"""Returns the JSON Pointer (RFC 6901) for the path of a violation."""


class Violation(TypedDict):
    """A violated constraint: its place (JSON Pointer, RFC 6901), its code, and a text for people.

    Pointers begin with /path, /query or /headers for these parts of a request; all others point into the body.
    """

    pointer: str
    code: str
    detail: str


class Problem(TypedDict):
    """The body of every error. `instance` is the invocation id in the log; some codes add further members.

    `errors` has at most 100 violations, or as many as the endpoint describes; `more` counts those left out.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Violation]
    more: NotRequired[int]


# ---- the errors of the edge


class UnauthorizedError(RollbookError):
    """The credentials of the request are missing or not valid."""


class GoneError(RollbookError):
    """The requested resource existed and was removed permanently."""


class TooManyRequestsError(RollbookError):
    """The caller must wait; `Retry-After` says how long."""

    headers = MappingProxyType({"Retry-After": "Seconds to wait"})


class LocatedError(InvalidError):
    """The request cannot be parsed. The paths of its violations are complete: no field has to be located."""


class TooLargeError(RollbookError):
    """The body is larger than the endpoint reads."""

    code = "body-too-large"


class LengthRequiredError(RollbookError):
    """The body was sent in chunks, which the host does not pass on."""

    code = "length-required"
    detail = "Send the body with a Content-Length, not in chunks."


class InternalError(RollbookError):
    """An unexpected error."""


STATUSES: Final[Mapping[type[RollbookError], int]] = {
    InvalidError: 400,
    UnauthorizedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    GoneError: 410,
    LengthRequiredError: 411,
    TooLargeError: 413,
    TooManyRequestsError: 429,
    InternalError: 500,
    UnavailableError: 503,
}
"""The statuses of the kinds of errors; a subclass has the status of its kind."""

TITLES: Final = {
    400: "Invalid request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    409: "Conflict with the current state",
    410: "Gone",
    411: "Content-Length required",
    413: "Request body too large",
    429: "Too many requests",
    500: "Internal error",
    503: "Service unavailable",
}
"""The titles of problems by status."""

# pydantic's error types as codes and texts of the API; any other type becomes the code of the same name.
_CODES: Final = {
    "missing": ("missing-key", "This key is required."),
    "extra_forbidden": ("unknown-key", "Unknown key."),
    "bool_type": ("wrong-type", "This must be true or false."),
    "int_type": ("wrong-type", "This must be a whole number."),
    "string_type": ("wrong-type", "This must be a JSON string."),
    "model_type": ("wrong-type", "This must be a JSON object."),
    "list_type": ("wrong-type", "This must be a JSON array."),
    "greater_than_equal": ("out-of-range", "This is too small."),
    "less_than_equal": ("out-of-range", "This is too large."),
    "too_short": ("out-of-range", "This has too few entries."),
    "too_long": ("out-of-range", "This has too many entries."),
}


def status_of(error: type[RollbookError]) -> int:
    """Returns the HTTP status of an error class: the status of its nearest kind, or 500."""
    return next((STATUSES[kind] for kind in error.__mro__ if kind in STATUSES), 500)


def problem_from(
    error: RollbookError, invocation_id: str, locate: Locate, max_violations: int = MAX_VIOLATIONS
) -> dict[str, Any]:
    """Returns the problem for an error: its body, with the members that the error adds."""
    status = status_of(type(error))
    if isinstance(error, LocatedError):
        locate = pointer
    body = Problem(
        type=f"/problems/{error.code}",
        title=TITLES[status],
        status=status,
        detail=error.detail,
        instance=invocation_id,
        errors=[_located(violation, locate) for violation in error.violations[:max_violations]],
    )
    if (more := len(error.violations) - max_violations) > 0:
        body["more"] = more
    return {**body, **error.member_values}


def _located(violation: DomainViolation, locate: Locate) -> Violation:
    located = Violation(pointer=locate(violation.path), code=violation.code, detail=violation.detail)
    return {**located, **violation.members}  # type: ignore[typeddict-item]


def headers_for(error: RollbookError) -> dict[str, str]:
    """Returns the headers for an error; every 503 has `Retry-After`."""
    retry = {"Retry-After": str(RETRY_AFTER_SECONDS)} if isinstance(error, UnavailableError) else {}
    return {**retry, **error.header_values}


def violations_of(details: ErrorDetails) -> Iterator[DomainViolation]:
    """Yields the violations of one pydantic error: several if a domain error brings its own violations."""
    path = details["loc"]
    error = details.get("ctx", {}).get("error")
    if isinstance(error, RollbookError):
        for violation in error.violations or [DomainViolation((), error.code, error.detail)]:
            yield violation._replace(path=path + violation.path)
    else:
        code, detail = _CODES.get(details["type"], (details["type"].replace("_", "-"), details["msg"]))
        yield DomainViolation(path, code, detail)


def pointer(path: Path) -> str:
    """Returns a path as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)
