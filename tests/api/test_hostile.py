"""No body causes a 500."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ENDPOINTS = ["create_user", "get_users", "delete_user", "update_user"]
KEYS = [
    "full_name", "mob_num", "pan_num", "manager_id", "user_id", "user_ids", "update_data", "is_active", "limit",
    "cursor", "manger_id", "", "\x00", "__proto__", "a/b~c",
]  # fmt: skip
VALUES = [
    "9876543210", "+91 98765 43210", "９８７６５４３２１０", "९८७६५४३२१०", "9876543210\n", "ABCPE1234F", "abcpe1234ß",
    "abcpı1234f", "ABCPE１２３４F", "ABCPE1234F\r\n", "Asha", "\x00", "\x7f", "\u2028", "' OR 1=1 --", "x" * 500,
    str(uuid.UUID(int=5)), str(uuid.UUID(int=5)) + "\n", "{" + str(uuid.UUID(int=5)) + "}", uuid.UUID(int=5).hex,
    "11111111-1111-4111-8111-111111111111", 2**63, 10**30, -1, 0, 1e308, True, None,
]  # fmt: skip

scalars = st.one_of(
    st.sampled_from(VALUES),
    st.text(max_size=30),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner),
    max_leaves=12,
)
bodies = st.dictionaries(st.sampled_from(KEYS), values, max_size=6) | values
fuzzing = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(response: Any) -> None:
    assert response.status_code in (200, 201, 207, 400, 404, 409, 413), response.text
    if response.status_code >= 400:
        problem = response.json()
        assert problem["status"] == response.status_code
        assert problem["type"].startswith("/problems/")


@pytest.mark.slow  # hundreds of generated calls
@given(endpoint=st.sampled_from(ENDPOINTS), body=bodies)
@fuzzing
def test_no_json_causes_a_500(api: Any, endpoint: str, body: object) -> None:
    check(api.post(endpoint, content=json.dumps(body).encode()))


@pytest.mark.slow  # hundreds of generated calls
@given(endpoint=st.sampled_from(ENDPOINTS), body=bodies, cut=st.integers(0, 200), junk=st.binary(max_size=4))
@fuzzing
def test_no_bytes_cause_a_500(api: Any, endpoint: str, body: object, cut: int, junk: bytes) -> None:
    content = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    check(api.post(endpoint, content=content[:cut] + junk + content[cut:]))


@pytest.mark.parametrize("key", ["mob_num", "pan_num"])
@pytest.mark.parametrize("value", [value for value in VALUES if isinstance(value, str) and not value.isascii()])
def test_digits_and_letters_that_are_not_ascii_are_a_400(api: Any, key: str, value: str) -> None:
    assert api.post("create_user", api.new_user(**{key: value})).status_code == 400


@pytest.mark.parametrize("key", ["full_name", "mob_num", "pan_num", "manager_id"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\x00", "\t\n"])
def test_a_line_break_or_nul_at_the_end_is_a_400(api: Any, managers: list[str], key: str, end: str) -> None:
    body = api.new_user(manager_id=managers[0])
    assert api.post("create_user", {**body, key: body[key] + end}).status_code == 400
    assert api.get() == []
