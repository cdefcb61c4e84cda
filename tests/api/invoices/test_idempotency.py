"""`Idempotency-Key` on every POST and PATCH; the path is part of the request."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.invoices import ASHA, KURTA, Shop, problem

REUSED: Final[tuple[int, str, list[Any]]] = (409, "idempotency-key-reused", [])


def test_a_repeated_purchase_has_one_effect(shop: Shop) -> None:
    item, customer = shop.item(), shop.customer()
    first, again = (shop.buy(customer, (item, 3), key="k") for _ in range(2))
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert shop.stock() == {item: 7}


def test_the_customer_in_the_path_is_part_of_the_request(shop: Shop) -> None:
    item, asha, ravi = shop.item(), shop.customer(), shop.customer()
    shop.buy(asha, (item, 3), key="k")
    assert problem(shop.buy(ravi, (item, 3), key="k")) == REUSED
    assert problem(shop.call("GET", f"customer-purchase/{ravi}"))[1] == "invoice-not-found"
    assert shop.stock() == {item: 7}


def test_the_item_in_the_path_is_part_of_the_request(shop: Shop) -> None:
    first, second = shop.item(), shop.item()
    for _ in range(2):
        assert shop.call("PATCH", f"items/{first}", {"quantity_change": 5}, "k").json()["quantity"] == 15
    assert problem(shop.call("PATCH", f"items/{second}", {"quantity_change": 5}, "k")) == REUSED
    assert shop.stock() == {first: 15, second: 10}


@pytest.mark.parametrize(("path", "body"), [("items/", KURTA), ("customers/", ASHA)])
def test_a_repeated_creation_creates_one(shop: Shop, path: str, body: dict[str, Any]) -> None:
    first, again = (shop.call("POST", spelling, body, "k") for spelling in (path, path.rstrip("/")))
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert len(shop.call("GET", path).json()) == 1
    assert problem(shop.call("POST", path, {**body, "name": "Other"}, "k")) == REUSED


def test_equivalent_entries_are_the_same_request(shop: Shop) -> None:
    item, other, customer = shop.item(), shop.item(), shop.customer()
    first = shop.call("POST", f"customer-purchase/{customer}", f'[{{"item":{item},"quantity":2}}]', "k")
    again = shop.call("POST", f"customer-purchase/{customer}/", f'[ {{"quantity": 2, "item": {item}}} ]', "k")
    assert (first.status_code, first.content) == (again.status_code, again.content)
    for line in ((item, 3), (other, 2)):
        assert problem(shop.buy(customer, line, key="k")) == REUSED


def test_keys_of_endpoints_are_independent_and_errors_are_not_stored(shop: Shop) -> None:
    item = shop.add("items/", KURTA)["id"]
    customer = shop.call("POST", "customers/", ASHA, "k").json()["id"]
    assert shop.buy(customer, (item, 11), key="k").status_code == 409
    assert shop.call("PATCH", f"items/{item}", {"quantity": 11}, "k").status_code == 200
    assert shop.buy(customer, (item, 11), key="k").status_code == 201


def test_a_put_takes_no_key(shop: Shop) -> None:
    item, customer = shop.item(), shop.customer()
    shop.buy(customer, (item, 1))
    assert problem(shop.put(customer, (item, 2), key="k")) == (400, "idempotency-key-unsupported", [])
    assert shop.lines(customer) == [(item, 1)]
