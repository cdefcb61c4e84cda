"""The OpenAPI document: the operations of the enabled services, their errors, and where the document is found."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import Any, Final

import azure.functions as func
import jsonschema_rs
import pytest
from azure.functions.decorators.http import HttpTrigger
from openapi_spec_validator import OpenAPIV31SpecValidator

import api as api_package
import function_app
from api.http.openapi import build_document
from api.http.problems import TITLES
from api.http.responses import Response
from api.http.service import Endpoint, Service
from domain.errors import ConflictError
from domain.users.versions import UserRecord
from tests.support.openapi import (
    DOCUMENT,
    ENDPOINTS,
    MODELS,
    OPERATIONS,
    WHOLE,
    document_of,
    endpoints_of,
    operation_of,
    operations,
)

PROJECT: Final = Path(__file__).resolve().parents[3]

KEYED: Final = [endpoint.name for endpoint in ENDPOINTS.values() if endpoint.idempotent]

each_operation = pytest.mark.parametrize("name", OPERATIONS)


@pytest.mark.parametrize("services", [(), ("users",), ("points",), ("users", "points")])
def test_the_document_of_the_enabled_services_is_valid(services: tuple[str, ...]) -> None:
    document = document_of(*services)
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def _routed(endpoints: list[Endpoint]) -> dict[str, tuple[str, str]]:
    """Returns path and method of each function as Azure routes it; a function for any method counts as POST."""
    app = func.FunctionApp()
    for endpoint in endpoints:
        function_app._register_endpoint(app, endpoint, 24)
    routed = {}
    for function in app.get_functions():
        trigger = function.get_trigger()
        assert isinstance(trigger, HttpTrigger)
        (method,) = [method.value.lower() for method in trigger.methods or (func.HttpMethod.POST,)]
        routed[str(function.get_function_name())] = (f"/{trigger.route}", method)
    return routed


USERS: Final = (
    *("create_user", "get_users", "delete_user", "update_user"),
    *("create_users", "get_user_history", "get_changes", "get_users_masked"),
)


@pytest.mark.parametrize("services", [("users",), ("points",), ("users", "points"), ("points", "users")])
def test_paths_and_methods_are_those_of_the_enabled_services(services: tuple[str, ...]) -> None:
    document = document_of(*services)
    described = {operation["operationId"]: (path, method) for path, method, operation in operations(document)}
    assert described == _routed(endpoints_of(*services))
    assert [*described] == [endpoint.name for endpoint in endpoints_of(*services)]
    assert len([*operations(document)]) == sum({"users": len(USERS), "points": 4}[service] for service in services)


def test_users_alone_are_posts() -> None:
    paths = {path: [*methods] for path, methods in document_of("users")["paths"].items()}
    assert paths == {f"/{name}": ["post"] for name in USERS}


def test_operations_are_named_once() -> None:
    assert len(OPERATIONS) == len([*operations(DOCUMENT)]) == len(USERS) + 4


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    assert DOCUMENT["info"]["version"] == api_package.__version__ == project["version"]


def test_every_operation_requires_the_function_key() -> None:
    assert DOCUMENT["security"] == [{"functionKey": []}]
    scheme = DOCUMENT["components"]["securitySchemes"]["functionKey"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "x-functions-key")
    assert not any("security" in operation for _, _, operation in operations(DOCUMENT))


@each_operation
def test_an_operation_is_named_and_summarized_as_its_endpoint(name: str) -> None:
    operation, endpoint = operation_of(name), ENDPOINTS[name]
    assert operation["tags"] == [endpoint.service]
    assert endpoint.service == endpoint.handler.__module__.split(".")[1]
    assert f"{operation['summary']}." == endpoint.handler.__doc__
    assert "401" in operation["responses"]
    assert "content" not in operation["responses"]["401"]  # Azure responds itself


@each_operation
def test_every_error_is_a_problem_whose_description_lists_its_codes(name: str) -> None:
    for status, response in operation_of(name)["responses"].items():
        if status < "400" or status == "401":
            continue
        assert [*response["content"]] == ["application/problem+json"]
        problem, limits = response["content"]["application/problem+json"]["schema"]["allOf"]
        assert problem == {"$ref": "#/components/schemas/Problem"}
        assert [*limits] == ["properties"]
        codes = [kind.removeprefix("/problems/") for kind in limits["properties"]["type"]["enum"]]
        assert codes
        assert len(set(codes)) == len(codes)
        kinds = [f"/problems/{code}" for code in codes]
        assert limits["properties"]["type"] == {"type": "string", "enum": kinds}
        assert response["description"] == f"{TITLES[int(status)]}: {', '.join(codes)}"
        assert ("Retry-After" in response.get("headers", {})) == (status == "503")


def _members(document: dict[str, Any]) -> dict[tuple[str, str, str], Any]:
    """The schemas of the members that problems have besides their type, by operation, status and name."""
    return {
        (operation["operationId"], status, member): schema
        for _, _, operation in operations(document)
        for status, response in operation["responses"].items()
        for content in response.get("content", {}).values()
        for limits in content["schema"].get("allOf", [])[1:]
        for member, schema in limits["properties"].items()
        if member != "type"
    }


EARLIEST: Final = {"type": "string", "format": "date-time", "description": "Only with before-history"}


def test_a_problem_has_the_members_that_its_errors_declare() -> None:
    texts = {"type": "array", "items": {"type": "string"}}
    assert _members(DOCUMENT) == {
        ("create_users", "400", "errors"): {"maxItems": 1000},
        ("create_users", "409", "errors"): {"maxItems": 1000},
        ("update_user", "400", "extra_keys"): {**texts, "description": "Only with bulk-update-keys"},
        ("update_user", "404", "not_found"): {**texts, "description": "Only with users-not-found"},
        **{(name, "400", "earliest"): EARLIEST for name in ("get_users", "get_users_masked")},
    }


def _toy(**declared: Any) -> list[Endpoint]:
    service = Service("toy")

    @service.endpoint(**declared)
    def toy() -> Response:
        """Does nothing."""
        return Response({})

    return service.endpoints


@pytest.mark.parametrize(
    ("methods", "described"),
    [
        ("GET", {"get": "toy"}),
        ("POST", {"post": "toy"}),
        ((), {"post": "toy"}),
        (("GET", "POST"), {"get": "toy", "post": "toy_post"}),
    ],
)
def test_each_method_is_an_operation_and_any_method_is_a_post(methods: Any, described: dict[str, str]) -> None:
    document = build_document(_toy(methods=methods))
    assert {method: op["operationId"] for method, op in document["paths"]["/toy"].items()} == described


class _OfATypeError(ConflictError):
    """An error whose member refers to a component."""

    code = "of-a-type"
    members = {"user": UserRecord, "left": int}  # noqa: RUF012 - never changed


def test_a_member_may_be_of_any_type_that_a_response_may_have() -> None:
    document = build_document(_toy(errors=[_OfATypeError]))
    members = _members(document)
    assert members["toy", "409", "left"] == {"type": "integer", "description": "Only with of-a-type"}
    assert members["toy", "409", "user"]["$ref"] == "#/components/schemas/UserRecord"
    assert document["components"]["schemas"] == {
        name: DOCUMENT["components"]["schemas"][name] for name in ("Problem", "UserRecord", "Violation")
    }
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


@each_operation
def test_an_operation_has_the_responses_of_its_kind(name: str) -> None:
    operation = operation_of(name)
    has_body, takes_key = name in MODELS, name in KEYED
    assert ("requestBody" in operation) == has_body
    assert ("parameters" in operation) == takes_key
    statuses = {status for status in operation["responses"] if status >= "400"}
    assert statuses >= {"400", "401", "409", "500", "503"} | ({"411", "413"} if has_body else set())
    invalid, unavailable = (operation["responses"][status]["description"] for status in ("400", "503"))
    readers = ("get_users", "get_users_masked", "get_user_history", "get_changes", "balance")
    assert ("outcome-unknown" in unavailable) == (name not in readers)
    assert ("idempotency-key-unsupported" in invalid) != takes_key
    assert ("idempotency-key-invalid" in invalid) == takes_key


@pytest.mark.parametrize(
    ("key", "is_one"),
    [("k", True), ("a b", True), ("x" * 255, True), ("x" * 256, False), ("", False), (" a", False), ("é", False)],
)
def test_the_idempotency_key_is_described_as_it_is_read(key: str, is_one: bool) -> None:
    for name in KEYED:
        (parameter,) = operation_of(name)["parameters"]
        assert (parameter["name"], parameter["in"], parameter["required"]) == ("Idempotency-Key", "header", False)
        assert jsonschema_rs.is_valid(parameter["schema"], key) == is_one


# ---- where it is found


def test_the_app_serves_its_document(api: Any) -> None:
    response = api.client.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == WHOLE
    assert api.post("openapi.json").status_code == 404


def _written(file: Path, holder_check: str) -> bytes:
    """The file that `python -m devhost.openapi` writes."""
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
    assert done.stdout == f"{file}: {len(WHOLE['paths'])} paths\n"
    return file.read_bytes()


@pytest.mark.slow  # starts a program
def test_the_pattern_of_a_pan_follows_the_setting(tmp_path: Path) -> None:
    lenient = json.loads(_written(tmp_path / "openapi.json", "off"))["components"]["schemas"]
    for schema in ("CreateUser", "UpdateData"):
        of_any, of_known = (
            partial(jsonschema_rs.is_valid, schemas[schema]["properties"]["pan_num"])
            for schemas in (lenient, DOCUMENT["components"]["schemas"])
        )
        for pan_num in ("ABCPE1234F", "ABCXE1234F", "abcxe1234f"):  # no holder type is X
            assert of_any(pan_num)
            assert of_known(pan_num) == ("X" not in pan_num.upper())
        assert not of_any("ABC1E1234F")


def test_the_committed_document_is_the_one_that_make_openapi_writes(tmp_path: Path) -> None:
    stored = (PROJECT / "docs" / "openapi.json").read_bytes()
    assert stored == _written(tmp_path / "openapi.json", "on"), "docs/openapi.json is stale: run make openapi"
    assert json.loads(stored) == WHOLE
    recipe = re.search(r"^openapi:.*\n\t@?(.*)$", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert recipe
    assert recipe[1] == "PAN_HOLDER_CHECK=on $(BIN)/python -m devhost.openapi"
