"""Declarations of endpoints beyond those of the toy service: errors at import, parsing, OpenAPI."""

from __future__ import annotations

import enum
import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import Field, PlainValidator, create_model

import settings
from api.http.auth import Anonymous, Caller
from api.http.openapi import build_document
from api.http.problems import UnauthorizedError
from api.http.requests import OPTIONAL, Request, field_paths
from api.http.responses import Response
from api.http.service import Endpoint, Service
from domain.errors import ConflictError
from tests.support.endpoints import caller_of, serve


class Amount(Request):
    """An amount."""

    amount: int


class Tree(Request):
    """A tree."""

    name: str = OPTIONAL
    child: Tree = OPTIONAL


class Branch(Request):
    """Its leaf is deeper than `Outer.tree`."""

    leaf: Tree


class Outer(Request):
    """Has fields with equal names; the outermost wins."""

    branch: Branch
    tree: Tree


def _problem(response: Any) -> tuple[int, str, list[str]]:
    body = json.loads(response.get_body())
    return response.status_code, body["type"], [error["pointer"] for error in body["errors"]]


# ---- what fails at import


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"parse": bytes}, "parse"),
        ({"parse": bytes, "ignore_body": True}, "parse"),
        ({"parse": bytes, "form": Amount}, "parse"),
        ({"before_writes": True}, "before"),
        ({"before": lambda request: request}, "request"),
        ({"writes": lambda query: query}, "query"),
        ({"limit": lambda query: query}, "query"),
        ({"limit": lambda body_size, query: (body_size, query), "query": Amount}, "query"),
    ],
)
def test_a_declaration_without_what_it_needs_fails_at_import(declared: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Service("x").endpoint(**declared)(lambda: None)


@pytest.mark.parametrize("part", ["request", "query", "path", "headers"])
def test_a_handler_that_takes_a_part_must_declare_it(part: str) -> None:
    handler: Any = {
        "request": lambda request: request,
        "query": lambda query: query,
        "path": lambda path: path,
        "headers": lambda headers: headers,
    }[part]
    with pytest.raises(TypeError, match=part):
        Service("x").endpoint()(handler)
    declared: dict[str, Any] = {"body" if part == "request" else part: Amount}
    Service("x").endpoint(**declared)(handler)


# ---- what depends on settings


def _model(field: str, type_: Any) -> type[Request]:
    fields: dict[str, Any] = {field: (type_, ...)}
    return create_model("Model", __base__=Request, **fields)


@dataclass(frozen=True)
class Section:
    """A section of the settings."""

    header: str = settings.text("TOY_HEADER", default="x-toy")
    secret: str = settings.text("TOY_SECRET", secret=True)


class SignatureWrongError(UnauthorizedError):
    code = "signature-wrong"
    detail = "Wrong."


@dataclass(frozen=True)
class Signature(Anonymous):
    """A secret of the settings."""

    secret: str = ""
    errors = (SignatureWrongError,)

    def authenticate(self, req: Any) -> Caller:
        if req.headers.get("x-signature") != self.secret:
            raise SignatureWrongError
        return Caller("peer")


def test_headers_and_authentication_may_depend_on_settings(tmp_path: Path) -> None:
    service = Service("toy", settings=Section)
    service.endpoint(
        "toy",
        auth=lambda section: Signature(section.secret),
        headers=lambda section: _model(section.header.replace("-", "_"), str),
    )(lambda headers, caller: Response([*headers.model_dump().values(), caller.id]))
    variables = {"TOY_HEADER": "x-other", "TOY_SECRET": "s"}
    (endpoint,) = service.build(settings.load(variables, tmp_path)).endpoints
    call = caller_of(endpoint)
    assert json.loads(call(headers={"X-Other": "who", "X-Signature": "s"}).get_body()) == ["who", "peer"]
    assert _problem(call(headers={"X-Signature": "s"})) == (400, "/problems/request-invalid", ["/headers/x-other"])
    assert _problem(call(headers={"X-Other": "who"})) == (401, "/problems/signature-wrong", [])


# ---- what is read


def test_a_parse_function_may_validate_with_a_model(caplog: pytest.LogCaptureFixture) -> None:
    call = serve(lambda: Response({}), body=Amount, parse=Amount.model_validate_json)
    assert call(b'{"amount": 1}').status_code == 200
    with caplog.at_level(logging.INFO, "rollbook"):
        response = call(b'{"amount": "Unmistakable", "x": 1}')
    assert _problem(response) == (400, "/problems/body-invalid", ["/amount", "/x"])
    assert "Unmistakable" not in caplog.text + response.get_body().decode()


def test_a_field_of_a_model_that_contains_itself_is_found() -> None:
    def handle(request: Tree) -> Response:
        raise ConflictError(fields=["name"])

    assert _problem(serve(handle, body=Tree)(b'{"child": {}}'))[::2] == (409, ["/name"])


def test_the_outermost_of_fields_with_equal_names_is_found() -> None:
    paths = field_paths(Outer)
    assert paths["name"] == ("tree", "name")
    assert paths["leaf"] == ("branch", "leaf")


def test_a_key_makes_no_warning_that_repeats_a_value(database_file: Path, recwarn: pytest.WarningsRecorder) -> None:
    model = _model("mob_num", Annotated[int, PlainValidator(str)])
    call = serve(lambda: Response({}), body=model, writes=True, idempotent=True)
    assert call(b'{"mob_num": 9876543210}', headers={"Idempotency-Key": "k"}).status_code == 200
    assert not recwarn.list


# ---- what OpenAPI says of it


class Color(enum.Enum):
    """A color."""

    RED = "red"


class Painted(TypedDict):
    """A response."""

    id: uuid.UUID
    color: Color
    share: Annotated[float, Field(ge=0)]


def _described(**declared: Any) -> Any:
    service = Service("toy")
    service.endpoint("toy", **declared)(lambda: None)
    endpoints: list[Endpoint] = service.build(settings.current()).endpoints
    return build_document(endpoints)


def test_types_of_pydantic_are_described_unchanged() -> None:
    properties = _described(returns={200: Painted})["components"]["schemas"]
    assert properties["Painted"]["properties"] == {
        "id": {"type": "string", "format": "uuid"},
        "color": {"$ref": "#/components/schemas/Color"},
        "share": {"type": "number", "minimum": 0},
    }
    assert properties["Color"]["enum"] == ["red"]


@pytest.mark.parametrize(
    "body", [list[Amount], Annotated[list[Amount], Field(min_length=1)], Annotated[list[Amount], Field(max_length=1)]]
)
def test_an_array_is_required_where_an_absent_one_is_a_400(body: Any) -> None:
    operation = _described(body=body)["paths"]["/toy"]["post"]
    response = serve(lambda: Response({}), body=body)()
    assert operation["requestBody"]["required"] == (response.status_code == 400)


def test_writes_before_a_handler_may_have_an_unknown_outcome() -> None:
    operation = _described(before=lambda connection: connection, before_writes=True)["paths"]["/toy"]["post"]
    assert "outcome-unknown" in operation["responses"]["503"]["description"]


# ---- limits


def test_a_limit_is_held_from_the_first_step_to_the_end_of_the_handler() -> None:
    held: list[str] = []

    class FullError(ConflictError):
        code = "full"

    @contextmanager
    def limit(request: Amount) -> Iterator[None]:
        if request.amount > 1:
            raise FullError
        held.append("entered")
        yield
        held.append("left")

    def handle() -> Response:
        held.append("handler")
        return Response({})

    call = serve(handle, body=Amount, limit=limit, before=lambda: held.append("step"))
    assert call(b'{"amount": 1}').status_code == 200
    assert held == ["entered", "step", "handler", "left"]
    assert _problem(call(b'{"amount": 2}'))[:2] == (409, "/problems/full")
    assert held == ["entered", "step", "handler", "left"]


def test_a_limit_of_the_size_is_entered_before_the_body_is_parsed() -> None:
    held: list[Any] = []

    @contextmanager
    def limit(body_size: int) -> Iterator[None]:
        held.append(body_size)
        yield
        held.append("left")

    def parse(body: bytes) -> Amount:
        held.append("parsed")
        return Amount.model_validate_json(body)

    call = serve(lambda: Response({}), body=Amount, parse=parse, limit=limit, body_limit=20)
    assert call(b'{"amount": 1}').status_code == 200
    assert held == [13, "parsed", "left"]
    assert _problem(call(b'{"amount": 1}' + b" " * 8))[:2] == (413, "/problems/body-too-large")
    assert _problem(call(headers={"Transfer-Encoding": "chunked"}))[:2] == (411, "/problems/length-required")
    assert held == [13, "parsed", "left"], "what is rejected by its size alone is not limited"
