"""JSON schemas of requests and responses for the OpenAPI document: pydantic's schemas with a few changes."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, NamedTuple, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import orjson
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core.core_schema import WithDefaultSchema

from api.http.problems import Problem
from api.http.requests import Request
from api.http.responses import JSON, Returns
from api.http.service import Endpoint


class Schemas(NamedTuple):
    """`of` has the schemas by endpoint and part ("request", "query", "200 application/json").

    It also has the members that errors add to their problems, by code and name. `components` are the shared schemas.
    """

    of: Mapping[tuple[str, str], JsonSchemaValue]
    problem: JsonSchemaValue
    components: Mapping[str, JsonSchemaValue]

    def resolve(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        """Returns a schema, or the component that it refers to."""
        return self.components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


class _Generator(GenerateJsonSchema):
    """Omits titles that repeat names, and the default null of keys that may be absent but not null."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default") is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def content_schemas(endpoints: Sequence[Endpoint]) -> Schemas:
    """Returns the schemas of all requests, responses and problems of the endpoints."""
    inputs: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
        (("", "problem"), "serialization", TypeAdapter(_model(Problem)))
    ]
    for endpoint in endpoints:
        inputs += [(key, "validation", TypeAdapter(model)) for key, model in _requests(endpoint)]
        sent = [*_responses(endpoint), *_members(endpoint)]
        inputs += [(key, "serialization", TypeAdapter(_model(declared))) for key, declared in sent]
    schemas, document = TypeAdapter.json_schemas(
        inputs, ref_template="#/components/schemas/{model}", schema_generator=_Generator
    )
    named = {key: schema for (key, _), schema in schemas.items()}
    components = _referred(document.get("$defs", {}), list(named.values()))
    return Schemas(named, named["", "problem"], components)


def _requests(endpoint: Endpoint) -> list[tuple[tuple[str, str], Any]]:
    parts = {
        "request": endpoint.body or endpoint.form,
        "query": endpoint.query,
        "path": endpoint.path,
        "header": endpoint.headers if endpoint.headers and endpoint.headers.model_fields else None,
    }
    return [((endpoint.name, part), model) for part, model in parts.items() if model is not None]


def _responses(endpoint: Endpoint) -> list[tuple[tuple[str, str], Any]]:
    found = []
    for status, declared in endpoint.returns.items():
        returns = declared if isinstance(declared, Returns) else Returns(declared)
        for media, type_ in {JSON: returns.type, **returns.media}.items():
            if type_ not in (None, bytes, str):
                found.append(((endpoint.name, f"{status} {media}"), type_))
    return found


def _members(endpoint: Endpoint) -> list[tuple[tuple[str, str], Any]]:
    errors = [*endpoint.errors, *endpoint.auth.errors]
    return [((error.code, name), type_) for error in errors for name, type_ in error.members.items()]


def _referred(definitions: Mapping[str, Any], schemas: list[Any]) -> dict[str, Any]:
    """Returns the definitions in use: pydantic also defines types that a schema has replaced."""
    text = orjson.dumps([schemas, definitions]).decode()
    return {name: schema for name, schema in definitions.items() if f'/schemas/{name}"' in text}


def is_required(body: Any) -> bool:
    """Returns whether a body must be sent. An absent body is read as an empty object or array."""
    if not (isinstance(body, type) and issubclass(body, Request)):
        return not _is_valid(body, [])
    return any(field.is_required() for field in body.model_fields.values()) or any(body.check_content({}))


def _is_valid(declared: Any, value: object) -> bool:
    try:
        TypeAdapter(declared).validate_python(value)
    except ValidationError:
        return False
    return True


@functools.cache  # one component per type
def _model(declared: Any) -> Any:
    """Returns a response type as a type that pydantic describes.

    TypedDicts become models (before Python 3.12 pydantic rejects those of the standard library), and so do named
    tuples. A text in `Annotated` becomes a format: the domain cannot use pydantic's `Field`.
    """
    arguments = get_args(declared)
    if isinstance(declared, type) and issubclass(declared, BaseModel):
        return declared
    if get_origin(declared) is Annotated and isinstance(arguments[1], str):
        return Annotated[arguments[0], Field(json_schema_extra={"format": arguments[1]})]
    if get_origin(declared) in (Union, UnionType):
        return Union[tuple(_model(argument) for argument in arguments)]  # noqa: UP007 - built at run time
    if get_origin(declared) in (list, dict):
        return get_origin(declared)[tuple(_model(argument) for argument in arguments)]
    return _model_of_fields(declared) if is_typeddict(declared) or hasattr(declared, "_fields") else declared


def _model_of_fields(declared: Any) -> Any:
    fields: dict[str, Any] = {
        # __required_keys__ is unreliable: it was computed while the annotations were strings.
        name: (_model(*get_args(hint)), None) if get_origin(hint) is NotRequired else (_model(hint), ...)
        for name, hint in get_type_hints(declared, include_extras=True).items()
    }
    text = " ".join(str(declared.__doc__).split())
    return create_model(declared.__name__, __module__=declared.__module__, __doc__=text, **fields)
