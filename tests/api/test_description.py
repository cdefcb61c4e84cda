"""The description: one source with what reads the requests and types the answers, and examples that work."""

from __future__ import annotations

import ast
import base64
import copy
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, NotRequired, Union, get_args, get_origin, get_type_hints

import azure.functions as func
import httpx
import jsonschema_rs
import pytest
from api.description import describe, described, description_of
from api.problems import TITLES, Problem
from azure.functions.decorators.function_app import Function
from azure.functions.decorators.http import HttpTrigger
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

import api
from api import BLUEPRINTS, points, users
from api.http import Answer, Request, endpoint_without_body
from domain import points as points_domain
from domain import users as users_domain
from domain.errors import InvalidError
from tests.conformance import follow, validator

PROJECT: Final = Path(__file__).resolve().parents[2]

Document = dict[str, Any]


def _describe(*services: str) -> Document:
    return describe([import_module(BLUEPRINTS[service]).blueprint for service in services])


def _functions(*services: str) -> dict[str, Function]:
    app = func.FunctionApp()
    for service in services:
        app.register_functions(import_module(BLUEPRINTS[service]).blueprint)
    return {str(function.get_function_name()): function for function in app.get_functions()}


BOTH: Final = _describe("users", "points")
FUNCTIONS: Final = _functions("users", "points")


def _operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


NOBODY: Final = "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"
CURSOR: Final = base64.urlsafe_b64encode(b'["2026-01-01T00:00:00.000000Z",1]').decode()
SCALARS: Final = {str: "string", int: "integer", bool: "boolean", type(None): "null"}
OPERATIONS: Final = {operation["operationId"]: (path, method) for path, method, operation in _operations(BOTH)}
EXAMPLES: Final = [
    (operation["operationId"], key)
    for _, _, operation in _operations(BOTH)
    for key in operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
]
MODELS: Final[dict[str, type[Request]]] = {
    "create_user": users.CreateUser,
    "get_users": users.GetUsers,
    "delete_user": users.DeleteUser,
    "update_user": users.UpdateUser,
    "add_transaction": points.AddTransaction,
    "spend": points.Spend,
}
ANSWERS: Final[dict[tuple[str, str], Any]] = {
    ("create_user", "201"): users.CreatedUser,
    ("get_users", "200"): users.UserPage,
    ("delete_user", "200"): users.DeletedUser,
    ("update_user", "200"): users.UpdatedUsers,
    ("update_user", "207"): users.UpdatedUsers,
    ("add_transaction", "201"): points_domain.Transaction,
    ("spend", "200"): list[points_domain.Payment],
    ("balance", "200"): dict[str, points_domain.Int64],
    ("flush_db", "200"): points.FlushedLedger,
}


def _operation(operation_id: str) -> dict[str, Any]:
    path, method = OPERATIONS[operation_id]
    operation: dict[str, Any] = BOTH["paths"][path][method]
    return operation


def _body_schema(operation_id: str) -> dict[str, Any]:
    schema: dict[str, Any] = follow(
        BOTH, _operation(operation_id)["requestBody"]["content"]["application/json"]["schema"]
    )
    return schema


def _nodes(node: Any, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON object below a node, and where it stands; what the examples and links hold is data."""
    if isinstance(node, dict):
        yield path, node
        for key, inner in node.items():
            if key not in ("examples", "links"):
                yield from _nodes(inner, f"{path}/{key}")
    elif isinstance(node, list):
        for position, inner in enumerate(node):
            yield from _nodes(inner, f"{path}/{position}")


# ---- the document


@pytest.mark.parametrize("services", [(), ("users",), ("points",), ("users", "points")])
def test_the_description_of_whatever_is_enabled_is_valid(services: tuple[str, ...]) -> None:
    document = _describe(*services)
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def _trigger(function: Function) -> tuple[str, str]:
    """The path and the method of a function; one that takes any method is described as a POST."""
    trigger = function.get_trigger()
    assert isinstance(trigger, HttpTrigger)
    methods = [method.value.lower() for method in trigger.methods or (func.HttpMethod.POST,)]
    assert len(methods) == 1
    return f"/{trigger.route}", methods[0]


@pytest.mark.parametrize("services", [("users",), ("points",), ("users", "points"), ("points", "users")])
def test_the_paths_and_methods_are_those_of_the_enabled_services(services: tuple[str, ...]) -> None:
    functions = _functions(*services)
    methods_and_routes = [_trigger(function) for function in functions.values()]
    document = _describe(*services)
    operations = {operation["operationId"]: (path, method) for path, method, operation in _operations(document)}
    assert operations == dict(zip(functions, methods_and_routes, strict=True))
    assert len([*_operations(document)]) == 4 * len(services)


def test_users_alone_are_four_posts() -> None:
    paths = {path: [*methods] for path, methods in _describe("users")["paths"].items()}
    assert paths == {f"/{name}": ["post"] for name in ("create_user", "get_users", "delete_user", "update_user")}


def test_describing_changes_no_function() -> None:
    def bindings() -> list[tuple[str, str]]:
        return [(name, str(function.get_bindings_dict())) for name, function in _functions("users").items()]

    before = bindings()
    _describe("users")
    assert bindings() == before


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    assert BOTH["info"]["version"] == api.__version__ == project["version"]


def test_every_call_asks_for_the_function_key() -> None:
    assert BOTH["security"] == [{"functionKey": []}]
    scheme = BOTH["components"]["securitySchemes"]["functionKey"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "x-functions-key")
    assert not any("security" in operation for _, _, operation in _operations(BOTH))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_named_as_its_function_and_says_what_it_does(name: str) -> None:
    operation = _operation(name)
    handler: Any = FUNCTIONS[name].get_user_function()
    assert operation["operationId"] == handler.__name__ == name
    assert operation["tags"] == [handler.__module__.removeprefix("api.")]
    assert operation["summary"] + "." == handler.__doc__
    assert "401" in operation["responses"]
    assert "content" not in operation["responses"]["401"]  # Azure answers it


def test_operations_are_named_once() -> None:
    assert len(OPERATIONS) == len([*_operations(BOTH)]) == 8


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_refusal_is_a_problem_with_the_codes_that_its_words_name(name: str) -> None:
    for status, response in _operation(name)["responses"].items():
        if status < "400" or status == "401":
            continue
        assert [*response["content"]] == ["application/problem+json"]
        problem, limits = response["content"]["application/problem+json"]["schema"]["allOf"]
        assert problem == {"$ref": "#/components/schemas/Problem"}
        codes = [kind.removeprefix("/problems/") for kind in limits["properties"]["type"]["enum"]]
        assert codes
        assert len(set(codes)) == len(codes)
        kinds = [f"/problems/{code}" for code in codes]
        assert limits == {"properties": {"type": {"type": "string", "enum": kinds}}}
        assert response["description"] == f"{TITLES[int(status)]}: {', '.join(codes)}"
        assert ("Retry-After" in response.get("headers", {})) == (status == "503")


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_answers_what_every_operation_of_its_kind_does(name: str) -> None:
    operation = _operation(name)
    has_body = name in MODELS
    assert ("requestBody" in operation) == has_body
    assert ("parameters" in operation) == (name in ("add_transaction", "spend"))
    statuses = {status for status in operation["responses"] if status >= "400"}
    assert statuses >= {"401", "409", "500", "503"} | ({"400", "411", "413"} if has_body else set())
    unavailable = operation["responses"]["503"]["description"]
    assert ("outcome-unknown" in unavailable) == (name not in ("get_users", "balance"))


@pytest.mark.parametrize(
    ("key", "is_one"),
    [("k", True), ("a b", True), ("x" * 255, True), ("x" * 256, False), ("", False), (" a", False), ("é", False)],
)
def test_the_idempotency_key_is_described_as_it_is_read(key: str, is_one: bool) -> None:
    for name in ("add_transaction", "spend"):
        (parameter,) = _operation(name)["parameters"]
        assert (parameter["name"], parameter["in"], parameter["required"]) == ("Idempotency-Key", "header", False)
        assert jsonschema_rs.is_valid(parameter["schema"], key) == is_one


# ---- schemas: from the models, and from nothing else


def test_every_request_and_every_answer_is_known_here() -> None:
    assert {name for name in OPERATIONS if "requestBody" in _operation(name)} == set(MODELS)
    answers = {(name, status) for name in OPERATIONS for status in _operation(name)["responses"] if status < "400"}
    assert answers == set(ANSWERS)


def test_every_success_has_words_of_its_own() -> None:
    words = [_operation(name)["responses"][status]["description"] for name, status in ANSWERS]
    assert all(words)
    assert len(set(words)) == len(words)


def _check_request(schema: Mapping[str, Any], model: type[BaseModel]) -> None:
    fields = model.model_fields
    assert set(schema["properties"]) == set(fields)
    assert set(schema.get("required", ())) == {key for key, field in fields.items() if field.is_required()}
    assert schema["additionalProperties"] is False
    for key, field in fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            _check_request(follow(BOTH, schema["properties"][key]), field.annotation)


@pytest.mark.parametrize("name", MODELS)
def test_the_schema_of_a_request_has_the_fields_of_the_model_that_reads_it(name: str) -> None:
    handler: Any = FUNCTIONS[name].get_user_function()
    assert handler.request_model is MODELS[name]
    _check_request(_body_schema(name), MODELS[name])


@pytest.mark.parametrize("name", MODELS)
def test_a_body_is_required_where_none_is_refused(api: Any, name: str) -> None:
    response = _call(api, name)
    assert _operation(name)["requestBody"]["required"] == (response.status_code == 400)
    assert response.status_code in (200, 400)


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("delete_user", {}, "one-key-required"),
        ("delete_user", {"mob_num": "9876543210"}, ""),
        ("delete_user", {"user_id": NOBODY}, ""),
        ("delete_user", {"user_id": NOBODY, "mob_num": "9876543210"}, "one-key-required"),
        ("update_user", {"user_ids": [NOBODY], "update_data": {}}, "update-data-empty"),
        ("update_user", {"user_ids": [NOBODY], "update_data": {"full_name": "Asha"}}, ""),
        ("get_users", {}, ""),
        ("get_users", {"limit": 1}, ""),
        ("get_users", {"limit": 1, "cursor": CURSOR}, ""),
        ("get_users", {"cursor": CURSOR}, "missing-key"),
    ],
)
def test_keys_that_come_or_stay_away_together_are_described(api: Any, name: str, body: Any, code: str) -> None:
    schema = _body_schema(name)
    assert validator(BOTH, schema).is_valid(body) == (not code)
    response = _call(api, name, body)
    assert [error["code"] for error in response.json().get("errors", ()) if response.status_code == 400] == (
        [code] if code else []
    )
    words = [schema["description"], *(follow(BOTH, field).get("description", "") for field in _fields(name).values())]
    assert code in ("", "missing-key") or any(f"(refused as {code})" in text for text in words)


def _fields(name: str) -> dict[str, Any]:
    """The schemas of a body's fields by their pointers, those of an inner object among them."""
    fields = {}
    for key, schema in _body_schema(name)["properties"].items():
        fields[f"/{key}"] = follow(BOTH, schema)
        for inner_key, inner in fields[f"/{key}"].get("properties", {}).items():
            fields[f"/{key}/{inner_key}"] = follow(BOTH, inner)
    return fields


def _schema_of(kind: Any) -> dict[str, Any]:
    """The schema of a type of answers, in which nothing is referred to."""
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        return {**_schema_of(arguments[0]), "format": arguments[1]}
    if get_origin(kind) in (Union, UnionType):
        return {"anyOf": [_schema_of(argument) for argument in arguments]}
    if get_origin(kind) is list:
        return {"type": "array", "items": _schema_of(*arguments)}
    if get_origin(kind) is dict:
        assert arguments[0] is str
        return {"type": "object", "additionalProperties": _schema_of(arguments[1])}
    if kind in SCALARS:
        return {"type": SCALARS[kind]}
    hints = get_type_hints(kind, include_extras=True)
    optional = {key: get_args(hint)[0] for key, hint in hints.items() if get_origin(hint) is NotRequired}
    return {
        "title": kind.__name__,
        "description": re.sub(r"\s+", " ", kind.__doc__),
        "type": "object",
        "properties": {key: _schema_of(hint) for key, hint in {**hints, **optional}.items()},
        "required": [key for key in hints if key not in optional],
    }


def _written_out(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _written_out(inner) for key, inner in follow(BOTH, node).items()}
    return [_written_out(inner) for inner in node] if isinstance(node, list) else node


@pytest.mark.parametrize(("name", "status"), ANSWERS)
def test_the_schema_of_an_answer_is_that_of_its_type_and_lets_it_grow(name: str, status: str) -> None:
    content = _operation(name)["responses"][status]["content"]
    assert [*content] == ["application/json"]
    assert _written_out(content["application/json"]["schema"]) == _schema_of(ANSWERS[name, status])


def test_the_schema_of_a_problem_is_that_of_its_type_and_lets_it_grow() -> None:
    assert _written_out({"$ref": "#/components/schemas/Problem"}) == _schema_of(Problem)


def _refers_to(node: Any) -> set[str]:
    """The names of the schemas that a node refers to, and so on."""
    found: set[str] = set()
    left = [node]
    while left:
        names = {inner["$ref"].rpartition("/")[2] for _, inner in _nodes(left.pop()) if "$ref" in inner} - found
        found |= names
        left += [BOTH["components"]["schemas"][name] for name in names]
    return found


def test_no_request_takes_a_key_that_is_not_named_and_every_answer_may_get_more() -> None:
    operations = [_operation(name) for name in OPERATIONS]
    requests = _refers_to([operation.get("requestBody") for operation in operations])
    answers = _refers_to([operation["responses"] for operation in operations])
    assert requests.isdisjoint(answers)
    schemas = BOTH["components"]["schemas"]
    closed = {name for name, schema in schemas.items() if schema.get("additionalProperties") is False}
    assert closed == requests
    for path, node in _nodes([schemas[name] for name in answers]):
        assert not node.keys() & {"additionalProperties", "unevaluatedProperties", "maxProperties"}, path


def test_formats_of_answers_are_told() -> None:
    schemas = BOTH["components"]["schemas"]
    answers = sorted(_refers_to([_operation(name)["responses"] for name in OPERATIONS]))
    formats = {
        f"{name}.{key}": kind
        for name in answers
        for key, field in schemas[name]["properties"].items()
        for _, node in _nodes(field)
        if (kind := node.get("format"))
    }
    assert formats == {
        "CreatedUser.user_id": "uuid",
        "DeletedUser.user_id": "uuid",
        "Payment.points": "int64",
        "Transaction.id": "uuid",
        "Transaction.points": "int64",
        "Transaction.timestamp": "date-time",
        "UpdatedUsers.not_found": "uuid",
        "UpdatedUsers.unchanged": "uuid",
        "UpdatedUsers.updated": "uuid",
        "UserRecord.created_at": "date-time",
        "UserRecord.manager_id": "uuid",
        "UserRecord.updated_at": "date-time",
        "UserRecord.user_id": "uuid",
    }


def test_no_schema_has_a_default_of_null() -> None:
    assert [path for path, node in _nodes(BOTH) if "default" in node and node["default"] is None] == []


@pytest.mark.parametrize("services", [("users",), ("points",), ("users", "points")])
def test_the_schemas_are_those_that_an_operation_refers_to(services: tuple[str, ...]) -> None:
    document = _describe(*services)
    assert set(document["components"]["schemas"]) == _refers_to(document["paths"])


# ---- codes: those that are named are those that come


def _codes_named(schema: Mapping[str, Any]) -> set[str]:
    words = [node.get("description", "") for _, node in _nodes(schema)]
    return {code for text in words for told in re.findall(r"Refused as (.+)$", text) for code in told.split(", ")}


def _codes_that_parsing_raises() -> set[str]:
    """The codes that stand in the domain's parse functions."""
    return {
        node.args[0].value
        for module in (users_domain, points_domain)
        for function in ast.parse(inspect.getsource(module)).body
        if isinstance(function, ast.FunctionDef) and function.name.startswith("parse_")
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "InvalidError"
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    }


BAD_VALUES: Final[list[Any]] = [
    *(None, True, 0, -1, 1.5, 2**63, -(2**63), {}, {"unknown": 1}),
    *("", " ", "x", "x" * 201, "a\nb", "12345", "ABCDE1234", "ABCXE1234F", "2020-10-31", "W10="),
    *([], ["x"], [1], [NOBODY] * 10_001),
]
FIELDS: Final = [(name, pointer) for name in MODELS for pointer in _fields(name) if pointer != "/update_data"]
OF_ANY_FIELD: Final = {"missing-key", "unknown-key", "wrong-type", "out-of-range"}


def _codes_answered(call: Callable[[str, Any], httpx.Response], name: str, pointer: str) -> frozenset[str]:
    """The codes with which bad values of a field are refused."""
    *outer, key = pointer.split("/")[1:]
    codes = set()
    for value in BAD_VALUES:
        body: dict[str, Any] = {"limit": 1} if name == "get_users" else copy.deepcopy(_example(name, "example1")[1])
        (body[outer[0]] if outer else body)[key] = value
        response = call(name, body)
        if response.status_code == 400:
            codes |= {
                error["code"]
                for error in response.json()["errors"]
                if error["pointer"] == pointer or error["pointer"].startswith(f"{pointer}/")
            }
    return frozenset(codes)


@pytest.mark.parametrize(("name", "pointer"), FIELDS)
def test_the_codes_that_a_field_names_are_those_with_which_it_is_refused(api: Any, name: str, pointer: str) -> None:
    codes = _codes_answered(partial(_call, api), name, pointer)
    assert "wrong-type" in codes or pointer == "/cursor"
    assert codes - OF_ANY_FIELD == _codes_named(_fields(name)[pointer])


def test_the_codes_of_any_field_are_introduced() -> None:
    introduced = re.findall(r"`([a-z]+-[a-z-]+)`", BOTH["info"]["description"])
    assert set(introduced) == {"body-invalid", *OF_ANY_FIELD}


def test_every_code_that_parsing_raises_is_named_by_a_field() -> None:
    named = {code for name, pointer in FIELDS for code in _codes_named(_fields(name)[pointer])}
    raised = _codes_that_parsing_raises()
    assert len(raised) > len(OF_ANY_FIELD)
    # For user-ids-invalid a caller gets the codes of the entries.
    assert named == (raised | {"cursor-invalid"}) - OF_ANY_FIELD - {"user-ids-invalid"}


# ---- patterns: whatever is accepted matches


def _field(name: str, key: str) -> Callable[[object], bool]:
    """Whether a value satisfies the schema of a field."""
    schema = follow(BOTH, _body_schema(name))["properties"][key]
    return validator(BOTH, schema).is_valid


def _accepts(parse: Callable[[object], object], value: object) -> bool:
    try:
        parse(value)
    except InvalidError:
        return False
    return True


_in_mob_num: Final = _field("create_user", "mob_num")
_in_pan_num: Final = _field("create_user", "pan_num")
_in_uuid: Final = _field("delete_user", "user_id")

# Made of pieces of what is right, so that many are accepted and those that are not miss it by little.
mob_nums = st.lists(
    st.sampled_from(["+91", "+", "9", "1", "0", "5", "6", "98765", "43210", "9876543210", " ", "-", "\n", "\t", "९"]),
    max_size=14,
).map("".join)
spaced_mob_nums = st.tuples(
    st.sampled_from(["", " ", "-", "\n"]),
    st.sampled_from(["", "+91", "0", "91", "+ 9-1", "+0", "+-91", "00"]),
    st.lists(st.sampled_from(["", "", " ", "-", " - "]), min_size=10, max_size=10),
    st.from_regex(r"[5-9][0-9]{9}", fullmatch=True),
    st.sampled_from(["", " ", "-", "\n", "1"]),
).map(lambda parts: parts[0] + parts[1] + "".join(map("".join, zip(parts[2], parts[3], strict=True))) + parts[4])
pan_nums = st.one_of(
    st.text(st.sampled_from("ABPXapx12 \nß"), max_size=12),
    st.from_regex(r" {0,2}[A-Za-z]{5}[0-9]{4}[A-Za-zſK]( {0,2}|\n)", fullmatch=True),
)
uuids = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda value: str(value).upper()),
    st.uuids().map(lambda value: value.hex),
    st.uuids().map(lambda value: f"{value}\n"),
    st.from_regex(r"[0-9a-gA-F]{8}(-[0-9a-f]{3,5}){3}-[0-9a-f]{12} ?", fullmatch=True),
)


@given(value=mob_nums | spaced_mob_nums)
def test_a_mob_num_matches_its_pattern_where_it_is_accepted_and_nowhere_else(value: str) -> None:
    assert _in_mob_num(value) == _accepts(users_domain.parse_mob_num, value)


@given(value=pan_nums)
def test_a_pan_num_matches_its_pattern_where_it_is_accepted_and_nowhere_else(value: str) -> None:
    assert _in_pan_num(value) == _accepts(users_domain.parse_pan_num, value)


@given(value=uuids)
def test_a_uuid_matches_its_pattern_where_it_is_accepted_and_nowhere_else(value: str) -> None:
    assert _in_uuid(value) == _accepts(users_domain.parse_uuid, value)


@pytest.mark.parametrize(
    ("value", "parse", "matches"),
    [
        ("+91 98765-43210", users_domain.parse_mob_num, _in_mob_num),
        (" 09876543210 ", users_domain.parse_mob_num, _in_mob_num),
        ("abcpe1234f ", users_domain.parse_pan_num, _in_pan_num),
        ("7F3D1C1E-9A4B-4D0E-8A52-3F1B2C4D5E6F", users_domain.parse_uuid, _in_uuid),
    ],
)
def test_spellings_that_are_accepted_match(
    value: str, parse: Callable[[object], object], matches: Callable[[object], bool]
) -> None:
    assert _accepts(parse, value)
    assert matches(value)


NAMES = st.text(max_size=4) | st.integers(198, 205).map(lambda count: " " + "x" * (count - 4) + " ")
INTEGERS = st.integers(-3, 3) | st.sampled_from([side * 2**63 + near for side in (-1, 1) for near in (-1, 0, 1)])
TIMESTAMPS = st.datetimes(timezones=st.timezones()).map(lambda value: value.isoformat()) | st.sampled_from(
    ["2020-10-31T10:00:00Z", "2020-10-31t10:00:00z", "2020-10-31T10:00:00.123456789+05:30", "2020-10-31T10:00:00"]
)


@pytest.mark.parametrize(
    ("name", "key", "parse", "values"),
    [
        ("create_user", "full_name", users_domain.parse_full_name, NAMES),
        ("add_transaction", "payer", points_domain.parse_payer, NAMES),
        ("add_transaction", "points", points_domain.parse_points, INTEGERS),
        ("spend", "points", points_domain.parse_points_to_spend, INTEGERS),
        ("add_transaction", "timestamp", points_domain.parse_timestamp, TIMESTAMPS),
        ("update_user", "user_ids", users_domain.parse_user_ids, st.lists(uuids, max_size=3)),
    ],
)
def test_whatever_is_accepted_satisfies_the_schema_of_its_field(
    name: str, key: str, parse: Callable[[object], object], values: st.SearchStrategy[object]
) -> None:
    satisfies = _field(name, key)
    seen = set()

    @given(value=values)
    def check(value: object) -> None:
        accepted = _accepts(parse, value)
        seen.add(accepted)
        assert satisfies(value) or not accepted
        if isinstance(value, int):
            assert satisfies(value) == accepted

    check()
    assert seen == {True, False}


def _written(file: Path, holder_check: str) -> bytes:
    """What `python -m devhost.openapi` writes."""
    done = subprocess.run(
        [sys.executable, "-m", "devhost.openapi", str(file)],
        cwd=PROJECT,
        env={**os.environ, "PAN_HOLDER_CHECK": holder_check},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{file}: {len(OPERATIONS)} paths\n"
    return file.read_bytes()


def test_the_pattern_of_a_pan_follows_the_setting(tmp_path: Path) -> None:
    schemas = json.loads(_written(tmp_path / "openapi.json", "off"))["components"]["schemas"]
    for schema in ("CreateUser", "UpdateData"):
        in_pan_num = partial(jsonschema_rs.is_valid, schemas[schema]["properties"]["pan_num"])
        for pan_num in ("ABCPE1234F", "ABCXE1234F", "abcxe1234f"):  # no holder type is X
            assert in_pan_num(pan_num)
            assert _in_pan_num(pan_num) == ("X" not in pan_num.upper())
        assert not in_pan_num("ABC1E1234F")


# ---- examples and links, called


def _example(name: str, key: str) -> tuple[str, Any]:
    example = _operation(name)["requestBody"]["content"]["application/json"]["examples"][key]
    return example["summary"], example["value"]


def _call(api: Any, name: str, body: Any = None) -> httpx.Response:
    path, method = OPERATIONS[name]
    response: httpx.Response = api.client.request(method.upper(), path, json=body)
    return response


@pytest.mark.parametrize("name", MODELS)
def test_every_request_has_examples_with_titles_of_their_own(name: str) -> None:
    titles = [_example(name, key)[0] for operation_id, key in EXAMPLES if operation_id == name]
    assert titles
    assert len(set(titles)) == len(titles)
    assert [_example(operation_id, key)[1] for operation_id, key in EXAMPLES if operation_id == name] == [
        *MODELS[name].EXAMPLES.values()
    ]


@pytest.mark.parametrize(("name", "key"), EXAMPLES)
def test_an_example_satisfies_its_schema(name: str, key: str) -> None:
    errors = validator(BOTH, _body_schema(name)).iter_errors(_example(name, key)[1])
    assert [error.message for error in errors] == []


def test_the_examples_work_one_after_another_on_a_new_database(api: Any) -> None:
    order = [
        "create_user",
        "get_users",
        "delete_user",
        "update_user",
        "add_transaction",
        "spend",
        "balance",
        "flush_db",
    ]
    assert [*OPERATIONS] == order
    created: list[str] = []
    answers: list[tuple[str, str, int]] = []
    listed: dict[str, int] = {}
    for name in OPERATIONS:
        examples = [_example(name, key) for operation_id, key in EXAMPLES if operation_id == name] or [("", None)]
        for title, body in examples:
            if "put in the user_id that was answered" in title:
                assert name == "update_user"
                # The first is deleted by then, as the example of delete_user says.
                body = {**body, "user_ids": created[-1:]}  # noqa: PLW2901
            response = _call(api, name, body)
            answers.append((name, title, response.status_code))
            if name == "create_user":
                created.append(response.json()["user_id"])
            if name == "get_users":
                listed[title] = len(response.json()["users"])
            if name == "update_user":
                assert response.json()["updated"] == body["user_ids"]
    wrong = [
        answer for answer in answers if answer[2] != {"create_user": 201, "add_transaction": 201}.get(answer[0], 200)
    ]
    assert wrong == []
    assert len(answers) == len(EXAMPLES) + 2
    assert min(listed.values()) >= 1, "an example that finds nothing shows nothing"


@pytest.mark.parametrize(("name", "key"), EXAMPLES)
def test_an_example_says_what_it_comes_after_unless_it_works_alone(api: Any, name: str, key: str) -> None:
    title, body = _example(name, key)
    response = _call(api, name, body)
    after = re.match(r"After (\w+): ", title)
    assert (response.status_code in (404, 409)) == bool(after), response.text
    assert after or response.is_success
    assert not after or after[1] == "that" or f"/{after[1]}" in BOTH["paths"]
    assert ("put in the user_id that was answered" in title) == (name == "update_user")


def _evaluate(expression: Any, answer: Any) -> Any:
    """A link's body for an answer, by the runtime expressions of OpenAPI."""
    if isinstance(expression, dict):
        return {key: _evaluate(inner, answer) for key, inner in expression.items()}
    if isinstance(expression, list):
        return [_evaluate(inner, answer) for inner in expression]
    if isinstance(expression, str) and expression.startswith("$"):
        assert expression.startswith("$response.body#/")
        for key in expression.removeprefix("$response.body#/").split("/"):
            answer = answer[key]
        return answer
    return expression


def _links(name: str) -> dict[str, Any]:
    (success,) = [response for status, response in _operation(name)["responses"].items() if status < "300"]
    links: dict[str, Any] = success.get("links", {})
    return links


LINKS: Final = [
    ("create_user", "get_users"),
    ("create_user", "update_user"),
    ("create_user", "delete_user"),
]


def test_the_links_are_known_here() -> None:
    found = [
        (name, target)
        for name in OPERATIONS
        for response in _operation(name)["responses"].values()
        for target in response.get("links", {})
    ]
    assert found == LINKS


@pytest.mark.parametrize(("name", "target"), LINKS)
def test_a_link_leads_from_an_answer_to_a_call_that_works(api: Any, name: str, target: str) -> None:
    first = _call(api, name, _example(name, "example1")[1])
    assert first.status_code == 201
    link = _links(name)[target]
    body = _evaluate(link["requestBody"], first.json())
    assert json.dumps(body) != json.dumps(link["requestBody"])
    assert validator(BOTH, _body_schema(target)).is_valid(body)
    response = _call(api, link["operationId"], body)
    assert response.status_code == 200
    user = first.json()["user"]
    answer = response.json()
    if target == "update_user":
        assert answer["updated"] == [user["user_id"]]
        (changed,) = api.get(user_id=user["user_id"])
        assert {key for key in user if changed[key] != user[key]} == {"full_name", "updated_at"}
        assert changed["full_name"] == link["requestBody"]["update_data"]["full_name"]
    else:
        deleted = {"message": "User deleted successfully", "user_id": user["user_id"]}
        assert answer == {"get_users": {"users": [user]}, "delete_user": deleted}[target]


# ---- where it is found


def test_the_app_answers_its_description(api: Any) -> None:
    response = api.client.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == BOTH
    assert api.post("openapi.json").status_code == 404


def test_a_function_that_is_not_described_cannot_be_left_out() -> None:
    with pytest.raises(AttributeError, match="operation"):
        describe([users.blueprint, description_of([users.blueprint])])


@pytest.mark.parametrize("methods", [["GET"], ["POST"], None, ["GET", "POST"]])
def test_a_function_of_several_methods_cannot_be_described(methods: list[str] | None) -> None:
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

    @blueprint.route(route="thing", methods=methods)
    @described({200: (points.FlushedLedger, "Done")})
    @endpoint_without_body
    def thing() -> Answer:
        """Does a thing."""
        return Answer({})

    if methods == ["GET", "POST"]:
        with pytest.raises(ValueError, match="unpack"):
            describe([blueprint])
    else:
        assert [*describe([blueprint])["paths"]["/thing"]] == [(methods or ["POST"])[0].lower()]


def test_the_file_is_what_make_openapi_writes(tmp_path: Path) -> None:
    stored = (PROJECT / "docs" / "openapi.json").read_bytes()
    assert stored == _written(tmp_path / "openapi.json", "on"), "docs/openapi.json is stale: run make openapi"
    assert json.loads(stored) == BOTH
    recipe = re.search(r"^openapi:.*\n\t@?(.*)$", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert recipe
    assert recipe[1] == "PAN_HOLDER_CHECK=on $(BIN)/python -m devhost.openapi"
