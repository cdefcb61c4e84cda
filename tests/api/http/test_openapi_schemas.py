"""The schemas of the OpenAPI document come only from the models of requests and responses."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Final, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from api import points
from api.http.cursors import encode_cursor
from api.http.problems import Problem
from api.users import bulk_schemas as bulk
from api.users import history_schemas as history
from api.users import list_schemas as lists
from api.users import schemas as users
from domain import points as points_domain
from tests.conformance import follow, validator
from tests.support.openapi import (
    DOCUMENT,
    ENDPOINTS,
    MODELS,
    OPERATIONS,
    UNKNOWN_ID,
    body_schema,
    call,
    document_of,
    fields_of,
    nodes,
    operation_of,
    referred_schemas,
)

EARLY: Final = "2000-01-01T00:00:00Z"
CURSOR: Final = base64.urlsafe_b64encode(b'["2026-01-01T00:00:00.000000Z",1]').decode()
HISTORY_CURSOR: Final = encode_cursor(UNKNOWN_ID, "2026-01-01T00:00:00.000000Z")
SCALARS: Final = {str: "string", int: "integer", bool: "boolean", type(None): "null"}
RESPONSES: Final[dict[tuple[str, str], Any]] = {
    ("create_user", "201"): users.CreatedUser,
    ("create_user", "200"): users.CheckedUser,
    ("get_users", "200"): lists.UserPage,
    ("get_users_masked", "200"): lists.MaskedUserPage,
    ("delete_user", "200"): users.DeletedUser,
    ("update_user", "200"): users.UpdatedUsers,
    ("update_user", "207"): users.UpdatedUsers,
    ("create_users", "201"): bulk.CreatedUsers,
    ("create_users", "200"): bulk.CheckedUsers,
    ("get_user_history", "200"): history.UserHistory,
    ("get_changes", "200"): history.Changes,
    ("add_transaction", "201"): points.Transaction,
    ("spend", "200"): list[points_domain.Payment],
    ("balance", "200"): dict[str, points_domain.Int64],
    ("flush_db", "200"): points.FlushedLedger,
}

each_request = pytest.mark.parametrize("name", MODELS)


def test_every_request_and_every_success_is_in_the_tables_of_these_tests() -> None:
    assert {name for name in OPERATIONS if "requestBody" in operation_of(name)} == set(MODELS)
    successes = {(name, status) for name in OPERATIONS for status in operation_of(name)["responses"] if status < "400"}
    assert successes == set(RESPONSES)


def test_every_success_has_its_own_description() -> None:
    descriptions = [operation_of(name)["responses"][status]["description"] for name, status in RESPONSES]
    assert all(descriptions)
    assert len(set(descriptions)) == len(descriptions)


# ---- requests


def _check_request(schema: Mapping[str, Any], model: type[BaseModel]) -> None:
    fields = model.model_fields
    assert set(schema["properties"]) == set(fields)
    assert set(schema.get("required", ())) == {key for key, field in fields.items() if field.is_required()}
    assert schema["additionalProperties"] is False
    for key, field in fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            _check_request(follow(DOCUMENT, schema["properties"][key]), field.annotation)


@each_request
def test_the_schema_of_a_request_has_the_fields_of_its_model(name: str) -> None:
    assert ENDPOINTS[name].body is MODELS[name]
    _check_request(body_schema(name), MODELS[name])


@each_request
def test_a_body_is_required_where_a_call_without_one_is_a_400(api: Any, name: str) -> None:
    response = call(api, name)
    assert operation_of(name)["requestBody"]["required"] == (response.status_code == 400)
    assert response.status_code in (200, 400)


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("delete_user", {}, "one-key-required"),
        ("delete_user", {"mob_num": "9876543210"}, ""),
        ("delete_user", {"user_id": UNKNOWN_ID}, ""),
        ("delete_user", {"user_id": UNKNOWN_ID, "mob_num": "9876543210"}, "one-key-required"),
        ("update_user", {"user_ids": [UNKNOWN_ID], "update_data": {}}, "update-data-empty"),
        ("update_user", {"user_ids": [UNKNOWN_ID], "update_data": {"full_name": "Asha"}}, ""),
        ("get_users", {}, ""),
        ("get_users", {"limit": 1}, ""),
        ("get_users", {"limit": 1, "cursor": CURSOR}, ""),
        ("get_users", {"cursor": CURSOR}, "missing-key"),
        ("get_users", {"as_of": EARLY, "is_active": True}, "not-with-as-of"),
        ("get_users", {"as_of": EARLY, "user_ids": [UNKNOWN_ID]}, "not-with-as-of"),
        ("get_users_masked", {"as_of": EARLY, "mob_nums": ["9876543210"]}, "not-with-as-of"),
        ("get_user_history", {"limit": 1}, "one-key-required"),
        ("get_user_history", {"user_id": UNKNOWN_ID, "limit": 1}, ""),
        ("get_user_history", {"user_id": UNKNOWN_ID, "mob_num": "9876543210"}, "one-key-required"),
        ("get_user_history", {"user_id": UNKNOWN_ID, "cursor": HISTORY_CURSOR}, "missing-key"),
    ],
)
def test_keys_that_require_or_exclude_each_other_are_described(api: Any, name: str, body: Any, code: str) -> None:
    schema = body_schema(name)
    assert validator(DOCUMENT, schema).is_valid(body) == (not code)
    response = call(api, name, body)
    assert [error["code"] for error in response.json().get("errors", ()) if response.status_code == 400] == (
        [code] if code else []
    )
    texts = [schema["description"], *(field.get("description", "") for field in fields_of(name).values())]
    assert code in ("", "missing-key") or any(f"(else {code})" in text for text in texts)


# ---- responses


def _described(annotation: Any) -> dict[str, Any]:
    if isinstance(annotation, FieldInfo):
        return {"description": annotation.description, **annotation.json_schema_extra}  # type: ignore[dict-item]
    return {"format": annotation}


def _schema_of(kind: Any) -> dict[str, Any]:
    """The schema of a type of responses, without references."""
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        return {**_schema_of(arguments[0]), **_described(arguments[1])}
    if get_origin(kind) in (Union, UnionType):
        return {"anyOf": [_schema_of(argument) for argument in arguments]}
    if get_origin(kind) is list:
        return {"type": "array", "items": _schema_of(*arguments)}
    if get_origin(kind) is dict:
        assert arguments[0] is str
        return {"type": "object", "additionalProperties": _schema_of(arguments[1])}
    if get_origin(kind) is Literal or kind in SCALARS:
        return {"type": "string", "enum": [*arguments]} if arguments else {"type": SCALARS[kind]}
    described = {"title": kind.__name__, "description": " ".join(kind.__doc__.split())}
    return described | ({"type": "string", "enum": [*kind]} if issubclass(kind, StrEnum) else _object_of(kind))


def _object_of(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    optional = {key: get_args(hint)[0] for key, hint in hints.items() if get_origin(hint) is NotRequired}
    return {
        "type": "object",
        "properties": {key: _schema_of(hint) for key, hint in {**hints, **optional}.items()},
        "required": [key for key in hints if key not in optional],
    }


def _without_references(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_references(inner) for key, inner in follow(DOCUMENT, node).items()}
    return [_without_references(inner) for inner in node] if isinstance(node, list) else node


@pytest.mark.parametrize(("name", "status"), RESPONSES)
def test_the_schema_of_a_success_is_that_of_its_type(name: str, status: str) -> None:
    content = operation_of(name)["responses"][status]["content"]
    assert [*content] == ["application/json"]
    assert _without_references(content["application/json"]["schema"]) == _schema_of(RESPONSES[name, status])


def test_the_schema_of_a_problem_is_that_of_its_type() -> None:
    assert _without_references({"$ref": "#/components/schemas/Problem"}) == _schema_of(Problem)


def test_requests_are_closed_and_responses_may_get_more_keys() -> None:
    described = [operation_of(name) for name in OPERATIONS]
    requests = referred_schemas([operation.get("requestBody") for operation in described])
    responses = referred_schemas([operation["responses"] for operation in described])
    assert requests.isdisjoint(responses)
    schemas = DOCUMENT["components"]["schemas"]
    closed = {name for name, schema in schemas.items() if schema.get("additionalProperties") is False}
    assert closed == requests
    for path, node in nodes([schemas[name] for name in responses]):
        assert not node.keys() & {"additionalProperties", "unevaluatedProperties", "maxProperties"}, path


RECORD: Final = {"created_at": "date-time", "manager_id": "uuid", "updated_at": "date-time", "user_id": "uuid"}


def test_the_formats_of_responses_are_described() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    responses = sorted(referred_schemas([operation_of(name)["responses"] for name in OPERATIONS]))
    formats = {
        f"{name}.{key}": kind
        for name in responses
        for key, field in schemas[name].get("properties", {}).items()
        for _, node in nodes(field)
        if (kind := node.get("format"))
    }
    assert formats == {
        "CreatedUser.user_id": "uuid",
        "DeletedUser.user_id": "uuid",
        "NewUserValues.manager_id": "uuid",
        **{f"MaskedUser.{key}": kind for key, kind in RECORD.items()},
        "FeedChange.changed_at": "date-time",
        "FeedChange.user_id": "uuid",
        "Payment.points": "int64",
        "Transaction.id": "uuid",
        "Transaction.points": "int64",
        "Transaction.timestamp": "date-time",
        "UpdateResult.user_id": "uuid",
        "UpdatedUsers.not_found": "uuid",
        "UpdatedUsers.unchanged": "uuid",
        "UpdatedUsers.updated": "uuid",
        "UserChange.changed_at": "date-time",
        "UserChange.manager_id": "uuid",
        "UserHistory.user_id": "uuid",
        **{f"UserRecord.{key}": kind for key, kind in RECORD.items()},
    }


def test_no_schema_has_a_default_of_null() -> None:
    assert [path for path, node in nodes(DOCUMENT) if "default" in node and node["default"] is None] == []


@pytest.mark.parametrize("services", [("users",), ("points",), ("users", "points")])
def test_the_components_are_those_that_an_operation_refers_to(services: tuple[str, ...]) -> None:
    document = document_of(*services)
    assert set(document["components"]["schemas"]) == referred_schemas(document["paths"])
