"""What the writing endpoints take besides their own keys: who makes a change, why, and whether it is only checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, create_model

from api.http.requests import OPTIONAL, Examples, Request, field
from api.users.settings import UsersSettings
from domain.errors import InvalidError
from domain.users import attribution as rules
from domain.users.changes import Attribution

R = TypeVar("R", bound=Request)


class ChangedByRequiredError(InvalidError):
    """The header that `CHANGED_BY_HEADER` names is missing or empty."""

    code = "changed-by-required"
    detail = "The request does not say who makes the change: the header of the setting CHANGED_BY_HEADER is missing."


def _parse_header(value: object) -> str:
    if not str(value or "").strip():
        raise ChangedByRequiredError
    return rules.parse_changed_by(value)


ChangedBy = Annotated[
    str,
    BeforeValidator(rules.parse_changed_by),
    field(
        f"Who makes the change, at most {rules.CHANGED_BY_MAX} characters; must not name a user",
        rules.ChangedByInvalidError,
        minLength=1,
    ),
]
Reason = Annotated[
    str,
    BeforeValidator(rules.parse_reason),
    field(
        f"Why the change is made, at most {rules.REASON_MAX} characters; must not name a user",
        rules.ReasonInvalidError,
        minLength=1,
    ),
]

_HeaderText = Annotated[
    str,
    BeforeValidator(_parse_header),
    Field(validate_default=True),  # a missing header is parsed, too
    field("Who makes the change", ChangedByRequiredError, rules.ChangedByInvalidError, minLength=1),
]


class Attributed(Request):
    """The keys of every body that changes users."""

    dry_run: Annotated[bool, field("true: check and decide, but write nothing")] = OPTIONAL
    changed_by: ChangedBy = OPTIONAL
    reason: Reason = OPTIONAL


A = TypeVar("A", bound=Attributed)


def _require_all(schema: dict[str, Any]) -> None:
    schema["required"] = [*schema["properties"]]


class ChangedByHeader(Request):
    """The request header that says who makes a change. Its violations point to /changed_by."""

    model_config = ConfigDict(json_schema_extra=_require_all)

    changed_by: _HeaderText = OPTIONAL


class _NoHeader(ChangedByHeader):
    changed_by: ClassVar[None] = None  # type: ignore[assignment,misc]  # no field


def with_fields(model: type[R], **declared: Any) -> type[R]:
    """Returns a model with the same name and text and other fields. Each such model slows the import."""
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **declared)


def attributed_body(model: type[A], settings: UsersSettings) -> type[A]:
    """Returns the body for the settings: with `CHANGED_BY_HEADER`, `changed_by` is an unknown key of it."""
    if not settings.changed_by_header:
        return model
    examples = {title: _without_changed_by(body) for title, body in model.EXAMPLES.items()}
    return with_fields(model, changed_by=(ClassVar[None], None), EXAMPLES=(ClassVar[Examples], examples))


def _without_changed_by(example: object) -> object:
    if not isinstance(example, Mapping):
        return example
    return {name: value for name, value in example.items() if name != "changed_by"}


def changed_by_headers(settings: UsersSettings) -> type[ChangedByHeader]:
    """Returns the model of the headers for the settings: without `CHANGED_BY_HEADER` it reads none."""
    if not settings.changed_by_header:
        return _NoHeader
    named = Annotated[_HeaderText, Field(alias=settings.changed_by_header)]
    return with_fields(ChangedByHeader, changed_by=(named, OPTIONAL))


def attribution_of(request: Attributed, headers: ChangedByHeader) -> Attribution:
    """Returns who makes the change and why; the header takes precedence, as the body then has no `changed_by`."""
    return Attribution(headers.changed_by or request.changed_by, request.reason)


def writes(request: Attributed) -> bool:
    """Returns whether the call writes: a dry run reads in autocommit."""
    return not request.dry_run
