"""Calls of the invoices service whose statements are counted."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from tests.support.account_calls import Prepare, replay, while_keys_expire
from tests.support.invoices import ASHA, KURTA, Shop


def _new_item(shop: Shop) -> int:
    return shop.item(description=uuid.uuid4().hex)


def _call(method: str, path: str, body: Any = None, **headers: str) -> Prepare:
    """A call of a shop with two items, and a customer with an invoice of the first."""

    def prepare(api: Any) -> Callable[[], Any]:
        shop = Shop(api.client)
        item, other, customer = _new_item(shop), _new_item(shop), shop.customer()
        shop.buy(customer, (item, 1))
        sent = body(item, other) if callable(body) else body
        route = path.format(item=item, customer=customer)
        return lambda: shop.call(method, route, sent, **headers)

    return prepare


def _create_item(api: Any) -> Callable[[], Any]:
    body = {**KURTA, "description": uuid.uuid4().hex}
    return lambda: Shop(api.client).call("POST", "items/", body)


def _list_next_page(api: Any) -> Callable[[], Any]:
    shop = Shop(api.client)
    for _ in range(2):
        shop.customer()
    link = shop.call("GET", "customers/?limit=1").headers["link"]
    return lambda: api.client.get(link[1 : link.index(">")])


def _buy(lines: int = 1, *, keyed: bool = False) -> Prepare:
    """The first purchase of a customer."""

    def prepare(api: Any) -> Callable[[], Any]:
        shop = Shop(api.client)
        items, customer = [_new_item(shop) for _ in range(lines)], shop.customer()
        key = str(uuid.uuid4()) if keyed else None
        return lambda: shop.buy(customer, *[(item, 1) for item in items], key=key)

    return prepare


def _entries(*quantities: int) -> Callable[..., Any]:
    return lambda *items: [
        {"item": item, "quantity": quantity} for item, quantity in zip(items, quantities, strict=False) if quantity >= 0
    ]


_PURCHASE: Final = "customer-purchase/{customer}"

CALLS: Final[dict[str, Prepare]] = {
    "`GET items`": _call("GET", "items/"),
    "`GET items`, a page": _call("GET", "items/?limit=1"),
    "`POST item`": _create_item,
    "`PATCH item`": _call("PATCH", "items/{item}", body={"quantity_change": 5}),
    "`PATCH item` of an unknown item": _call("PATCH", "items/999999", body={"quantity_change": 5}),
    "`GET customers`": _call("GET", "customers/"),
    "`GET customers`, a later page": _list_next_page,
    "`POST customer`": _call("POST", "customers/", body=ASHA),
    "`POST customer-purchase`, the first of a customer": _buy(),
    "`POST customer-purchase`, the first of a customer, 100 lines": _buy(100),
    "`POST customer-purchase`, further lines": _call("POST", _PURCHASE, body=_entries(-1, 1)),
    "`POST customer-purchase` of an item on the invoice": _call("POST", _PURCHASE, body=_entries(1)),
    "`POST customer-purchase` with a new `Idempotency-Key`": _buy(keyed=True),
    "`POST customer-purchase` with a new `Idempotency-Key`, while expired keys are purged": while_keys_expire(
        _buy(keyed=True)
    ),
    "`POST customer-purchase` with a used `Idempotency-Key` (a replay)": replay(_buy(keyed=True)),
    "`PUT customer-purchase`, new quantities": _call("PUT", _PURCHASE, body=_entries(2)),
    "`PUT customer-purchase`, a removed line and a new one": _call("PUT", _PURCHASE, body=_entries(0, 1)),
    "`PUT customer-purchase` without a change": _call("PUT", _PURCHASE, body=_entries(1)),
    "`GET customer-purchase`": _call("GET", _PURCHASE),
    "`GET low-stock-items`": _call("GET", "low-stock-items/"),
}
