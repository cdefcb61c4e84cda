"""Requests: the base of request models, and how each part of a request is read.

A part is the body, a form, the query, the path or headers. All violations of all parts are collected in one pass.
"""

from __future__ import annotations

import functools
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, get_origin
from urllib.parse import parse_qsl

import azure.functions as func
import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from api.http.problems import LengthRequiredError, LocatedError, Path, TooLargeError, pointer, violations_of
from domain.errors import InvalidError, NotFoundError, Violation

BODY_LIMIT: Final = 1024 * 1024
"""Largest request body in bytes, unless an endpoint declares another limit."""

FORM: Final = "application/x-www-form-urlencoded"

Examples = Mapping[str, object]
"""Bodies to try, by their titles."""

Read = Callable[[func.HttpRequest, list[Violation]], Any]
"""Reads one part of a request; adds what is wrong with it to the list."""


class Request(BaseModel):
    """A part of a request: rejects unknown keys, coerces nothing, and repeats no value in a message."""

    EXAMPLES: ClassVar[Examples] = {}
    not_found: ClassVar[type[NotFoundError] | None] = None
    """For a model of the path: the error for a malformed value, which names nothing that can exist."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    @classmethod
    def check_keys(cls, keys: frozenset[str]) -> Iterator[Violation]:
        """Violations by keys that require or exclude each other, whatever their values."""
        yield from ()

    def check(self) -> None:
        """Checks the rules that need no database; raises any error. Runs before the transaction."""


OPTIONAL: Final[Any] = Field(default=None)
"""A key that may be absent, but is never null."""


def field(description: str, *errors: type[InvalidError], **schema: Any) -> Any:
    """A field's description, its errors, and its constraints for OpenAPI. Its parse function alone decides."""
    codes = ", ".join(error.code for error in errors)
    return Field(description=f"{description}. Errors: {codes}" if codes else description, json_schema_extra=schema)


# ---- errors


class BodyNotJsonError(InvalidError):
    """A body that cannot be parsed."""

    code = "body-not-json"
    detail = "The request body is not JSON in UTF-8."


class BodyNotObjectError(InvalidError):
    """A body that is other JSON than an object."""

    code = "body-not-object"
    detail = "The request body is not a JSON object."


class BodyNotArrayError(InvalidError):
    """A body that is other JSON than an array."""

    code = "body-not-array"
    detail = "The request body is not a JSON array."


class BodyNotFormError(InvalidError):
    """A body that is no URL-encoded form."""

    code = "body-not-form"
    detail = f"The request body must be a form in UTF-8 with the content type {FORM}."


class BodyNotExpectedError(InvalidError):
    """A body where none is read."""

    code = "body-not-expected"
    detail = "This endpoint takes no request body."


class BodyInvalidError(LocatedError):
    """A request whose violations are in `errors`."""

    code = "body-invalid"
    detail = "The request body is invalid; see `errors`."


class RequestInvalidError(LocatedError):
    """A request without a body whose violations are in `errors`."""

    code = "request-invalid"
    detail = "The request is invalid; see `errors`."


# ---- parts


def read_parts(req: func.HttpRequest, parts: Mapping[str, Read], invalid: type[LocatedError]) -> dict[str, Any]:
    """The parts by name. Raises `invalid` with all violations, and afterwards the path's `not_found`."""
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
    """Reads the body as declared: by `parse`, as a form, or as JSON. None where no body is declared."""
    if parse is not None:
        return lambda req, violations: _parse(parse, _body(req, body_limit), violations)
    if form is not None:
        return lambda req, violations: _validate(form, _form(req, body_limit, violations), violations)
    if body is None:
        return None
    if get_origin(body) is None:
        return lambda req, violations: _validate(body, _json(req, body_limit, dict, BodyNotObjectError), violations)
    array = TypeAdapter(body)

    def read_array(req: func.HttpRequest, violations: list[Violation]) -> Any:
        try:
            return array.validate_python(_json(req, body_limit, list, BodyNotArrayError), strict=True)
        except ValidationError as error:
            violations += _violations(error)
            return None

    return read_array


def require_no_body(req: func.HttpRequest) -> None:
    """Raises `BodyNotExpectedError`, or `LengthRequiredError` for a body that the host does not hand over."""
    if _received(req):
        raise BodyNotExpectedError


def query_reader(model: type[Request]) -> Read:
    """Reads the query. The function key, which may be part of it, belongs to the host."""

    def read(req: func.HttpRequest, violations: list[Violation]) -> Any:
        content = {name: value for name, value in req.params.items() if name != "code" or name in model.model_fields}
        return _validate(model, content, violations, ("query",))

    return read


def path_reader(model: type[Request]) -> Read:
    """Reads the path's parameters: the model, or the error that it declares for a malformed value."""

    def read(req: func.HttpRequest, violations: list[Violation]) -> Any:
        found: list[Violation] = []
        value = _validate(model, dict(req.route_params), found, ("path",))
        if found and model.not_found is not None:
            return model.not_found()
        violations += found
        return value

    return read


def header_reader(model: type[Request]) -> Read:
    """Reads headers: the field `if_match` is the header If-Match."""
    names = {name: name.replace("_", "-") for name in model.model_fields}

    def read(req: func.HttpRequest, violations: list[Violation]) -> Any:
        content = {name: str(req.headers[header]) for name, header in names.items() if header in req.headers}
        found: list[Violation] = []
        value = _validate(model, content, found)
        violations += [v._replace(path=("headers", *(names.get(str(key), key) for key in v.path))) for v in found]
        return value

    return read


def _received(req: func.HttpRequest) -> bytes:
    body: bytes = req.get_body()
    if not body and "transfer-encoding" in req.headers:
        # The host hands a chunked body over empty: it must not be read as a request without one.
        raise LengthRequiredError
    return body


def _body(req: func.HttpRequest, limit: int) -> bytes:
    body = _received(req)
    if len(body) > limit:
        raise TooLargeError(f"The request body has more than {limit:,} bytes.")
    return body


def _json(
    req: func.HttpRequest, limit: int, expected: type[dict[str, Any] | list[Any]], error: type[InvalidError]
) -> Any:
    body = _body(req, limit)
    try:
        content = orjson.loads(body) if body else expected()
    except orjson.JSONDecodeError:
        raise BodyNotJsonError from None
    if not isinstance(content, expected):
        raise error
    return content


def _form(req: func.HttpRequest, limit: int, violations: list[Violation]) -> dict[str, str]:
    body = _body(req, limit)
    if str(req.headers.get("content-type", "")).partition(";")[0].strip().lower() != FORM:
        raise BodyNotFormError
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError:  # bytes or escapes that are not UTF-8, and too many fields
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
    found = list(model.check_keys(frozenset(content)))
    value = None
    try:
        value = model.model_validate(content)
    except ValidationError as error:
        found += _violations(error)
    violations += [violation._replace(path=prefix + violation.path) for violation in found] if prefix else found
    return value


def _violations(error: ValidationError) -> list[Violation]:
    errors = error.errors(include_url=False, include_input=False)
    return [found for details in errors for found in violations_of(details)]


# ---- where a field stands


@functools.cache
def field_paths(model: type[BaseModel]) -> Mapping[str, Path]:
    """Where the fields of a body stand, those of nested objects included; of equal names the outermost counts."""
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
    """The JSON Pointer of a field that an error names, from the declared models of the body and of other parts."""
    if not path or isinstance(path[0], int):
        return pointer(path)
    for prefix, model in parts.items():
        if (found := _fields_of(model).get(path[0])) is not None:
            return pointer((*((prefix,) if prefix else ()), *found, *path[1:]))
    return pointer(path)


def _fields_of(model: Any) -> Mapping[str, Path]:
    return field_paths(model) if isinstance(model, type) and issubclass(model, BaseModel) else {}
