"""A check that a response conforms to the OpenAPI document: its status, code, headers and body."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx
import orjson
from jsonschema_rs import Draft202012Validator

from api.http.problems import MAX_VIOLATIONS, TITLES
from domain.errors import RollbookError

BODY_BYTES_MAX: Final = 300_000
"""Larger bodies of successes are not validated: their records are like those of small ones."""

_HEADERS: Final = {"cache-control", "connection", "content-length", "content-type", "date", "server"}
"""Headers that the document leaves to HTTP."""


def _bounded(errors: Mapping[str, int]) -> dict[str, Any]:
    """Returns the rule that `errors` is full if there are `more`."""
    most = errors.get("maxItems", MAX_VIOLATIONS)
    return {
        "properties": {"errors": {"maxItems": most}, "more": {"minimum": 1}},
        "dependentSchemas": {"more": {"properties": {"errors": {"minItems": most}}}},
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


def _closed_problem(
    problem: Mapping[str, Any], violation: Mapping[str, Any], schema: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the schema of a problem with the members of its codes, in the problem or in one of its violations.

    Each code requires its members, and no other code has them in the problem, unless they have a default.
    """
    described = schema["allOf"][1]["properties"]
    members = {name: member for name, member in described.items() if name not in ("type", "errors")}
    rules = [
        {
            "if": {"properties": {"type": {"const": f"/problems/{error.code}"}}},
            "then": {
                "anyOf": [{"required": [member]}, {"properties": {"errors": {"contains": {"required": [member]}}}}],
                "properties": {member: {"minItems": 1}},
            },
            "else": {"properties": {member: "default" in members[member]}},
        }
        for error in subclasses(RollbookError)
        for member in error.members
        if member in members and f"/problems/{error.code}" in described["type"]["enum"]
    ]
    errors = {"type": "array", "items": {**violation, "properties": {**violation["properties"], **members}}}
    properties = {**problem["properties"], **members, "errors": errors}
    return {**problem, "properties": properties, "allOf": [*rules, _bounded(described.get("errors", {}))]}


class Conformance:
    """Checks that responses conform to an OpenAPI document and have no undescribed content.

    Responses of operations that are not in the document are not checked.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.checked: dict[tuple[str, str], int] = {}
        """How many responses were checked, by operation and status."""
        self._validator = functools.cache(self._make_validator)
        fixed_first = sorted(document["paths"], key=lambda path: path.count("{"))
        self._paths = {path: re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(path))) for path in fixed_first}

    def check(self, response: httpx.Response) -> None:
        """Reads the response. Raises `AssertionError` if it does not conform."""
        method, called = response.request.method, response.request.url.path.rstrip("/")  # hosts ignore it
        path = next((path for path, pattern in self._paths.items() if pattern.fullmatch(called)), "")
        operation = self.document["paths"].get(path, {}).get(method.lower())
        if operation is None:
            return
        response.read()
        status = str(response.status_code)
        try:
            reason = self._violation(operation, (path, method.lower(), status), response)
        except Exception as error:  # noqa: BLE001 - a document that cannot be read fails the check too
            reason = f"{type(error).__name__}: {error}"
        if reason:
            raise AssertionError(f"{method} {called} returned {status}, which is not as described: {reason}")
        counted = (str(operation["operationId"]), status)
        self.checked[counted] = self.checked.get(counted, 0) + 1

    def _violation(self, operation: Mapping[str, Any], place: tuple[str, str, str], response: httpx.Response) -> str:
        described = operation["responses"].get(place[2])
        if described is None:
            return f"only {', '.join(operation['responses'])}"
        return _header_violation(described, response) or self._content_violation(described, place, response)

    def _content_violation(
        self, described: Mapping[str, Any], place: tuple[str, str, str], response: httpx.Response
    ) -> str:
        contents = described.get("content", {})
        content_type = response.headers.get("content-type", "")
        media = re.sub(r"^(text/[^;]+); charset=utf-8$", r"\1", content_type)
        if not contents and not content_type and not response.content:
            return ""
        if media not in contents or (response.status_code >= 400) != (media == "application/problem+json"):
            return f"content type {content_type}, described are {[*contents]}"
        if response.status_code < 400 and len(response.content) > BODY_BYTES_MAX:
            return ""
        is_json = media.endswith(("/json", "+json"))
        if not is_json and "schema" not in contents[media]:  # binary
            return "" if response.content else "no content"
        body = orjson.loads(response.content) if is_json else response.content.decode()
        errors = self._validator(*place, media).iter_errors(body)
        return "; ".join(f"/{'/'.join(map(str, error.instance_path))}: {error.message[:300]}" for error in errors)

    def _make_validator(self, path: str, method: str, status: str, media: str) -> Draft202012Validator:
        content = self.document["paths"][path][method]["responses"][status]["content"][media]
        schemas = _closed(self.document["components"]["schemas"])
        rules = [_closed(content.get("schema", {}))]
        if status >= "400":
            schemas["Problem"] = _closed_problem(schemas["Problem"], schemas["Violation"], content["schema"])
            rules.append({"properties": {"status": {"const": int(status)}, "title": {"const": TITLES[int(status)]}}})
        return validator({"components": {"schemas": schemas}}, {"allOf": rules})


def _header_violation(described: Mapping[str, Any], response: httpx.Response) -> str:
    headers = described.get("headers", {})
    for name, header in headers.items():
        given = response.headers.get(name)
        if given is None and header.get("required"):
            return f"no header {name}"
        value = int(given) if header["schema"].get("type") == "integer" and str(given).isdecimal() else given
        if given is not None and not Draft202012Validator(header["schema"]).is_valid(value):
            return f"{name}: {given}"
    unknown = set(response.headers) - {name.lower() for name in headers} - _HEADERS
    return f"undescribed headers {', '.join(sorted(unknown))}" if unknown else ""
