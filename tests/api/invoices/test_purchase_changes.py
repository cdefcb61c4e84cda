"""`PUT /api/customer-purchase/{customer_id}`: new quantities, further lines, removed lines, and the stock."""

from __future__ import annotations

from tests.support.invoices import Shop, problem


def test_listed_lines_change_new_items_are_added_and_others_stay(shop: Shop) -> None:
    first, second, third = shop.item(), shop.item(), shop.item()
    customer = shop.customer()
    created = shop.buy(customer, (first, 1), (second, 2)).json()
    response = shop.put(customer, (third, 4), (second, 3))
    assert response.status_code == 200, response.text
    assert response.json() == shop.invoice(customer)
    assert response.json()["invoice_number"] == created["invoice_number"]
    assert shop.lines(customer) == [(first, 1), (second, 3), (third, 4)]
    assert shop.stock() == {first: 9, second: 7, third: 6}


def test_stock_moves_by_the_difference_and_comes_back(shop: Shop) -> None:
    item, customer = shop.item(quantity=10), shop.customer()
    shop.buy(customer, (item, 4))
    for quantity, left in ((10, 0), (7, 3), (7, 3), (1, 9), (0, 10)):
        assert shop.put(customer, (item, quantity)).status_code == 200
        assert shop.stock() == {item: left}


def test_quantity_0_removes_a_line_and_needs_none(shop: Shop) -> None:
    first, second = shop.item(), shop.item()
    customer = shop.customer()
    shop.buy(customer, (first, 1), (second, 2))
    assert shop.put(customer, (first, 0)).json() == shop.invoice(customer)
    assert shop.lines(customer) == [(second, 2)]
    before = shop.invoice(customer)
    assert shop.put(customer, (first, 0)).json() == before
    assert shop.stock() == {first: 10, second: 8}


def test_an_invoice_without_lines_stays_with_its_number(shop: Shop) -> None:
    item, customer = shop.item(), shop.customer()
    number = shop.buy(customer, (item, 1)).json()["invoice_number"]
    empty = shop.put(customer, (item, 0)).json()
    assert (empty["invoice_number"], empty["lines"], empty["total"]) == (number, [], 0)
    assert shop.buy(customer, (item, 2)).json()["invoice_number"] == number
    assert shop.buy(shop.customer(), (item, 1)).json()["invoice_number"] == "#00002-AAA"


def test_a_line_that_was_removed_and_added_again_stands_last(shop: Shop) -> None:
    first, second = shop.item(), shop.item()
    customer = shop.customer()
    shop.buy(customer, (first, 1), (second, 1))
    shop.put(customer, (first, 0))
    shop.put(customer, (first, 1))
    assert shop.lines(customer) == [(second, 1), (first, 1)]


def test_available_is_what_the_line_could_take_in_all(shop: Shop) -> None:
    first, second = shop.item(quantity=10), shop.item(quantity=1)
    customer = shop.customer()
    shop.buy(customer, (first, 4))
    response = shop.put(customer, (second, 2), (first, 11))
    assert problem(response)[:2] == (409, "insufficient-stock")
    assert [(error["pointer"], error["item"], error["available"]) for error in response.json()["errors"]] == [
        ("/0/quantity", second, 1),
        ("/1/quantity", first, 10),
    ]
    assert shop.put(customer, (second, 1), (first, 10)).status_code == 200
    assert shop.stock() == {first: 0, second: 0}


def test_stock_comes_back_beyond_what_patch_would_accept(shop: Shop) -> None:
    item, customer = shop.item(quantity=5), shop.customer()
    shop.buy(customer, (item, 5))
    assert shop.call("PATCH", f"items/{item}", {"quantity": 1_000_000_000}).status_code == 200
    assert shop.call("PATCH", f"items/{item}", {"quantity_change": 1}).status_code in (400, 409)
    assert shop.put(customer, (item, 0)).status_code == 200
    assert shop.stock() == {item: 1_000_000_005}


def test_a_put_needs_an_invoice(shop: Shop) -> None:
    item, customer = shop.item(), shop.customer()
    assert problem(shop.put(customer, (item, 1))) == (404, "invoice-not-found", [])
    assert shop.stock() == {item: 10}
