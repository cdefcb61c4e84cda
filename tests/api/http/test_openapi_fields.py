"""The fields in the OpenAPI document: their codes are those that values cause, and accepted values match."""

from __future__ import annotations

import ast
import copy
import inspect
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.users import fields as users_fields
from api.users import history_schemas
from domain import points as points_domain
from domain.errors import InvalidError
from domain.users import attribution as attribution_domain
from domain.users import fields as users_domain
from domain.users import lists as lists_domain
from tests.conformance import follow, validator
from tests.support.openapi import DOCUMENT, MODELS, UNKNOWN_ID, body_schema, call, example, fields_of, nodes

# ---- codes


def _codes_named(schema: Mapping[str, Any]) -> set[str]:
    texts = [node.get("description", "") for _, node in nodes(schema)]
    return {code for text in texts for codes in re.findall(r"Errors: (.+)$", text) for code in codes.split(", ")}


def _codes_raised(module: ModuleType) -> set[str]:
    """The codes of the errors that a module's parse functions raise."""
    return {
        getattr(module, name.id).code
        for function in ast.parse(inspect.getsource(module)).body
        if isinstance(function, ast.FunctionDef) and function.name.startswith("parse_")
        for statement in function.body
        for name in ast.walk(statement)
        if isinstance(name, ast.Name) and name.id.endswith("Error") and hasattr(module, name.id)
        if name.id != "InvalidError"  # of all of them
    }


BAD_VALUES: Final[list[Any]] = [
    *(None, True, 0, -1, 1.5, 2**63, -(2**63), {}, {"unknown": 1}),
    *("", " ", "x", "x" * 201, "a\nb", "12345", "ABCDE1234", "ABCXE1234F", "2020-10-31", "W10="),
    *([], ["x"], [1], [UNKNOWN_ID] * 10_001),
]
FIELDS: Final = [(name, pointer) for name in MODELS for pointer in fields_of(name) if pointer != "/update_data"]
OF_ANY_FIELD: Final = {"missing-key", "unknown-key", "wrong-type", "out-of-range"}


def _codes_caused(api: Any, name: str, pointer: str) -> set[str]:
    """The codes of the violations that bad values of a field cause."""
    *outer, key = pointer.split("/")[1:]
    codes = set()
    for value in BAD_VALUES:
        body: dict[str, Any] = (
            {"limit": 1} if name.startswith("get_users") else copy.deepcopy(example(name, "example1")[1])
        )
        (body[outer[0]] if outer else body)[key] = value
        response = call(api, name, body)
        if response.status_code == 400:
            codes |= {
                error["code"]
                for error in response.json()["errors"]
                if error["pointer"] == pointer or error["pointer"].startswith(f"{pointer}/")
            }
    return codes


@pytest.mark.parametrize(("name", "pointer"), FIELDS)
def test_the_codes_that_a_field_names_are_those_it_causes(api: Any, name: str, pointer: str) -> None:
    codes = _codes_caused(api, name, pointer)
    assert "wrong-type" in codes or pointer in ("/cursor", "/after")
    assert codes - OF_ANY_FIELD == _codes_named(fields_of(name)[pointer])


def test_the_codes_of_any_field_are_introduced() -> None:
    introduced = re.findall(r"`([a-z]+-[a-z-]+)`", DOCUMENT["info"]["description"])
    assert set(introduced) == {"body-invalid", "request-invalid", *OF_ANY_FIELD}


def test_every_code_that_parsing_raises_is_named_by_a_field() -> None:
    named = {code for name, pointer in FIELDS for code in _codes_named(fields_of(name)[pointer])}
    raised = {
        code
        for module in (users_domain, lists_domain, attribution_domain, points_domain, users_fields, history_schemas)
        for code in _codes_raised(module)
    } - OF_ANY_FIELD
    assert len(raised) > len(OF_ANY_FIELD)
    # The violations of two have the codes of the entries. create_users counts its entries before they are parsed.
    assert named == raised - {"user-ids-invalid", "mob-nums-invalid"} | {"users-count"}


# ---- patterns: exactly the accepted values match


def _field(name: str, key: str) -> Callable[[object], bool]:
    """A function that returns whether a value satisfies the schema of a field."""
    schema = follow(DOCUMENT, body_schema(name))["properties"][key]
    return validator(DOCUMENT, schema).is_valid


def _accepts(parse: Callable[[object], object], value: object) -> bool:
    try:
        parse(value)
    except InvalidError:
        return False
    return True


_in_mob_num: Final = _field("create_user", "mob_num")
_in_pan_num: Final = _field("create_user", "pan_num")
_in_uuid: Final = _field("delete_user", "user_id")

# Made of pieces of valid values, so that many are accepted and the others are nearly valid.
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
def test_a_mob_num_matches_its_pattern_exactly_where_it_is_accepted(value: str) -> None:
    assert _in_mob_num(value) == _accepts(users_domain.parse_mob_num, value)


@given(value=pan_nums)
def test_a_pan_num_matches_its_pattern_exactly_where_it_is_accepted(value: str) -> None:
    assert _in_pan_num(value) == _accepts(users_domain.parse_pan_num, value)


@given(value=uuids)
def test_a_uuid_matches_its_pattern_exactly_where_it_is_accepted(value: str) -> None:
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
def test_accepted_spellings_match(
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
def test_every_accepted_value_satisfies_the_schema_of_its_field(
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
