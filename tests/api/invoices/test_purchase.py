"""`POST /api/customer-purchase/{customer_id}`: lines, stock and numbers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.invoices import ASHA, KURTA, SAREE, Shop, problem


def test_a_purchase_returns_the_whole_invoice(shop: Shop) -> None:
    kurta, saree = shop.item(**KURTA), shop.item(**SAREE)
    customer = shop.customer()
    response = shop.buy(customer, (kurta, 3), (saree, 1))
    assert (response.status_code, response.json()) == (
        201,
        {
            "invoice_number": "#00001-AAA",
            "customer": {"id": customer, **ASHA},
            "lines": [
                {"item": kurta, "name": "Kurta", "description": "Cotton kurta", "unit_price": 550.0, "quantity": 3,
                 "price": 1650.0},
                {"item": saree, "name": "Saree", "description": "Silk saree", "unit_price": 1799.99, "quantity": 1,
                 "price": 1799.99},
            ],
            "total": 3449.99,
        },
    )  # fmt: skip
    assert shop.stock() == {kurta: 7, saree: 4}


def test_later_purchases_add_lines_to_the_one_invoice_of_a_customer(shop: Shop) -> None:
    first, second, third = shop.item(), shop.item(), shop.item()
    asha, ravi = shop.customer(), shop.customer(name="Ravi")
    numbers = [
        shop.buy(customer, *lines).json()["invoice_number"]
        for customer, lines in [(asha, [(third, 1)]), (ravi, [(first, 1)]), (asha, [(second, 2), (first, 3)])]
    ]
    assert numbers == ["#00001-AAA", "#00002-AAA", "#00001-AAA"]
    assert shop.lines(asha) == [(third, 1), (second, 2), (first, 3)]
    assert shop.lines(ravi) == [(first, 1)]


def test_an_item_on_the_invoice_is_an_error(shop: Shop) -> None:
    first, second, third = shop.item(), shop.item(), shop.item()
    customer = shop.customer()
    shop.buy(customer, (second, 1), (third, 1))
    response = shop.buy(customer, (third, 1), (first, 1), (second, 1))
    assert problem(response) == (
        409,
        "item-on-invoice",
        [("/0/item", "item-on-invoice"), ("/2/item", "item-on-invoice")],
    )
    assert shop.lines(customer) == [(second, 1), (third, 1)]
    assert shop.stock() == {first: 10, second: 9, third: 9}


def test_more_than_there_is_names_what_each_line_could_take(shop: Shop) -> None:
    first, second, third = shop.item(quantity=3), shop.item(quantity=0), shop.item(quantity=4)
    customer = shop.customer()
    response = shop.buy(customer, (first, 4), (third, 4), (second, 1))
    assert problem(response) == (
        409,
        "insufficient-stock",
        [("/0/quantity", "insufficient-stock"), ("/2/quantity", "insufficient-stock")],
    )
    found = [(error["item"], error["available"]) for error in response.json()["errors"]]
    assert found == [(first, 3), (second, 0)]
    assert shop.buy(customer, (first, 3), (third, 4)).status_code == 201


@pytest.mark.parametrize(
    "lines",
    [
        '[{"item": 1, "quantity": 1}, {"item": 2, "quantity": 0}]',
        '[{"item": 1, "quantity": 1}, {"item": 999, "quantity": 1}]',
        '[{"item": 1, "quantity": 1}, {"item": 2, "quantity": 11}]',
        '[{"item": 1, "quantity": 1}, {"item": 3, "quantity": 1}]',
    ],
)
def test_one_bad_entry_leaves_nothing_of_the_request(shop: Shop, lines: str) -> None:
    assert [shop.item(), shop.item(), shop.item()] == [1, 2, 3]
    asha, ravi = shop.customer(), shop.customer()
    shop.buy(ravi, (3, 1))
    shop.buy(asha, (3, 1))
    before = shop.stock(), shop.lines(asha)
    assert shop.call("POST", f"customer-purchase/{asha}", lines).status_code in (400, 404, 409)
    assert (shop.stock(), shop.lines(asha)) == before
    assert shop.buy(shop.customer(), (1, 1)).json()["invoice_number"] == "#00003-AAA"


def test_a_failed_first_purchase_leaves_no_invoice_and_takes_no_number(shop: Shop) -> None:
    item, customer = shop.item(quantity=1), shop.customer()
    assert shop.buy(customer, (item, 2)).status_code == 409
    missing = shop.call("GET", f"customer-purchase/{customer}", Accept="application/json")
    assert problem(missing) == (404, "invoice-not-found", [])
    assert shop.buy(shop.customer(), (item, 1)).json()["invoice_number"] == "#00001-AAA"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ("body-invalid", [("", "entries-count")])),
        ([], ("body-invalid", [("", "entries-count")])),
        ({}, ("body-not-array", [])),
        ("[", ("body-not-json", [])),
        ("null", ("body-not-array", [])),
        ([1], ("body-invalid", [("/0", "wrong-type")])),
        ([{}], ("body-invalid", [("/0/item", "missing-key"), ("/0/quantity", "missing-key")])),
        (
            [{"item": 1, "quantity": 0}, {"item": 2, "quantity": 1}, {"item": "3", "quantity": 1.5, "price": 1}],
            ("body-invalid", [("/0/quantity", "out-of-range"), ("/2/item", "wrong-type"),
                              ("/2/price", "unknown-key"), ("/2/quantity", "wrong-type")]),
        ),
        (
            [{"item": 1, "quantity": 1}, {"item": 2, "quantity": 0}, {"item": 1, "quantity": 2},
             {"item": 1, "quantity": True}],
            ("body-invalid", [("/1/quantity", "out-of-range"), ("/2/item", "duplicate-item"),
                              ("/3/item", "duplicate-item"), ("/3/quantity", "wrong-type")]),
        ),
        ([{"item": 1, "quantity": 1_000_001}], ("body-invalid", [("/0/quantity", "out-of-range")])),
        ([{"item": 1, "quantity": -1}], ("body-invalid", [("/0/quantity", "out-of-range")])),
        ([{"item": 0, "quantity": 1}], ("body-invalid", [("/0/item", "out-of-range")])),
        ("[{\"item\": 9223372036854775808, \"quantity\": 1}]", ("body-invalid", [("/0/item", "out-of-range")])),
        ("[{\"item\": 1, \"quantity\": 2.0}]", ("body-invalid", [("/0/quantity", "wrong-type")])),
        ("[{\"item\": 1, \"quantity\": 1e22}]", ("body-invalid", [("/0/quantity", "wrong-type")])),
        ([{"item": 1, "quantity": "１２"}], ("body-invalid", [("/0/quantity", "wrong-type")])),
        ([{"item": n, "quantity": 1} for n in range(1, 1002)], ("body-invalid", [("", "entries-count")])),
    ],
)  # fmt: skip
def test_all_bad_entries_are_named_before_anything_is_read(shop: Shop, body: Any, expected: Any) -> None:
    for customer in ("999", "nobody"):
        status, code, found = problem(shop.call("POST", f"customer-purchase/{customer}", body))
        assert (status, code, sorted(found)) == (400, *expected)


@pytest.mark.slow  # a thousand calls
def test_a_purchase_has_up_to_1000_lines_of_up_to_1000000_pieces(shop: Shop) -> None:
    items = [shop.item(quantity=1_000_000) for _ in range(1000)]
    response = shop.buy(shop.customer(), *[(item, 1_000_000) for item in reversed(items)])
    assert response.status_code == 201, response.text
    assert [line["item"] for line in response.json()["lines"]] == items[::-1]
    assert response.json()["total"] == 1000 * 1_000_000 * 550
    assert set(shop.stock().values()) == {0}


def test_lines_keep_what_the_item_was_when_it_was_added(shop: Shop) -> None:
    item, customer = shop.item(**KURTA), shop.customer()
    shop.buy(customer, (item, 1))
    shop.call("PATCH", f"items/{item}", {"name": "Shirt", "description": "Linen", "price": 1})
    (line,) = shop.put(customer, (item, 2)).json()["lines"]
    assert (line["name"], line["description"], line["unit_price"], line["price"]) == (
        "Kurta",
        "Cotton kurta",
        550,
        1100,
    )
    shop.put(customer, (item, 0))
    (line,) = shop.put(customer, (item, 2)).json()["lines"]
    assert (line["name"], line["description"], line["unit_price"], line["price"]) == ("Shirt", "Linen", 1, 2)
