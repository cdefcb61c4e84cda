"""The API's description in OpenAPI 3.1, made of the same models that read the requests and type the answers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, NotRequired, Union, cast, get_args, get_origin, get_type_hints

import azure.functions as func
import orjson
from azure.functions.decorators.function_app import Function
from azure.functions.decorators.http import HttpTrigger
from pydantic import Field, TypeAdapter, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core.core_schema import WithDefaultSchema

from api import __version__
from api.http import KEY_PATTERN, Answer, Request, Trigger, endpoint_without_body
from api.problems import MIMETYPE, TITLES, Problem

_BODY_PROBLEMS: Final = {
    400: ("body-not-json", "body-not-object", "body-invalid"),
    411: ("length-required",),
    413: ("body-too-large",),
}
_KEY_PROBLEMS: Final = {400: ("idempotency-key-invalid",), 409: ("idempotency-key-reused",)}
_DATABASE_PROBLEMS: Final = {
    409: ("lost-race",),
    500: ("internal-error",),
    503: ("database-unavailable", "database-login"),
}
WRITING: Final = {503: ("outcome-unknown",)}
"""The problems that only a trigger which writes can answer."""

_INTRODUCTION: Final = """\
JSON in, JSON out. A call changes all that it says or nothing. A refusal is a problem (RFC 9457): its `type` ends in a \
stable code, and for the code `body-invalid` the list `errors` names every place of the body that breaks a rule, with \
codes of their own: those of each field, and `missing-key`, `unknown-key`, `wrong-type` and `out-of-range`. On Azure \
every call needs a function key; a development host asks for none. What no operation answers (an unknown path or \
method: 404; no key: 401) the host answers without JSON."""

_KEY_PARAMETER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeating a request with the same key has no second effect: for IDEMPOTENCY_HOURS the first answer "
    "comes again, byte for byte. Keys count for one trigger; another body under the same key is refused. Refusals are "
    "not kept.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": f"^{KEY_PATTERN}$"},
}


class Operation(NamedTuple):
    """What a trigger answers: by status the type of the answer and words for it, and the codes of the problems.

    `links` name operations that can be called with what the answer says, and bodies for them.
    """

    answers: Mapping[int, tuple[Any, str]]
    problems: Mapping[int, tuple[str, ...]]
    links: Mapping[str, object]


def described(
    answers: Mapping[int, tuple[Any, str]],
    *problems: Mapping[int, tuple[str, ...]],
    links: Mapping[str, object] | None = None,
) -> Callable[[Trigger], Trigger]:
    """Notes what a trigger answers besides the problems that every trigger of its kind has."""

    def note(trigger: Trigger) -> Trigger:
        kinds = [*problems, _DATABASE_PROBLEMS]
        if trigger.request_model:
            kinds.append(_BODY_PROBLEMS)
        if trigger.takes_key:
            kinds.append(_KEY_PROBLEMS)
        statuses = sorted({status for kind in kinds for status in kind})
        codes = {status: tuple(code for kind in kinds for code in kind.get(status, ())) for status in statuses}
        trigger.operation = Operation(answers, codes, links or {})
        return trigger

    return note


def shaped(description: str, *codes: str, **schema: Any) -> Any:
    """A field's words, the codes that refuse it, and its bounds. What is accepted its parse function decides alone."""
    told = f"{description}. Refused as {', '.join(codes)}" if codes else description
    return Field(description=told, json_schema_extra=schema)


def description_of(blueprints: Iterable[func.Blueprint]) -> func.Blueprint:
    """A blueprint with `GET /openapi.json`: the description of all that the other blueprints serve."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    others = tuple(blueprints)

    @functools.cache
    def encoded() -> bytes:
        return orjson.dumps(describe(others))

    @blueprint.route(route="openapi.json", methods=["GET"])
    @endpoint_without_body
    def openapi_json() -> Answer:
        """Answers the description of this API."""
        return Answer(encoded())

    return blueprint


def describe(blueprints: Iterable[func.Blueprint]) -> dict[str, Any]:
    """The OpenAPI document of every function of the blueprints; each must be `described`, and answer one method or any.

    For a function that answers any method, POST is told.
    """
    # The level of the app: indexing writes it into the blueprints' triggers, which are shared.
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    for blueprint in blueprints:
        app.register_functions(blueprint)
    functions = {str(function.get_function_name()): function for function in app.get_functions()}
    handlers = {name: cast("Trigger", function.get_user_function()) for name, function in functions.items()}
    schemas, components = _schemas(handlers)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Rollbook", "version": __version__, "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "security": [{"functionKey": []}],
        "paths": dict(_path(name, function, handlers[name], schemas) for name, function in functions.items()),
        "components": {
            "schemas": components,
            "securitySchemes": {"functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"}},
        },
    }


def _path(
    name: str, function: Function, handler: Trigger, schemas: Mapping[str, JsonSchemaValue]
) -> tuple[str, dict[str, Any]]:
    trigger = cast("HttpTrigger", function.get_trigger())
    (method,) = [method.value for method in trigger.methods or ()] or ["POST"]
    return f"/{trigger.route}", {method.lower(): _operation(name, handler, schemas)}


def _operation(name: str, handler: Trigger, schemas: Mapping[str, JsonSchemaValue]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "tags": [handler.__module__.rpartition(".")[2]],
        "summary": str(handler.__doc__).removesuffix("."),
    }
    if handler.takes_key:
        operation["parameters"] = [_KEY_PARAMETER]
    if handler.request_model:
        operation["requestBody"] = _request_body(handler.request_model, schemas[name])
    return {**operation, "responses": _responses(name, handler.operation, schemas)}


def _request_body(model: type[Request], schema: JsonSchemaValue) -> dict[str, Any]:
    examples = {
        f"example{number}": {"summary": summary, "value": value}
        for number, (summary, value) in enumerate(model.EXAMPLES.items(), 1)
    }
    # An absent body is read as an object without keys.
    required = any(field.is_required() for field in model.model_fields.values()) or any(model.check_keys(frozenset()))
    return {"required": required, "content": {"application/json": {"schema": schema, "examples": examples}}}


def _responses(name: str, operation: Operation, schemas: Mapping[str, JsonSchemaValue]) -> dict[str, Any]:
    links = {target: {"operationId": target, "requestBody": body} for target, body in operation.links.items()}
    responses: dict[str, Any] = {
        "401": {"description": "The function key is missing or wrong. Azure answers it, without JSON."}
    }
    for status, (_, words) in operation.answers.items():
        content = {"application/json": {"schema": schemas[f"{name} {status}"]}}
        responses[str(status)] = {"description": words, "content": content, **({"links": links} if links else {})}
    for status, codes in operation.problems.items():
        types = {"type": "string", "enum": [f"/problems/{code}" for code in codes]}
        schema = {"allOf": [schemas["problem"], {"properties": {"type": types}}]}
        responses[str(status)] = {"description": f"{TITLES[status]}: {', '.join(codes)}"}
        responses[str(status)]["content"] = {MIMETYPE: {"schema": schema}}
    seconds = {"description": "Seconds to wait", "schema": {"type": "integer"}, "required": True}
    responses["503"]["headers"] = {"Retry-After": seconds}
    return dict(sorted(responses.items()))


# ---- schemas


class _Generator(GenerateJsonSchema):
    """Without titles that repeat the names, and without the default null of a key that may only be left out."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default") is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def _schemas(handlers: Mapping[str, Trigger]) -> tuple[dict[str, JsonSchemaValue], dict[str, JsonSchemaValue]]:
    """The schemas of bodies by function name, of answers by name and status, of a problem; and those they refer to."""
    inputs: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        ("problem", "serialization", TypeAdapter(_model(Problem)))
    ]
    for name, handler in handlers.items():
        if handler.request_model:
            inputs.append((name, "validation", TypeAdapter(handler.request_model)))
        for status, (answer, _) in handler.operation.answers.items():
            inputs.append((f"{name} {status}", "serialization", TypeAdapter(_model(answer))))
    schemas, document = TypeAdapter.json_schemas(
        inputs, ref_template="#/components/schemas/{model}", schema_generator=_Generator
    )
    named = {key: schema for (key, _), schema in schemas.items()}
    text = orjson.dumps([named, document]).decode()  # a type that a schema replaced is defined, and nobody refers to it
    components = {name: schema for name, schema in document["$defs"].items() if f'/schemas/{name}"' in text}
    return named, components


@functools.cache  # so that a type is one component
def _model(answer: Any) -> Any:
    """A type of answers as pydantic describes it.

    TypedDicts become models (before Python 3.12 it takes none of the standard library's), and so do named tuples. The
    text of an annotation, which is all that the domain can say, becomes a format.
    """
    arguments = get_args(answer)
    if get_origin(answer) is Annotated:
        return Annotated[arguments[0], Field(json_schema_extra={"format": arguments[1]})]
    if get_origin(answer) in (Union, UnionType):
        return Union[tuple(_model(argument) for argument in arguments)]  # noqa: UP007 - made when the program runs
    if get_origin(answer) in (list, dict):
        return get_origin(answer)[tuple(_model(argument) for argument in arguments)]
    return _model_of_fields(answer) if hasattr(answer, "__annotations__") else answer


def _model_of_fields(answer: Any) -> Any:
    fields: dict[str, Any] = {
        # __required_keys__ does not know better: it was made while annotations were texts.
        name: (_model(*get_args(hint)), None) if get_origin(hint) is NotRequired else (_model(hint), ...)
        for name, hint in get_type_hints(answer, include_extras=True).items()
    }
    words = " ".join(str(answer.__doc__).split())
    return create_model(answer.__name__, __module__=answer.__module__, __doc__=words, **fields)
