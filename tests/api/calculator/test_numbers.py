"""The body of `POST /records`: its digits, and the rules of every body."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import azure.functions as func
import orjson
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from api.calculator.numbers import NewRecord, loads, parse_record
from api.http.openapi import build_document
from api.http.requests import BODY_LIMIT, Request
from api.http.responses import Response
from api.http.service import Service
from domain.calculator import Number, find_operation
from tests.support.endpoints import Call, serve


def read(request: NewRecord) -> Response:
    """Returns the operands as text."""
    return Response([find_operation(request.operation_id).type, *map(str, request.operands)])


@pytest.fixture
def call() -> Call:
    return serve(read, body=NewRecord, parse=parse_record, returns={200: list[str]})


def body_of(response: func.HttpResponse) -> Any:
    return orjson.loads(response.get_body())


def rejection(response: func.HttpResponse) -> tuple[int, str, list[tuple[str, str]]]:
    """The status and the code of a problem, and the pointer and the code of each violation."""
    problem = body_of(response)
    violations = [(violation["pointer"], violation["code"]) for violation in problem["errors"]]
    return response.status_code, problem["type"].removeprefix("/problems/"), violations


@pytest.mark.parametrize(
    ("body", "operands"),
    [
        ('{"operation_id": 1, "operator1": 0.1, "operator2": 0.2}', ["addition", "0.1", "0.2"]),
        (
            '{"operation_id": 2, "operator1": 12345678901234567890.123456789012345678901, "operator2": -1E2}',
            ["subtraction", "12345678901234567890.123456789012345678901", "-1E+2"],
        ),
        ('{"operation_id": 5, "operator1": 2}', ["square_root", "2"]),
        ('{"operation_id": 5, "operator1": 2, "operator2": 1e999}', ["square_root", "2"]),
        ('{"operation_id": 5, "operator1": 2, "operator2": null}', ["square_root", "2"]),
        ('{"operation_id": 6}', ["random_string"]),
        ('{"operation_id": 6, "operator1": null, "operator2": 2}', ["random_string"]),
        ('{"operation_id": 6, "operator1": 8.0, "operator2": 2}', ["random_string", "8"]),
        # as in every body: the last of equal keys counts, in any order of keys
        ('{"operator2": "x", "operator1": 1, "operator2": 2, "operation_id": 1}', ["addition", "1", "2"]),
        ('\n\t {"operation\\u005fid": 1, "operator1": 1, "operator2": 2}\r\n', ["addition", "1", "2"]),
    ],
)
def test_operands_have_the_digits_that_were_sent(call: Call, body: str, operands: list[str]) -> None:
    response = call(body.encode())
    assert (response.status_code, body_of(response)) == (200, operands)


@pytest.mark.parametrize(
    ("body", "violations"),
    [
        ("", [("/operation_id", "missing-key")]),
        ("{}", [("/operation_id", "missing-key")]),
        ('{"operation_id": 1}', [("/operator1", "missing-key"), ("/operator2", "missing-key")]),
        ('{"operation_id": 4, "operator1": 1}', [("/operator2", "missing-key")]),
        ('{"operation_id": 5, "operator2": 1}', [("/operator1", "missing-key")]),
        (
            '{"operation_id": true, "operator1": "1", "operator2": [], "x/y~": 1}',
            [
                ("/operation_id", "wrong-type"),
                ("/operator1", "wrong-type"),
                ("/operator2", "wrong-type"),
                ("/x~1y~0", "unknown-key"),
            ],
        ),
        (
            '{"operation_id": 1, "operator1": null, "operator2": 1e999999999}',
            [("/operator1", "wrong-type"), ("/operator2", "number-out-of-range")],
        ),
        ('{"operation_id": 5, "operator1": %s}' % ("7" * 5000), [("/operator1", "number-out-of-range")]),
        (
            '{"operation_id": 6, "operator1": 33, "operator2": {}}',
            [("/operator1", "number-out-of-range"), ("/operator2", "wrong-type")],
        ),
        ('{"operation_id": %s}' % ("7" * 5000), [("/operation_id", "number-out-of-range")]),
        ('{"operation_id": 1.0}', [("/operation_id", "wrong-type")]),
        ('{"operation_id": 7, "operator1": false}', [("/operator1", "wrong-type")]),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)  # fmt: skip
def test_all_violations_have_pointers(call: Call, body: str, violations: list[tuple[str, str]]) -> None:
    assert rejection(call(body.encode())) == (400, "body-invalid", violations)


def test_an_unknown_operation_is_not_found(call: Call) -> None:
    body = b'{"operation_id": 7, "operator1": 1e999}'
    assert rejection(call(body)) == (404, "operation-not-found", [("/operation_id", "operation-not-found")])


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"nul", b"\xff", b'{"operation_id":6}x', b"\xef\xbb\xbf{}", '{"operation_id":6}'.encode("utf-16")),
        *(b'{"operation_id":NaN}', b'{"operation_id":6,"operator1":Infinity}', b"-Infinity", b'{"operation_id":06}'),
        *(b'{"\\ud800":1}', b'{"operation_id":6,"operator1":"\\udc00"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\n"}'),
        *(b"[" * 100_000, b'{"a":' * 100_000),
    ],
    ids=lambda body: repr(body[:40]),
)  # fmt: skip
def test_a_body_that_is_not_json_in_utf_8_is_a_400(call: Call, body: bytes) -> None:
    assert rejection(call(body)) == (400, "body-not-json", [])


def test_a_body_nested_too_deeply_is_a_400(call: Call) -> None:
    # body-not-json or a wrong type: the depth that the standard library reads depends on the interpreter.
    for depth in (900, 5_000, 200_000):
        for key in (b"operator1", b"operator\\u0031"):
            body = b'{"operation_id": 6, "%s": %s%s}' % (key, b"[" * depth, b"]" * depth)
            assert call(body).status_code == 400


@pytest.mark.parametrize("body", [b"[]", b"1", b"1e999999999", b"null", b'"x"', b"[" * 500 + b"]" * 500])
def test_a_body_that_is_not_an_object_is_a_400(call: Call, body: bytes) -> None:
    assert rejection(call(body)) == (400, "body-not-object", [])


def test_a_body_above_1_mib_or_in_chunks_is_rejected(call: Call) -> None:
    record = b'{"operation_id": 6}'
    assert call(record.ljust(BODY_LIMIT)).status_code == 200
    assert rejection(call(record.ljust(BODY_LIMIT + 1))) == (413, "body-too-large", [])
    assert rejection(call(headers={"Transfer-Encoding": "chunked"})) == (411, "length-required", [])


def test_no_response_contains_the_sent_values(call: Call) -> None:
    for value in ("77777e7777", '"77777"', "77777 77777"):
        body = '{"operation_id": 1, "operator1": %s, "operator2": %s}' % (value, value)  # noqa: UP031 - braces
        assert b"77777" not in call(body.encode()).get_body()


def test_openapi_describes_operands_as_numbers_or_null() -> None:
    service = Service("toy")
    service.endpoint(body=NewRecord, parse=parse_record, returns={200: list[str]})(read)
    (schema,) = (
        schema
        for name, schema in build_document(service.endpoints)["components"]["schemas"].items()
        if name == NewRecord.__name__
    )
    assert schema["required"] == ["operation_id"]
    assert schema["properties"]["operation_id"]["type"] == "integer"
    for operand in ("operator1", "operator2"):
        assert schema["properties"][operand]["anyOf"] == [{"type": "number"}, {"type": "null"}]
        assert "default" not in schema["properties"][operand]


def test_the_examples_are_valid() -> None:
    for example_body in NewRecord.EXAMPLES.values():
        assert isinstance(parse_record(json.dumps(example_body).encode()), Request)


# ---- the same JSON as in other bodies

PIECES = [
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"'", b"\\u", b"\\ud83d\\ude00", b"\\udc00", b"\\u0041", b"\\n"),
    *(b"\n", b"0", b"-", b"1.5", b"e5", b"E+3", b".", b"00", b"true", b"null", b"NaN", b"Infinity", b"\x00", b"\x7f"),
    *(b"\xff", b" ", b"\x0b", b"\xc2\xa0", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"/*", b"\xd9\xa3"),
]  # fmt: skip


@st.composite
def nearly_json(draw: st.DrawFn) -> bytes:
    """JSON after up to three mutations."""
    leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9) | st.text(max_size=3)
    values = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner)
    )
    body = json.dumps(draw(values), ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(body)))
        body = body[:start] + draw(st.sampled_from(PIECES)) + body[start + draw(st.integers(0, 2)) :]
    return body


def comparable(value: Any) -> Any:
    """JSON with every number as a float, so that the results of two parsers can be compared."""
    if isinstance(value, Number):
        return float(value.text)
    if isinstance(value, list):
        return [comparable(element) for element in value]
    if isinstance(value, dict):
        return {key: comparable(element) for key, element in value.items()}
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def parsed(load: Callable[[bytes], Any], body: bytes) -> Any:
    """Returns the content of JSON in a list, or None."""
    try:
        return [comparable(load(body))]
    except ValueError as error:
        assume("infinity" not in str(error))  # orjson rejects a number beyond floats
        return None


@settings(max_examples=50)
@given(nearly_json() | st.binary(max_size=6))
@example(b'"\\ud800"')
@example(b'"\\\\ud800"')
@example(b'{"\\udfff\\ud800": 1}')
@example(b"NaN")
@example(b"-Infinity")
@example(b"\xd9\xa3")
def test_what_is_json_is_the_same_as_in_other_bodies(body: bytes) -> None:
    assert parsed(loads, body) == parsed(orjson.loads, body)
