"""`POST /api/items/` and `PATCH /api/items/{id}`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.invoices import KURTA, Shop, problem


def test_a_new_item_is_returned_and_listed(shop: Shop) -> None:
    body = {**KURTA, "expiry_date": "2028-02-29", "low_stock_threshold": 7}
    added = shop.add("items/", body)
    assert added == {"id": added["id"], **body}
    assert shop.call("GET", "items/").json() == [added]


def test_keys_that_may_be_absent_have_defaults(shop: Shop) -> None:
    description = "\U0001f41f" * 150 + "x" * 350
    added = shop.add("items", {"description": f" {description} ", "price": "0.10", "quantity": 0})
    expected = {"name": description[:200], "description": description, "price": 0.1, "quantity": 0}
    assert added == {"id": added["id"], **expected, "expiry_date": None, "low_stock_threshold": None}
    nulls = {**KURTA, "expiry_date": None, "low_stock_threshold": None}
    assert shop.add("items", nulls)["low_stock_threshold"] is None


GOOD = {"description": "x", "price": 1, "quantity": 1}


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"description": " \t "}, ["/description"]),
        ({"description": "x" * 501}, ["/description"]),
        ({"description": "a\nb", "name": "\x7f"}, ["/description", "/name"]),
        ({"description": "\u0085x", "name": "x" * 201}, ["/description", "/name"]),
        ({"description": None, "name": None, "price": None, "quantity": None},
         ["/description", "/name", "/price", "/quantity"]),
        ({"name": " "}, ["/name"]),
        ({"name": 1}, ["/name"]),
        ({"quantity": 1_000_000_001, "low_stock_threshold": 1_000_000_001}, ["/low_stock_threshold", "/quantity"]),
        ({"quantity": -1, "low_stock_threshold": -1}, ["/low_stock_threshold", "/quantity"]),
        ({"quantity": 1.0, "low_stock_threshold": "5"}, ["/low_stock_threshold", "/quantity"]),
        ({"quantity": True, "low_stock_threshold": False}, ["/low_stock_threshold", "/quantity"]),
        ({"quantity": "１２", "low_stock_threshold": 10**30}, ["/low_stock_threshold", "/quantity"]),
        ({"expiry_date": "2027-02-29"}, ["/expiry_date"]),
        ({"expiry_date": "2027-2-3"}, ["/expiry_date"]),
        ({"expiry_date": "20270203"}, ["/expiry_date"]),
        ({"expiry_date": "2027-W05-3"}, ["/expiry_date"]),
        ({"expiry_date": "2027-02-03T00:00:00Z"}, ["/expiry_date"]),
        ({"expiry_date": "２０２７-02-03"}, ["/expiry_date"]),
        ({"expiry_date": "0000-01-01"}, ["/expiry_date"]),
        ({"expiry_date": 20270203}, ["/expiry_date"]),
        ({"expiry_date": " 2027-02-03"}, ["/expiry_date"]),
        ({"id": 7, "expiry": "2027-02-03", "Price": 1}, ["/Price", "/expiry", "/id"]),
    ],
)  # fmt: skip
def test_every_invalid_field_is_named_at_once(shop: Shop, changes: dict[str, Any], pointers: list[str]) -> None:
    status, code, found = problem(shop.call("POST", "items/", GOOD | changes))
    assert (status, code, sorted(pointer for pointer, _ in found)) == (400, "body-invalid", pointers)
    item = shop.item()
    if "id" not in changes and "description" not in changes:
        status, code, found = problem(shop.call("PATCH", f"items/{item}", changes))
        assert (status, code, sorted(pointer for pointer, _ in found)) == (400, "body-invalid", pointers)
    assert [item["name"] for item in shop.call("GET", "items/").json()] == ["Kurta"]


def test_missing_keys_are_all_named(shop: Shop) -> None:
    missing = [(f"/{key}", "missing-key") for key in ("description", "price", "quantity")]
    assert problem(shop.call("POST", "items/", {})) == (400, "body-invalid", missing)


@pytest.mark.parametrize("limit", [{"name": "n" * 200}, {"description": "d" * 500}, {"quantity": 1_000_000_000},
                                   {"low_stock_threshold": 1_000_000_000}, {"low_stock_threshold": 0},
                                   {"expiry_date": "0001-01-01"}, {"expiry_date": "9999-12-31"}])  # fmt: skip
def test_limits_of_fields_are_valid(shop: Shop, limit: dict[str, Any]) -> None:
    assert shop.add("items/", {**KURTA, **limit}).items() >= limit.items()


def test_descriptions_are_unique_code_point_by_code_point(shop: Shop) -> None:
    first = shop.item(description="Café 1")
    different = ["Cafe\u0301 1", "CAFÉ 1", "Cafe 1", "Café\u00a01", "Café １", "Café 1\u200b", "Café1"]
    others = [shop.item(description=text) for text in different]
    taken = (409, "description-taken", [("/description", "description-taken")])
    assert problem(shop.call("POST", "items/", {**GOOD, "description": " Café 1 "})) == taken
    assert problem(shop.call("PATCH", f"items/{others[0]}", {"description": "Café 1", "quantity": 3})) == taken
    assert set(shop.stock().values()) == {10}
    assert shop.call("PATCH", f"items/{first}", {"description": "Café 1"}).status_code == 200
    assert shop.call("PATCH", f"items/{first}", {"description": "Tea"}).status_code == 200
    assert shop.call("PATCH", f"items/{others[0]}", {"description": "Café 1"}).status_code == 200
    assert len(shop.stock()) == len(others) + 1


# ---- PATCH


def test_a_change_sets_the_given_keys_alone(shop: Shop) -> None:
    item = shop.add("items/", {**KURTA, "expiry_date": "2027-01-31", "low_stock_threshold": 3})
    other = shop.item()
    changes: list[dict[str, Any]] = [
        {"name": "Shirt"},
        {"description": "Linen", "price": 0.5},
        {"quantity": 4},
        {"expiry_date": "2028-01-31"},
        {"low_stock_threshold": 0},
        {"expiry_date": None},
        {"low_stock_threshold": None, "price": "9999999999.99"},
    ]
    for change in changes:
        item |= change if "price" not in change else {**change, "price": float(change["price"])}
        response = shop.call("PATCH", f"items/{item['id']}", change)
        assert (response.status_code, response.json()) == (200, item)
    assert shop.call("GET", "items/").json()[0] == item
    assert shop.stock()[other] == 10


def test_quantity_change_adds_and_never_goes_below_zero(shop: Shop) -> None:
    item = shop.item(quantity=3)
    for change, left in ((4, 7), (-7, 0), (0, 0), (1_000_000_000, 1_000_000_000), (-1_000_000_000, 0)):
        response = shop.call("PATCH", f"items/{item}", {"quantity_change": change})
        assert (response.status_code, response.json()["quantity"]) == (200, left)
    response = shop.call("PATCH", f"items/{item}", {"quantity_change": -1, "name": "Shirt"})
    assert problem(response)[:2] == (409, "insufficient-stock")
    assert response.json()["errors"][0]["pointer"] == "/quantity_change"
    assert shop.call("GET", "items/").json()[0]["name"] == "Kurta"


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, [""]),
        (b"", [""]),
        ({"quantity": 1, "quantity_change": 1}, ["/quantity_change"]),
        ({"quantity_change": None}, ["/quantity_change"]),
        ({"quantity_change": 0.5}, ["/quantity_change"]),
        ({"quantity_change": True}, ["/quantity_change"]),
        ({"quantity_change": 10**19}, ["/quantity_change"]),
        ({"quantity_change": "1"}, ["/quantity_change"]),
        ({"name": None, "description": None}, ["/description", "/name"]),
        ({"id": 1}, ["/id"]),
    ],
)
def test_a_change_needs_at_least_one_valid_key(shop: Shop, body: Any, pointers: list[str]) -> None:
    item = shop.item()
    for path in (item, 999, "x"):
        status, code, found = problem(shop.call("PATCH", f"items/{path}", body))
        assert (status, code, sorted({pointer for pointer, _ in found})) == (400, "body-invalid", pointers)
    assert shop.stock() == {item: 10}


@pytest.mark.parametrize("item", ["999", "0", "01", "x", "1.0", "-1", "9" * 20])
def test_an_unknown_item_cannot_be_changed(shop: Shop, item: str) -> None:
    shop.item()
    assert problem(shop.call("PATCH", f"items/{item}", {"quantity": 1})) == (404, "item-not-found", [])
