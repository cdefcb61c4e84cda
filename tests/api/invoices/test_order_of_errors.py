"""The order of errors: fields, customer, invoice, items, lines, stock. Requests have errors of later kinds, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.invoices import Shop, problem

UNKNOWN = 9_000


@pytest.fixture
def bought(shop: Shop) -> Iterator[tuple[Shop, int, int, int]]:
    """A shop, a customer, an item on the invoice, and an item with one piece."""
    item, scarce, customer = shop.item(), shop.item(quantity=1), shop.customer()
    shop.buy(customer, (item, 1))
    yield shop, customer, item, scarce
    assert shop.stock() == {item: 9, scarce: 1}
    assert shop.lines(customer) == [(item, 1)]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("customer", [UNKNOWN, "x", "0", "01", "-1", "1.0", "%D9%A1", "9" * 30, "1%20"])
def test_fields_come_before_the_customer(bought: tuple[Shop, int, int, int], method: str, customer: object) -> None:
    shop, _, item, _ = bought
    bad = shop.buy(customer, (UNKNOWN, 1), (item, -1), method=method)
    assert problem(bad) == (400, "body-invalid", [("/1/quantity", "out-of-range")])
    assert problem(shop.buy(customer, (UNKNOWN, 1), method=method))[:2] == (404, "customer-not-found")


def test_the_customer_comes_before_everything_that_is_stored(bought: tuple[Shop, int, int, int]) -> None:
    shop, customer, item, scarce = bought
    lines = [(UNKNOWN, 1), (item, 1), (scarce, 2), (UNKNOWN + 1, 1)]
    for method in ("POST", "PUT"):
        assert problem(shop.buy(UNKNOWN, *lines, method=method))[:2] == (404, "customer-not-found")
    other = shop.customer()
    assert problem(shop.put(other, *lines))[:2] == (404, "invoice-not-found")
    for response in (shop.buy(customer, *lines), shop.put(customer, *lines), shop.buy(other, *lines)):
        assert problem(response) == (
            404,
            "items-not-found",
            [("/0/item", "items-not-found"), ("/3/item", "items-not-found")],
        )
        assert response.json()["items"] == [UNKNOWN, UNKNOWN + 1]


def test_lines_come_before_the_stock(bought: tuple[Shop, int, int, int]) -> None:
    shop, customer, item, scarce = bought
    response = shop.buy(customer, (scarce, 2), (item, 1))
    assert problem(response) == (409, "item-on-invoice", [("/1/item", "item-on-invoice")])
    response = shop.put(customer, (scarce, 2), (item, 1))
    assert problem(response) == (409, "insufficient-stock", [("/0/quantity", "insufficient-stock")])


def test_a_read_names_the_customer_before_the_invoice(bought: tuple[Shop, int, int, int]) -> None:
    shop, *_ = bought
    other = shop.customer()
    for customer in (UNKNOWN, "x", "0", "01"):
        assert problem(shop.call("GET", f"customer-purchase/{customer}")) == (404, "customer-not-found", [])
    assert problem(shop.call("GET", f"customer-purchase/{other}")) == (404, "invoice-not-found", [])
