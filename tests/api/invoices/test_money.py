"""Money: what is a price, that sums are exact, and the maximum of lines and totals."""

from __future__ import annotations

from decimal import Decimal

import orjson
import pytest

from tests.support.invoices import Shop, problem

ITEM = '{"description": "x", "quantity": 1000000, "price": %s}'


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("550", "550"),
        ("550.0000000", "550"),
        ("1799.99", "1799.99"),
        ("0.1", "0.1"),
        ("0.30", "0.3"),
        ("0.07", "0.07"),
        ("1e2", "100"),
        ("12e-1", "1.2"),
        ("1.15", "1.15"),
        ("9999999999.99", "9999999999.99"),
        ("9999999999.990000001", "9999999999.99"),  # the same double
        ('"0"', "0"),
        ('"007.50"', "7.5"),
        ('"1799.9"', "1799.9"),
        ('"9999999999.99"', "9999999999.99"),
        ('"' + "0" * 100_000 + '1.05"', "1.05"),
    ],
)
def test_a_price_is_a_number_or_digits(shop: Shop, sent: str, returned: str) -> None:
    response = shop.call("POST", "items/", ITEM % sent)
    assert response.status_code == 201, response.text
    price = orjson.loads(response.content)["price"]
    assert type(price) in (int, float)
    assert Decimal(str(price)) == Decimal(returned)
    item, customer = response.json()["id"], shop.customer()
    invoice = shop.buy(customer, (item, 3)).json()
    assert Decimal(str(invoice["total"])) == 3 * Decimal(returned)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("0.001", "price-invalid"),
        ("0.30000000000000004", "price-invalid"),  # 0.1 + 0.2
        ("1.005", "price-invalid"),
        ("9999999999.985", "price-invalid"),
        ("1e-7", "price-invalid"),
        ("5e-324", "price-invalid"),
        ("-0.01", "out-of-range"),
        ("-5e-324", "out-of-range"),
        ("10000000000", "out-of-range"),
        ("9999999999.995", "out-of-range"),
        ("18446744073709551615", "out-of-range"),
        ("1e22", "out-of-range"),
        ("1e308", "out-of-range"),
        ("true", "wrong-type"),
        ("null", "wrong-type"),
        ("[1]", "wrong-type"),
        ('{"amount": 1}', "wrong-type"),
        ('""', "price-invalid"),
        ('"1.005"', "price-invalid"),
        ('"1."', "price-invalid"),
        ('".5"', "price-invalid"),
        ('"-0"', "price-invalid"),
        ('"+1"', "price-invalid"),
        ('"1e2"', "price-invalid"),
        ('" 1"', "price-invalid"),
        ('"1\\n"', "price-invalid"),
        ('"1,000"', "price-invalid"),
        ('"1_000"', "price-invalid"),
        ('"1,5"', "price-invalid"),
        ('"₹1"', "price-invalid"),
        ('"１２"', "price-invalid"),
        ('"१२"', "price-invalid"),
        ('"Infinity"', "price-invalid"),
        ('"NaN"', "price-invalid"),
        ('"10000000000.00"', "out-of-range"),
        ('"' + "9" * 100_000 + '"', "out-of-range"),
        ('"' + "0" * 1_000_000 + 'x"', "price-invalid"),
    ],
)
def test_every_other_price_is_named(shop: Shop, sent: str, code: str) -> None:
    item = shop.item()
    for method, path, body in (("POST", "items/", ITEM % sent), ("PATCH", f"items/{item}", f'{{"price": {sent}}}')):
        assert problem(shop.call(method, path, body)) == (400, "body-invalid", [("/price", code)])


@pytest.mark.parametrize("sent", ["NaN", "Infinity", "-Infinity", "1e400", "01", "+1", ".5", "1.", "0x1"])
def test_numbers_that_are_not_json_are_no_prices(shop: Shop, sent: str) -> None:
    assert problem(shop.call("POST", "items/", ITEM % sent)) == (400, "body-not-json", [])


def test_totals_are_sums_of_decimals(shop: Shop) -> None:
    items = [(shop.item(price=price, quantity=10), count) for price, count in ((0.1, 1), (0.2, 1), (0.07, 3))]
    invoice = shop.buy(shop.customer(), *items).json()
    assert [line["price"] for line in invoice["lines"]] == [0.1, 0.2, 0.21]
    assert invoice["total"] == 0.51


def test_a_line_or_a_total_above_the_maximum_is_rejected(shop: Shop) -> None:
    dear = shop.item(price="9999999999.99", quantity=1_000_000)
    even = shop.item(price="9999999999.99", quantity=1_000_000)
    cheap = shop.item(price="10.00", quantity=10)
    cent = shop.item(price="0.01", quantity=10)
    customer = shop.customer()
    above = shop.buy(customer, (cheap, 1), (dear, 1001))
    assert problem(above) == (409, "total-too-large", [("/1/quantity", "total-too-large")])
    assert shop.buy(customer, (dear, 1000)).json()["total"] == 9_999_999_999_990
    above = (409, "total-too-large", [])
    assert problem(shop.buy(customer, (even, 1))) == above
    assert shop.buy(customer, (cheap, 1)).status_code == 409, "10.00 would be one paisa too many"
    assert shop.put(customer, (cent, 10), (cheap, 0)).status_code == 200
    assert problem(shop.put(customer, (cheap, 1))) == above
    assert shop.put(customer, (cheap, 1), (cent, 0), (dear, 999)).status_code == 200
    assert shop.stock() == {dear: 999_001, even: 1_000_000, cheap: 9, cent: 10}


def test_the_largest_total_is_returned_exactly(shop: Shop) -> None:
    dear = shop.item(price="9999999999.99", quantity=1000)
    rest = shop.item(price="9.99", quantity=1)
    response = shop.buy(shop.customer(), (dear, 1000), (rest, 1))
    assert response.json()["total"] == 9999999999999.99
    assert b'"total":9999999999999.99' in response.content
