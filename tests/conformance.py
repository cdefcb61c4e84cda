"""Whether an answer is one that the API's description promises: its status, its code, its headers and its body."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

import httpx
import orjson
from api.http.problems import TITLES
from jsonschema_rs import Draft202012Validator

BODY_BYTES_MAX: Final = 300_000
"""Of a larger success no body is looked at: its many records are like those of a small one."""

MEMBERS: Final = {"/problems/bulk-update-keys": "extra_keys", "/problems/users-not-found": "not_found"}
"""The problems that have a member of their own, a list of texts, which the description leaves out."""


def follow(document: Mapping[str, Any], node: Any) -> Any:
    """What a node of the document stands for: itself, or what it refers to."""
    while "$ref" in node:
        target: Any = document
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def validator(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Draft202012Validator:
    """A validator of a schema that stands in the document."""
    return Draft202012Validator({**schema, "components": document["components"]}, validate_formats=True)


def _closed(node: Any) -> Any:
    """A schema whose objects have no key that it does not name: the description lets answers get more, later."""
    if isinstance(node, dict):
        closed = {key: _closed(inner) for key, inner in node.items()}
        return {"additionalProperties": False, **closed} if node.get("type") == "object" else closed
    return [_closed(inner) for inner in node] if isinstance(node, list) else node


def _with_members(problem: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a problem, with the member of its own that a code has, and no other code."""
    texts = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    rules = [
        {
            "if": {"properties": {"type": {"const": kind}}},
            "then": {"required": [member]},
            "else": {"properties": {member: False}},
        }
        for kind, member in MEMBERS.items()
    ]
    return {
        **problem,
        "properties": {**problem["properties"], **dict.fromkeys(MEMBERS.values(), texts)},
        "allOf": rules,
    }


class Conformance:
    """Checks answers against a description, and that they have nothing else.

    An answer of what the description does not have is not looked at.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.checked: dict[tuple[str, str], int] = {}
        """How many answers were checked, by operation and status."""
        self._validator = functools.cache(self._make_validator)

    def check(self, response: httpx.Response) -> None:
        """Raises AssertionError where the answer is not one of those described. Reads the body."""
        method, path = response.request.method, response.request.url.path
        operation = self.document["paths"].get(path, {}).get(method.lower())
        if operation is None:
            return
        response.read()
        status = str(response.status_code)
        try:
            reason = self._violation(operation, path, method.lower(), response)
        except Exception as error:  # noqa: BLE001 - a description that cannot be read is told as one that is broken
            reason = f"{type(error).__name__}: {error}"
        if reason:
            raise AssertionError(f"{method} {path} answered {status}, and the description says otherwise: {reason}")
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
        schemas["Problem"] = _with_members(schemas["Problem"])
        rules = [_closed(content["schema"])]
        if status >= "400":
            rules.append({"properties": {"status": {"const": int(status)}, "title": {"const": TITLES[int(status)]}}})
        return validator({"components": {"schemas": schemas}}, {"allOf": rules})
