"""Bodies that are hostile or malformed: no 500, nothing is stored, and every response is a described one."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.invoices import ASHA, KURTA, Shop, problem

PURCHASE: Final = "customer-purchase/1"
BODIES: Final = {"items/": KURTA, "customers/": ASHA, PURCHASE: [{"item": 1, "quantity": 1}]}

_NOT_JSON = [
    b"{", b"nonsense", b"\xff\xfe", b'{"name":"\xff"}', b'["\\ud800"]', b'{"name":"\\udc00\\ud800"}', b"[NaN]", b"[1,]",
    b"[" * 100_000, b"[" * 5_000 + b"]" * 5_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b"[01]", b"[1e400]",
    b"\xef\xbb\xbf[]", '[{"item":1}]'.encode("utf-16"), b"[\x00]", b'["a\nb"]',
]  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("body", _NOT_JSON, ids=lambda body: str(body[:20]))
def test_what_is_not_json_is_a_400(shop: Shop, path: str, body: bytes) -> None:
    assert problem(shop.call("POST", path, body)) == (400, "body-not-json", [])


@pytest.mark.parametrize("path", BODIES)
def test_the_other_kind_of_json_is_a_400(shop: Shop, path: str) -> None:
    is_array = path == PURCHASE
    for body in (b"1", b"null", b'"x"', b"true", b"{}" if is_array else b"[]"):
        assert problem(shop.call("POST", path, body)) == (
            400,
            "body-not-array" if is_array else "body-not-object",
            [],
        )


@pytest.mark.parametrize("path", BODIES)
def test_a_body_above_1_mib_is_a_413_and_a_chunked_one_a_411(shop: Shop, path: str) -> None:
    assert problem(shop.call("POST", path, b" " * (1024 * 1024 + 1))) == (413, "body-too-large", [])
    chunked = shop.client.post(f"/api/{path}", content=iter([b""]), headers={"Transfer-Encoding": "chunked"})
    assert problem(chunked) == (411, "length-required", [])


def test_a_mebibyte_of_bad_entries_names_100_of_them(shop: Shop) -> None:
    body = [{"item": "x", "quantity": -1} for _ in range(1000)]
    response = shop.call("POST", PURCHASE, body)
    assert len(response.json()["errors"]) == 100
    assert response.json()["more"] == 1900
    many = b"[" + b"{}," * 349_000 + b"{}]"
    assert problem(shop.call("POST", PURCHASE, many)) == (400, "body-invalid", [("", "entries-count")])


def test_a_thousand_unknown_items_are_all_named(shop: Shop) -> None:
    shop.customer()
    response = shop.call("POST", PURCHASE, [{"item": item, "quantity": 1} for item in range(1, 1001)])
    assert (response.status_code, response.json()["items"]) == (404, [*range(1, 1001)])
    assert response.json()["more"] == 900


@pytest.mark.parametrize("character", ["\x00", "\x1f", "\x7f", "\x80", "\x9f", "\t", "\n", "\r", "\x85"])
@pytest.mark.parametrize(
    ("path", "key"), [("items/", "name"), ("items/", "description"), ("customers/", "name"), ("customers/", "address")]
)
def test_control_characters_in_texts_are_a_400(shop: Shop, path: str, key: str, character: str) -> None:
    for text in (f"a{character}b", f"{character}a", f"a{character}"):
        status, _, found = problem(shop.call("POST", path, {**BODIES[path], key: text}))  # type: ignore[dict-item]
        assert (status, [pointer for pointer, _ in found]) == (400, [f"/{key}"])


@pytest.mark.parametrize(
    "text", ["\u2028", "\u200b", "\ufeff", "\u202e", "\U000e0001", "\ufffe", "👨‍👩‍👧", "' OR 1=1 --", "\\u0000"]
)
def test_other_characters_are_kept(shop: Shop, text: str) -> None:
    named = {"name": f"a{text}b", "description": f"c{text}d"}
    assert shop.add("items/", {**KURTA, **named}).items() >= named.items()
    assert shop.call("GET", "items/").json()[0].items() >= named.items()


def test_of_equal_keys_the_last_one_counts(shop: Shop) -> None:
    item, customer = shop.item(), shop.customer()
    body = f'[{{"item":{item},"item":{item},"quantity":-1,"quantity":2}}]'
    assert shop.call("POST", f"customer-purchase/{customer}", body).status_code == 201
    assert shop.stock() == {item: 8}


# ---- anything

KEYS: Final = [
    "item", "quantity", "name", "description", "price", "expiry_date", "low_stock_threshold", "quantity_change",
    "phone", "address", "id", "", "\x00", "a/b~c",
]  # fmt: skip
VALUES: Final[list[Any]] = [
    0, 1, 2, -1, 3.0, 0.1 + 0.2, 1e-7, 1e22, -0.0, 5e-324, 2**31, 2**63 - 1, 2**63, 10**30, True, None, "1", "１２",
    "1e2", "0.10", "2027-01-31", "2027-02-30", "+919876543210", "x" * 501, "\ud800", "\x00", "\u2028", "Item 1", [], {},
]  # fmt: skip
scalars = (
    st.sampled_from(VALUES) | st.text(max_size=20) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
objects = st.dictionaries(st.sampled_from(KEYS), scalars, max_size=6)
entries = st.fixed_dictionaries({"item": st.sampled_from(VALUES[:12]), "quantity": st.sampled_from(VALUES[:12])})
bodies = objects | st.lists(entries | objects | scalars, max_size=4)
CALLS: Final = [
    ("POST", "items/"), ("PATCH", "items/1"), ("POST", "customers/"), ("POST", PURCHASE), ("PUT", PURCHASE),
    ("POST", "customer-purchase/2"), ("PUT", "customer-purchase/2"),
]  # fmt: skip
fuzzing = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _send(shop: Shop, call: tuple[str, str], content: bytes) -> Any:
    response = shop.call(*call, content)  # described, as every response of these tests
    assert response.status_code in (200, 201, 400, 404, 409), response.text
    return response


@pytest.mark.slow  # hundreds of generated calls
@given(calls=st.lists(st.tuples(st.sampled_from(CALLS), bodies), max_size=4))
@fuzzing
def test_no_json_causes_a_500(shop: Shop, calls: list[tuple[tuple[str, str], object]]) -> None:
    if not shop.stock():
        shop.item()
        shop.item()
        shop.customer()
    for call, body in calls:
        _send(shop, call, json.dumps(body).encode())
    assert min(shop.stock().values()) >= 0


@pytest.mark.slow  # hundreds of generated calls
@given(call=st.sampled_from(CALLS), body=bodies, cut=st.integers(0, 100), junk=st.binary(max_size=4))
@fuzzing
def test_no_bytes_cause_a_500(shop: Shop, call: tuple[str, str], body: object, cut: int, junk: bytes) -> None:
    content = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    _send(shop, call, content[:cut] + junk + content[cut:])


@given(entry=st.dictionaries(st.sampled_from(["item", "quantity"]), st.sampled_from(VALUES), max_size=2))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_bad_entry_among_good_ones_changes_nothing(shop: Shop, entry: dict[str, Any]) -> None:
    if not shop.stock():
        shop.item()
        shop.customer()
    before = shop.stock()
    body = [{"item": 1, "quantity": 1}, entry]
    content = json.dumps(body).encode()
    assert _send(shop, ("POST", PURCHASE), content).status_code >= 400
    assert shop.stock() == before
