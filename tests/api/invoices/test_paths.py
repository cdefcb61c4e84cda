"""The paths of the service, each with and without the trailing slash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import settings
from api.invoices import service
from tests.api.invoices.conftest import Serve
from tests.support.invoices import ASHA, KURTA, Shop
from tests.support.peers import SECRET, encoded, message, signed

LINES = [{"item": 1, "quantity": 1}]
CALLS: list[tuple[str, str, Any, int]] = [
    ("GET", "api/items", None, 200),
    ("POST", "api/items", {**KURTA, "description": "Another"}, 201),
    ("PATCH", "api/items/{item_id}", {"quantity": 5}, 200),
    ("GET", "api/customers", None, 200),
    ("POST", "api/customers", ASHA, 201),
    ("POST", "api/customer-purchase/{customer_id}", LINES, 201),
    ("PUT", "api/customer-purchase/{customer_id}", LINES, 200),
    ("GET", "api/customer-purchase/{customer_id}", None, 200),
    ("GET", "api/low-stock-items", None, 200),
    ("POST", "api/peer-customers", message(), 200),
]
"""Every method and route with a body and the status of its success."""


def test_the_table_has_every_endpoint(tmp_path: Path) -> None:
    endpoints = service.build(settings.load({}, tmp_path)).endpoints
    declared = [(method, endpoint.route.strip("/")) for endpoint in endpoints for method in endpoint.methods]
    assert sorted(declared) == sorted((method, route) for method, route, *_ in CALLS)


@pytest.mark.parametrize(("method", "route", "body", "status"), CALLS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_path_holds_with_and_without_the_slash(
    serve: Serve, method: str, route: str, body: Any, status: int, slash: str
) -> None:
    with serve(PEER_SITE_SECRET=SECRET) as client:
        shop = Shop(client)
        item, customer = shop.item(), shop.customer()
        if method in ("GET", "PUT"):
            shop.buy(customer, (item, 1))
        path = route.format(item_id=item, customer_id=customer) + slash
        content = encoded(body) if body is not None else b""
        response = client.request(method, f"/{path}", content=content, headers=signed(content))
    assert response.status_code == status
