"""The OpenAPI 3.1 document of declared endpoints, built from the models that parse requests and type responses."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import orjson

from api import __version__
from api.http.auth import FunctionKey
from api.http.idempotency import (
    KEY_PATTERN,
    REPLAYED,
    IdempotencyKeyInvalidError,
    IdempotencyKeyReusedError,
    IdempotencyKeyUnsupportedError,
)
from api.http.problems import (
    MAX_VIOLATIONS,
    MEDIA_TYPE,
    TITLES,
    InternalError,
    LengthRequiredError,
    TooLargeError,
    status_of,
)
from api.http.requests import (
    FORM,
    BodyInvalidError,
    BodyNotArrayError,
    BodyNotExpectedError,
    BodyNotFormError,
    BodyNotJsonError,
    BodyNotObjectError,
    RequestInvalidError,
)
from api.http.responses import JSON, Response, Returns
from api.http.schemas import Schemas, content_schemas, is_required
from api.http.service import Endpoint
from domain.errors import RollbookError
from persistence.database.errors import (
    DatabaseLoginError,
    LostRaceError,
    OutcomeUnknownError,
    StatementTimeoutError,
    UnavailableError,
)

_INTRODUCTION: Final = """\
JSON in, JSON out. Every call is atomic. An error is a problem (RFC 9457): its `type` ends in a stable code, and \
`errors` lists the violations of an invalid request (code `body-invalid` or `request-invalid`), each with a JSON \
Pointer and a code: one of those that the field lists, or `missing-key`, `unknown-key`, `wrong-type`, `out-of-range`. \
On Azure every call requires a function key unless the operation says otherwise; a development host requires none. \
A request that reaches no operation (404: unknown path or method; 401: no key) gets the host's own response, without \
JSON."""

_KEY_PARAMETER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeated request with the same key has no second effect: for IDEMPOTENCY_HOURS the first "
    "response is returned again, byte for byte. Keys belong to a caller and an operation; another request under the "
    "same key is an error. Errors are not stored. A key must not contain personal data: it is not erased with a user.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^{KEY_PATTERN}$"},
}
_REPLAYED_HEADER: Final = {
    "description": "This is the response to an earlier call with this Idempotency-Key. Absent otherwise",
    "schema": {"type": "string", "const": "true"},
}
_NO_KEY: Final = "The function key is missing or wrong. Azure itself responds, without JSON."


def openapi_endpoint(endpoints: Iterable[Endpoint]) -> Endpoint:
    """Returns the endpoint `GET /openapi.json`, which serves the document of the given endpoints."""
    others = tuple(endpoints)

    @functools.cache
    def encoded() -> bytes:
        return orjson.dumps(build_document(others))

    def openapi_json() -> Response:
        """Returns the OpenAPI document of this API."""
        return Response(encoded())

    return Endpoint(
        service="openapi",
        name="openapi_json",
        handler=openapi_json,
        route="openapi.json",
        methods=("GET",),
        ignore_body=True,
    )


def build_document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Returns the OpenAPI document. An endpoint that accepts any method is described as POST; timers are left out."""
    schemas = content_schemas(endpoints)
    schemes = {name: scheme for endpoint in endpoints for name, scheme in endpoint.auth.security.items()}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        for number, method in enumerate(endpoint.methods or ("POST",)):
            name = endpoint.name if number == 0 else f"{endpoint.name}_{method.lower()}"
            paths.setdefault(f"/{endpoint.route}", {})[method.lower()] = _operation(endpoint, name, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Rollbook", "version": __version__, "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in FunctionKey.security],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": {**FunctionKey.security, **schemes}},
    }


def _operation(endpoint: Endpoint, operation_id: str, schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "tags": [endpoint.service],
        "summary": str(endpoint.handler.__doc__).partition("\n")[0].removesuffix("."),
    }
    if parameters := [*_parameters(endpoint, schemas), *([_KEY_PARAMETER] if endpoint.idempotent else [])]:
        operation["parameters"] = parameters
    if (body := endpoint.body or endpoint.form) is not None:
        operation["requestBody"] = _request_body(endpoint, body, schemas)
    if endpoint.auth.security.keys() != FunctionKey.security.keys():
        operation["security"] = [{name: []} for name in endpoint.auth.security]
    return {**operation, "responses": _responses(endpoint, schemas)}


def _parameters(endpoint: Endpoint, schemas: Schemas) -> Iterable[dict[str, Any]]:
    for place in ("path", "query", "header"):
        if (endpoint.name, place) not in schemas.of:
            continue
        schema = schemas.resolve(schemas.of[endpoint.name, place])
        for name, field in schema.get("properties", {}).items():
            if place == "header" and name == "accept":  # OpenAPI 3.1 ignores it: the media types of responses say it
                continue
            parameter = {
                "name": name.replace("_", "-") if place == "header" else name,
                "in": place,
                "required": name in schema.get("required", ()),
                "schema": {key: value for key, value in field.items() if key != "description"},
            }
            yield {**parameter, **({"description": field["description"]} if "description" in field else {})}


def _request_body(endpoint: Endpoint, body: Any, schemas: Schemas) -> dict[str, Any]:
    examples = {
        f"example{number}": {"summary": summary, "value": value}
        for number, (summary, value) in enumerate(getattr(body, "EXAMPLES", {}).items(), 1)
    }
    content = {"schema": schemas.of[endpoint.name, "request"], **({"examples": examples} if examples else {})}
    return {"required": is_required(body), "content": {FORM if endpoint.form else JSON: content}}


# ---- responses


def _responses(endpoint: Endpoint, schemas: Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    if isinstance(endpoint.auth, FunctionKey):
        responses["401"] = {"description": _NO_KEY}
    links = {target: {"operationId": target, "requestBody": body} for target, body in endpoint.links.items()}
    for status, declared in endpoint.returns.items():
        responses[str(status)] = _response(endpoint, status, declared, schemas)
    if links:
        responses[str(next(iter(endpoint.returns)))]["links"] = links
    errors = _errors(endpoint)
    for status in sorted({status_of(error) for error in errors}):
        kinds = [error for error in errors if status_of(error) == status]
        responses[str(status)] = _problem(endpoint, status, kinds, schemas)
    return dict(sorted(responses.items()))


def _response(endpoint: Endpoint, status: int, declared: Any, schemas: Schemas) -> dict[str, Any]:
    returns = declared if isinstance(declared, Returns) else Returns(declared)
    types = {**({JSON: returns.type} if returns.type is not None else {}), **returns.media}
    response: dict[str, Any] = {"description": returns.description or _summary(returns.type)}
    if types:
        content = partial(_content, endpoint, status, schemas)
        response["content"] = {media: content(media, declared) for media, declared in types.items()}
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in returns.headers.items()}
    if headers or endpoint.idempotent:
        response["headers"] = {**headers, **({REPLAYED: _REPLAYED_HEADER} if endpoint.idempotent else {})}
    return response


def _content(endpoint: Endpoint, status: int, schemas: Schemas, media: str, declared: Any) -> dict[str, Any]:
    if declared is bytes:  # OpenAPI 3.1: binary content has no schema
        return {}
    return {"schema": {"type": "string"} if declared is str else schemas.of[endpoint.name, f"{status} {media}"]}


def _summary(declared: Any) -> str:
    return " ".join(str(declared.__doc__).split("\n\n")[0].split())


def _errors(endpoint: Endpoint) -> list[type[RollbookError]]:
    """Returns the declared errors, the errors of authentication, and those that the declaration implies."""
    errors: list[type[RollbookError]] = [*endpoint.errors, *endpoint.auth.errors]
    if endpoint.writes or endpoint.before_writes:
        errors.append(OutcomeUnknownError)
    errors += [LostRaceError, InternalError, UnavailableError, DatabaseLoginError]
    if endpoint.writes is not True or endpoint.steps or endpoint.auth.reads_database:
        errors.append(StatementTimeoutError)  # a read in autocommit
    if endpoint.form is not None:
        errors += [BodyNotFormError, BodyInvalidError, LengthRequiredError, TooLargeError]
    elif endpoint.body is not None:
        shape = BodyNotObjectError if isinstance(endpoint.body, type) else BodyNotArrayError
        errors += [BodyNotJsonError, shape, BodyInvalidError, LengthRequiredError, TooLargeError]
    elif endpoint.query or endpoint.headers or (endpoint.path and endpoint.path.not_found is None):
        errors.append(RequestInvalidError)
    if endpoint.body is None and endpoint.form is None and not endpoint.ignore_body:
        errors += [BodyNotExpectedError, LengthRequiredError]
    if endpoint.path is not None and endpoint.path.not_found is not None:
        errors.append(endpoint.path.not_found)
    keyed: list[type[RollbookError]] = [IdempotencyKeyInvalidError, IdempotencyKeyReusedError]
    return list(dict.fromkeys([*errors, *(keyed if endpoint.idempotent else [IdempotencyKeyUnsupportedError])]))


def _problem(endpoint: Endpoint, status: int, errors: list[type[RollbookError]], schemas: Schemas) -> dict[str, Any]:
    codes = [error.code for error in errors]
    types = {"type": "string", "enum": [f"/problems/{code}" for code in codes]}
    members = {
        name: {**schemas.of[error.code, name], "description": f"Only with {error.code}"}
        for error in errors
        for name in error.members
    }
    for name, value in endpoint.problem_members.get(status, {}).items():
        values = [{"const": value}, *([members[name]] if name in members else [])]
        members[name] = {"anyOf": values, "default": value}
    if endpoint.max_violations != MAX_VIOLATIONS and status in (400, 409):  # other problems have few violations
        members["errors"] = {"maxItems": endpoint.max_violations}
    schema = {"allOf": [schemas.problem, {"properties": {"type": types, **members}}]}
    problem: dict[str, Any] = {
        "description": f"{TITLES[status]}: {', '.join(codes)}",
        "content": {MEDIA_TYPE: {"schema": schema}},
    }
    headers: Mapping[str, str] = {name: text for error in errors for name, text in error.headers.items()}
    if status == 503:
        headers = {"Retry-After": "Seconds to wait"}
    if headers:
        problem["headers"] = {
            name: {"description": text, "schema": {"type": "integer" if name == "Retry-After" else "string"}}
            | ({"required": True} if name == "Retry-After" else {})
            for name, text in headers.items()
        }
    return problem
