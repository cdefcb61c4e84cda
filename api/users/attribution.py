"""What the writing endpoints take besides their own keys: who makes a change, why, and whether it is only checked."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BeforeValidator, Field, create_model

from api.http.requests import OPTIONAL, Request, field
from api.users.settings import UsersSettings
from domain.errors import InvalidError
from domain.users import errors, fields
from domain.users.changes import Attribution

R = TypeVar("R", bound=Request)


class ChangedByRequiredError(InvalidError):
    """The header that `CHANGED_BY_HEADER` names is missing or empty."""

    code = "changed-by-required"
    detail = "The request does not say who makes the change: the header of the setting CHANGED_BY_HEADER is missing."


def _parse_header(value: object) -> str:
    if not str(value or "").strip():
        raise ChangedByRequiredError
    return fields.parse_changed_by(value)


ChangedBy = Annotated[
    str,
    BeforeValidator(fields.parse_changed_by),
    field(
        f"Who makes the change, at most {fields.CHANGED_BY_MAX} characters; must not name a user",
        errors.ChangedByInvalidError,
        minLength=1,
    ),
]
Reason = Annotated[
    str,
    BeforeValidator(fields.parse_reason),
    field(
        f"Why the change is made, at most {fields.REASON_MAX} characters; must not name a user",
        errors.ReasonInvalidError,
        minLength=1,
    ),
]


class Attributed(Request):
    """The keys of every body that changes users."""

    dry_run: Annotated[bool, field("true: check and decide, but write nothing")] = OPTIONAL
    changed_by: ChangedBy = OPTIONAL
    reason: Reason = OPTIONAL


A = TypeVar("A", bound=Attributed)


class ChangedByHeader(Request):
    """The request header that says who makes a change. Without the setting no header is read."""

    changed_by: ClassVar[str | None] = None


def with_fields(model: type[R], **declared: Any) -> type[R]:
    """Returns a model with the same name and text and other fields. Each such model slows the import."""
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **declared)


def attributed_body(model: type[A], settings: UsersSettings) -> type[A]:
    """Returns the body for the settings: with `CHANGED_BY_HEADER`, `changed_by` is an unknown key of it."""
    # A class variable takes the place of the inherited field.
    return with_fields(model, changed_by=(ClassVar[None], None)) if settings.changed_by_header else model


def changed_by_headers(settings: UsersSettings) -> type[ChangedByHeader]:
    """Returns the model of the headers for the settings; its violations point to /changed_by."""
    if not settings.changed_by_header:
        return ChangedByHeader
    declared = Annotated[
        str,
        BeforeValidator(_parse_header),
        Field(alias=settings.changed_by_header, validate_default=True),
        field("Who makes the change", ChangedByRequiredError, errors.ChangedByInvalidError, minLength=1),
    ]
    return with_fields(ChangedByHeader, changed_by=(declared, OPTIONAL))


def attribution_of(request: Attributed, headers: ChangedByHeader) -> Attribution:
    """Returns who makes the change and why; the header takes precedence, as the body then has no `changed_by`."""
    return Attribution(headers.changed_by or request.changed_by, request.reason)


def writes(request: Attributed) -> bool:
    """Returns whether the call writes: a dry run reads in autocommit."""
    return not request.dry_run
