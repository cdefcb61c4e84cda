"""Refusals as problem details (RFC 9457): the only place that knows the shape of their bodies, and their statuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypedDict

from pydantic_core import ErrorDetails

from domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    LengthRequiredError,
    NotFoundError,
    RefusalError,
    TooLargeError,
    Violation,
)
from persistence.database.errors import UnavailableError

MIMETYPE: Final = "application/problem+json"

TITLES: Final = {
    400: "The request is not valid",
    403: "Not allowed here",
    404: "Not found",
    409: "Conflict with what is stored",
    411: "Content-Length is required",
    413: "The body is too large",
    500: "Internal error",
    503: "The database is not available",
}
"""The titles of problems by status."""

_KINDS: Final[tuple[tuple[type[RefusalError], int], ...]] = (
    (InvalidError, 400),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (LengthRequiredError, 411),
    (TooLargeError, 413),
    (UnavailableError, 503),
)

# pydantic's types of errors, as codes of ours; a type that is missing here keeps its name.
_CODES: Final = {
    "missing": ("missing-key", "This key is required."),
    "extra_forbidden": ("unknown-key", "This key is not known here."),
    "bool_type": ("wrong-type", "This must be true or false."),
    "int_type": ("wrong-type", "This must be a whole number."),
    "string_type": ("wrong-type", "This must be a JSON string."),
    "model_type": ("wrong-type", "This must be a JSON object."),
    "greater_than_equal": ("out-of-range", "This is too small."),
    "less_than_equal": ("out-of-range", "This is too large."),
}


class Problem(TypedDict):
    """The body of every refusal. `instance` finds the request in the log; some codes bring members of their own."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Violation]


def problem_of(refusal: RefusalError, invocation_id: str) -> dict[str, Any]:
    """The body that tells of a refusal."""
    status = next(status for kind, status in _KINDS if isinstance(refusal, kind))
    errors = [violation._asdict() for violation in refusal.violations]
    return problem(status, refusal.code, refusal.detail, invocation_id, errors=errors, **refusal.members)


def problem(status: int, code: str, detail: str, invocation_id: str, **members: object) -> dict[str, Any]:
    """A problem's body."""
    body: Problem = {
        "type": f"/problems/{code}",
        "title": TITLES[status],
        "status": status,
        "detail": detail,
        "instance": invocation_id,
        "errors": [],
    }
    return {**body, **members}


def violations_of(details: ErrorDetails) -> Iterator[Violation]:
    """One of pydantic's errors as violations; a domain rule may have found several inside one field."""
    pointer = "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in details["loc"])
    refusal = details.get("ctx", {}).get("error")
    if isinstance(refusal, RefusalError):
        for violation in refusal.violations or [Violation("", refusal.code, refusal.detail)]:
            yield violation._replace(pointer=pointer + violation.pointer)
    else:
        code, detail = _CODES.get(details["type"], (details["type"].replace("_", "-"), details["msg"]))
        yield Violation(pointer, code, detail)
