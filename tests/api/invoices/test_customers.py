"""`POST /api/customers/`, and that customers stay as they are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.invoices import ASHA, Shop, problem


def test_a_new_customer_is_returned_and_listed(shop: Shop) -> None:
    first = shop.add("customers/", ASHA)
    second = shop.add("customers", ASHA)
    assert first == {"id": first["id"], **ASHA}
    assert second == {"id": second["id"], **ASHA}, "names are not unique"
    assert shop.call("GET", "customers/").json() == [first, second]


@pytest.mark.parametrize(
    ("phone", "stored"),
    [
        ("9876543210", "9876543210"),
        ("+919876543210", "+919876543210"),
        (" +91 98765-43210 ", "+919876543210"),
        ("0-123 456-78-9", "0123456789"),
        ("123456789012345", "123456789012345"),
        ("+123456789012345", "+123456789012345"),
    ],
)
def test_spaces_and_hyphens_of_a_phone_are_dropped(shop: Shop, phone: str, stored: str) -> None:
    assert shop.add("customers/", {**ASHA, "phone": phone})["phone"] == stored


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"phone": "123456789"}, ["/phone"]),
        ({"phone": "1234567890123456"}, ["/phone"]),
        ({"phone": "++9876543210"}, ["/phone"]),
        ({"phone": "98765+43210"}, ["/phone"]),
        ({"phone": "98765\u00a043210"}, ["/phone"]),
        ({"phone": "98765\n43210"}, ["/phone"]),
        ({"phone": "９８７６５４３２１０"}, ["/phone"]),
        ({"phone": "९८७६५४३२१०"}, ["/phone"]),
        ({"phone": "98765.43210"}, ["/phone"]),
        ({"phone": "(098)7654321"}, ["/phone"]),
        ({"phone": 9876543210}, ["/phone"]),
        ({"name": "", "address": " "}, ["/address", "/name"]),
        ({"name": "x" * 201, "address": "x" * 501}, ["/address", "/name"]),
        ({"name": "a\x00b", "address": "a\r\nb"}, ["/address", "/name"]),
        ({"name": None, "phone": None, "address": None}, ["/address", "/name", "/phone"]),
        ({"id": 1, "Name": "x"}, ["/Name", "/id"]),
    ],
)
def test_every_invalid_field_is_named_at_once(shop: Shop, changes: dict[str, Any], pointers: list[str]) -> None:
    status, code, found = problem(shop.call("POST", "customers/", ASHA | changes))
    assert (status, code, sorted(pointer for pointer, _ in found)) == (400, "body-invalid", pointers)
    assert shop.call("GET", "customers/").json() == []


def test_missing_keys_are_all_named(shop: Shop) -> None:
    missing = [(f"/{key}", "missing-key") for key in ("name", "phone", "address")]
    assert problem(shop.call("POST", "customers/")) == (400, "body-invalid", missing)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_customers_are_never_changed_or_removed(shop: Shop, method: str) -> None:
    customer = shop.customer()
    assert shop.call(method, f"customers/{customer}", ASHA).status_code == 404
    assert shop.call(method, "customers/", ASHA).status_code == 404


def test_texts_are_trimmed_and_otherwise_kept(shop: Shop) -> None:
    texts = {"name": "  राम <b>&\U0001f41f #let\u200d", "address": "x" * 499 + "\U0001f41f\u3000"}
    added = shop.add("customers/", {**ASHA, **texts})
    assert (added["name"], added["address"]) == (texts["name"].strip(), texts["address"].strip())
    assert shop.call("GET", "customers/").json() == [added]
