"""Requests: the base class of request models, and how the parts of a request are read, all violations in one pass."""

from __future__ import annotations

import functools
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Final, TypeVar, get_origin
from urllib.parse import parse_qsl

import azure.functions as func
import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from api.http.problems import LengthRequiredError, LocatedError, Path, TooLargeError, pointer, violations_of
from domain.errors import InvalidError, NotFoundError, Violation

BODY_LIMIT: Final = 1024 * 1024
"""Maximum size of a request body in bytes, unless an endpoint declares another limit."""

FORM: Final = "application/x-www-form-urlencoded"

M = TypeVar("M", bound="Request")
Examples = Mapping[str, object]
"""Example bodies by title."""

Read = Callable[[func.HttpRequest, list[Violation]], Any]
"""Reads one part of a request and appends its violations to the list."""


class Request(BaseModel):
    """A part of a request: rejects unknown keys, never coerces, and its messages contain no values."""

    EXAMPLES: ClassVar[Examples] = {}
    not_found: ClassVar[type[NotFoundError] | None] = None
    """On a path model: the error for a malformed value, because nothing can exist under it."""

    # Validators are built at the first request: a cold start does not wait for them.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, defer_build=True)

    @classmethod
    def check_content(cls, content: Mapping[str, Any]) -> Iterator[Violation]:
        """Yields the violations of keys and values that depend on each other, before any value is validated."""
        yield from ()

    def check(self) -> None:
        """Checks the rules that need no database, before the transaction. May raise any `RollbookError`."""


OPTIONAL: Final[Any] = Field(default=None)
"""Default of a key that may be absent but not null."""


def field(description: str, *errors: type[InvalidError], **schema: Any) -> Any:
    """Returns a pydantic field with description, error codes and constraints for OpenAPI only.

    They validate nothing: the field's parse function does.
    """
    codes = ", ".join(error.code for error in errors)
    return Field(description=f"{description}. Errors: {codes}" if codes else description, json_schema_extra=schema)


# ---- errors


class BodyNotJsonError(InvalidError):
    """The body cannot be parsed."""

    code = "body-not-json"
    detail = "The request body is not JSON in UTF-8."


class BodyNotObjectError(InvalidError):
    """The body is JSON, but not an object."""

    code = "body-not-object"
    detail = "The request body is not a JSON object."


class BodyNotArrayError(InvalidError):
    """The body is JSON, but not an array."""

    code = "body-not-array"
    detail = "The request body is not a JSON array."


class BodyNotFormError(InvalidError):
    """The body is not a URL-encoded form."""

    code = "body-not-form"
    detail = f"The request body must be a form in UTF-8 with the content type {FORM}."


class BodyNotExpectedError(InvalidError):
    """The endpoint takes no body."""

    code = "body-not-expected"
    detail = "This endpoint takes no request body."


class BodyInvalidError(LocatedError):
    """A request with a body has violations, in `errors`."""

    code = "body-invalid"
    detail = "The request body is invalid; see `errors`."


class RequestInvalidError(LocatedError):
    """A request without a body has violations, in `errors`."""

    code = "request-invalid"
    detail = "The request is invalid; see `errors`."


# ---- parts


def read_parts(req: func.HttpRequest, parts: Mapping[str, Read], invalid: type[LocatedError]) -> dict[str, Any]:
    """Returns the parts by name. Raises `invalid` with all violations; without any, the `not_found` of the path."""
    violations: list[Violation] = []
    values = {name: read(req, violations) for name, read in parts.items()}
    if violations:
        raise invalid(violations=violations)
    for value in values.values():
        if isinstance(value, NotFoundError):
            raise value
    return values


def body_reader(
    body: Any, parse: Callable[[bytes], Any] | None, form: type[Request] | None, body_limit: int
) -> Read | None:
    """Returns the reader of the declared body (`parse`, form or JSON), or None if no body is declared."""
    if form is not None:
        return lambda req, violations: _validate(form, _form(req, body_limit, violations), violations)
    if parse is None and body is None:
        return None
    parse_json = partial(parse_object, body) if get_origin(body) is None else partial(_parse_array, TypeAdapter(body))
    return lambda req, violations: _parse(parse or parse_json, read_body(req, body_limit), violations)


def parse_object(model: type[M], body: bytes, loads: Callable[[bytes], Any] = orjson.loads) -> M:
    """Returns a JSON object as its model. Raises `BodyNotJsonError`, `BodyNotObjectError`, `BodyInvalidError`."""
    found: list[Violation] = []
    value: M = _validate(model, _decode(body, dict, loads), found)
    if found:
        raise BodyInvalidError(violations=found)
    return value


def _parse_array(array: TypeAdapter[Any], body: bytes) -> Any:
    return array.validate_python(_decode(body, list, orjson.loads), strict=True)


def require_no_body(req: func.HttpRequest) -> None:
    """Raises `BodyNotExpectedError` for a body, and `LengthRequiredError` for a chunked one."""
    if _received(req):
        raise BodyNotExpectedError


def query_reader(model: type[Request]) -> Read:
    """Returns the reader of the query. It skips `code`, the function key, unless the model declares it."""

    def read(req: func.HttpRequest, violations: list[Violation]) -> Any:
        content = {name: value for name, value in req.params.items() if name != "code" or name in model.model_fields}
        return _validate(model, content, violations, ("query",))

    return read


def path_reader(model: type[Request]) -> Read:
    """Returns the reader of the path parameters. A malformed value is read as the `not_found` error of the model."""

    def read(req: func.HttpRequest, violations: list[Violation]) -> Any:
        found: list[Violation] = []
        value = _validate(model, dict(req.route_params), found, ("path",))
        if found and model.not_found is not None:
            return model.not_found()
        violations += found
        return value

    return read


def header_reader(model: type[Request]) -> Read:
    """Returns the reader of headers: `if_match` is If-Match, an alias is a header in place of a key of the body."""
    names = {info.alias or name: info.alias or name.replace("_", "-") for name, info in model.model_fields.items()}
    paths: dict[str, Path] = {name: ("headers", header) for name, header in names.items()}
    paths |= {key: (name,) for name, info in model.model_fields.items() if info.alias for key in (name, info.alias)}

    def read(req: func.HttpRequest, violations: list[Violation]) -> Any:
        content = {name: str(req.headers[header]) for name, header in names.items() if header in req.headers}
        found: list[Violation] = []
        value = _validate(model, content, found)
        violations += [v._replace(path=(*paths[str(v.path[0])], *v.path[1:])) for v in found]
        return value

    return read


def _received(req: func.HttpRequest) -> bytes:
    body: bytes = req.get_body()
    if not body and "transfer-encoding" in req.headers:
        # The host passes a chunked body on empty: it must not be taken for a request without a body.
        raise LengthRequiredError
    return body


def read_body(req: func.HttpRequest, limit: int) -> bytes:
    """Returns the body. Raises `TooLargeError`, and `LengthRequiredError` for a chunked one."""
    body = _received(req)
    if len(body) > limit:
        raise TooLargeError(f"The request body has more than {limit:,} bytes.")
    return body


def _decode(body: bytes, expected: type[Any], loads: Callable[[bytes], Any]) -> Any:
    try:
        content = loads(body) if body else expected()
    except ValueError:
        raise BodyNotJsonError from None
    if not isinstance(content, expected):
        raise BodyNotObjectError if expected is dict else BodyNotArrayError
    return content


def _form(req: func.HttpRequest, limit: int, violations: list[Violation]) -> dict[str, str]:
    body = read_body(req, limit)
    if str(req.headers.get("content-type", "")).partition(";")[0].strip().lower() != FORM:
        raise BodyNotFormError
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError:  # not UTF-8, or too many fields
        raise BodyNotFormError from None
    repeated = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
    violations += [Violation((name,), "repeated-key", "This key must be given once.") for name in repeated]
    return dict(pairs)


def _parse(parse: Callable[[bytes], Any], body: bytes, violations: list[Violation]) -> Any:
    try:
        return parse(body)
    except InvalidError as error:
        if not error.violations:
            raise
        violations += error.violations
    except ValidationError as error:
        violations += _violations(error)
    return None


def _validate(model: type[Request], content: Mapping[str, Any], violations: list[Violation], prefix: Path = ()) -> Any:
    found = list(model.check_content(content))
    value = None
    try:
        value = model.model_validate(content)
    except ValidationError as error:
        found += _violations(error)
    violations += [violation._replace(path=prefix + violation.path) for violation in found] if prefix else found
    return value


def _violations(error: ValidationError) -> list[Violation]:
    return [found for each in error.errors(include_url=False, include_input=False) for found in violations_of(each)]


# ---- the position of a field


@functools.cache
def field_paths(model: type[BaseModel]) -> Mapping[str, Path]:
    """Returns the path of each field by name, including fields of nested models; the outermost of equal names wins."""
    paths: dict[str, Path] = {}
    places: deque[tuple[Path, type[BaseModel]]] = deque([((), model)])
    known = {model}  # a model may contain itself
    while places:
        prefix, outer = places.popleft()
        for name, info in outer.model_fields.items():
            paths.setdefault(name, (*prefix, name))
            nested = info.annotation
            if isinstance(nested, type) and issubclass(nested, BaseModel) and nested not in known:
                known.add(nested)
                places.append(((*prefix, name), nested))
    return paths


def locate(parts: Mapping[str, Any], path: Path) -> str:
    """Returns the JSON Pointer of a field that an error names; `parts` are the declared models by pointer prefix."""
    if not path or isinstance(path[0], int):
        return pointer(path)
    for prefix, model in parts.items():
        if (found := _fields_of(model).get(path[0])) is not None:
            return pointer((*((prefix,) if prefix else ()), *found, *path[1:]))
    return pointer(path)


def _fields_of(model: Any) -> Mapping[str, Path]:
    return field_paths(model) if isinstance(model, type) and issubclass(model, BaseModel) else {}
