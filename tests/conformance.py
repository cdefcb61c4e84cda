"""A check that a response conforms to the OpenAPI document: its status, code, headers and body."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx
import orjson
from jsonschema_rs import Draft202012Validator

from api.http.problems import MAX_VIOLATIONS, TITLES
from domain.errors import RollbookError

BODY_BYTES_MAX: Final = 300_000
"""Larger bodies of successes are not validated: their records are like those of small ones."""

_BOUNDED_ERRORS: Final = {
    "properties": {"errors": {"maxItems": MAX_VIOLATIONS}, "more": {"minimum": 1}},
    "dependentSchemas": {"more": {"properties": {"errors": {"minItems": MAX_VIOLATIONS}}}},
}


def subclasses(kind: type[RollbookError]) -> Iterator[type[RollbookError]]:
    """Yields every imported subclass of an error class, recursively."""
    for subclass in kind.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def follow(document: Mapping[str, Any], node: Any) -> Any:
    """Returns a node of the document, or the node that it refers to."""
    while "$ref" in node:
        target: Any = document
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def validator(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Draft202012Validator:
    """Returns a validator for a schema of the document."""
    return Draft202012Validator({**schema, "components": document["components"]}, validate_formats=True)


def _closed(node: Any) -> Any:
    """Returns a schema that forbids keys that it does not name; the document permits them for later releases."""
    if isinstance(node, dict):
        closed = {key: _closed(inner) for key, inner in node.items()}
        return {"additionalProperties": False, **closed} if node.get("type") == "object" else closed
    return [_closed(inner) for inner in node] if isinstance(node, list) else node


def _closed_problem(problem: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the schema of a problem with the members of its codes; each requires its code, and no other has it."""
    members = {name: member for name, member in schema["allOf"][1]["properties"].items() if name != "type"}
    rules = [
        {
            "if": {"properties": {"type": {"const": f"/problems/{error.code}"}}},
            "then": {"required": [member], "properties": {member: {"minItems": 1}}},
            "else": {"properties": {member: False}},
        }
        for error in subclasses(RollbookError)
        for member in error.members
        if member in members
    ]
    return {**problem, "properties": {**problem["properties"], **members}, "allOf": [*rules, _BOUNDED_ERRORS]}


class Conformance:
    """Checks that responses conform to an OpenAPI document and have no undescribed content.

    Responses of operations that are not in the document are not checked.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.checked: dict[tuple[str, str], int] = {}
        """How many responses were checked, by operation and status."""
        self._validator = functools.cache(self._make_validator)

    def check(self, response: httpx.Response) -> None:
        """Reads the response. Raises `AssertionError` if it does not conform."""
        method, path = response.request.method, response.request.url.path
        operation = self.document["paths"].get(path, {}).get(method.lower())
        if operation is None:
            return
        response.read()
        status = str(response.status_code)
        try:
            reason = self._violation(operation, path, method.lower(), response)
        except Exception as error:  # noqa: BLE001 - a document that cannot be read fails the check too
            reason = f"{type(error).__name__}: {error}"
        if reason:
            raise AssertionError(f"{method} {path} returned {status}, which is not as described: {reason}")
        counted = (str(operation["operationId"]), status)
        self.checked[counted] = self.checked.get(counted, 0) + 1

    def _violation(self, operation: Mapping[str, Any], path: str, method: str, response: httpx.Response) -> str:
        status = str(response.status_code)
        described = operation["responses"].get(status)
        if described is None:
            return f"only {', '.join(operation['responses'])}"
        expected = "application/problem+json" if response.status_code >= 400 else "application/json"
        content_type = response.headers.get("content-type", "")
        if list(described.get("content", {})) != [content_type] or content_type != expected:
            return f"content type {content_type}, described are {[*described.get('content', {})]}"
        for name, header in described.get("headers", {}).items():
            given = response.headers.get(name)
            if given is None and header.get("required"):
                return f"no header {name}"
            if given is not None and header["schema"] == {"type": "integer"} and not given.isdecimal():
                return f"{name}: {given}"
        if response.status_code < 400 and len(response.content) > BODY_BYTES_MAX:
            return ""
        errors = self._validator(path, method, status).iter_errors(orjson.loads(response.content))
        return "; ".join(f"/{'/'.join(map(str, error.instance_path))}: {error.message[:300]}" for error in errors)

    def _make_validator(self, path: str, method: str, status: str) -> Draft202012Validator:
        (content,) = self.document["paths"][path][method]["responses"][status]["content"].values()
        schemas = _closed(self.document["components"]["schemas"])
        rules = [_closed(content["schema"])]
        if status >= "400":
            schemas["Problem"] = _closed_problem(schemas["Problem"], content["schema"])
            rules.append({"properties": {"status": {"const": int(status)}, "title": {"const": TITLES[int(status)]}}})
        return validator({"components": {"schemas": schemas}}, {"allOf": rules})
