"""The OpenAPI document, and how tests read and use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import httpx

import settings
from api import SERVICES, load_services, points
from api.http.openapi import build_document
from api.http.requests import Request
from api.http.service import Endpoint
from api.users import bulk_schemas as bulk
from api.users import history_schemas as history
from api.users import list_schemas as lists
from api.users import schemas as users
from tests.conformance import follow

Document = dict[str, Any]

UNKNOWN_ID: Final = "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"
MODELS: Final[dict[str, type[Request]]] = {
    "create_user": users.CreateUser,
    "get_users": lists.GetUsers,
    "delete_user": users.DeleteUser,
    "update_user": users.UpdateUser,
    "create_users": bulk.CreateUsers,
    "get_users_masked": lists.GetUsers,
    "get_user_history": history.GetUserHistory,
    "get_changes": history.GetChanges,
    "add_transaction": points.AddTransaction,
    "spend": points.Spend,
}


def endpoints_of(*services: str) -> list[Endpoint]:
    """The endpoints of these services, with the settings of the tests."""
    configured = settings.current()
    return [endpoint for service in load_services(services) for endpoint in service.build(configured).endpoints]


def document_of(*services: str) -> Document:
    """The document of these services."""
    return build_document(endpoints_of(*services))


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The path, the method and the content of every operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


DOCUMENT: Final = document_of("users", "points")
WHOLE: Final = document_of(*SERVICES)
"""The document of every service."""
ENDPOINTS: Final = {endpoint.name: endpoint for endpoint in endpoints_of("users", "points")}
OPERATIONS: Final = {operation["operationId"]: (path, method) for path, method, operation in operations(DOCUMENT)}
EXAMPLES: Final = [
    (operation["operationId"], key)
    for _, _, operation in operations(DOCUMENT)
    for key in operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
]


def operation_of(name: str) -> dict[str, Any]:
    """The operation with this id."""
    path, method = OPERATIONS[name]
    operation: dict[str, Any] = DOCUMENT["paths"][path][method]
    return operation


def body_schema(name: str) -> dict[str, Any]:
    """The schema of an operation's body."""
    schema: dict[str, Any] = follow(
        DOCUMENT, operation_of(name)["requestBody"]["content"]["application/json"]["schema"]
    )
    return schema


def fields_of(name: str) -> dict[str, Any]:
    """The schemas of a body's fields by their pointers, those of an inner object included."""
    fields = {}
    for key, schema in body_schema(name)["properties"].items():
        fields[f"/{key}"] = follow(DOCUMENT, schema)
        for inner_key, inner in fields[f"/{key}"].get("properties", {}).items():
            fields[f"/{key}/{inner_key}"] = follow(DOCUMENT, inner)
    return fields


def example(name: str, key: str) -> tuple[str, Any]:
    """The title and the body of an example."""
    found = operation_of(name)["requestBody"]["content"]["application/json"]["examples"][key]
    return found["summary"], found["value"]


def call(api: Any, name: str, body: Any = None) -> httpx.Response:
    """The response of an operation."""
    path, method = OPERATIONS[name]
    response: httpx.Response = api.client.request(method.upper(), path, json=body)
    return response


def nodes(node: Any, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON object below a node with its path; what examples and links hold is data."""
    if isinstance(node, dict):
        yield path, node
        for key, inner in node.items():
            if key not in ("examples", "links"):
                yield from nodes(inner, f"{path}/{key}")
    elif isinstance(node, list):
        for position, inner in enumerate(node):
            yield from nodes(inner, f"{path}/{position}")


def referred_schemas(node: Any) -> set[str]:
    """The names of the schemas that a node refers to, directly or through others."""
    found: set[str] = set()
    left = [node]
    while left:
        names = {inner["$ref"].rpartition("/")[2] for _, inner in nodes(left.pop()) if "$ref" in inner} - found
        found |= names
        left += [DOCUMENT["components"]["schemas"][name] for name in names]
    return found
