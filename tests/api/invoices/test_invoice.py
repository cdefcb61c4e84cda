"""`GET /api/customer-purchase/{customer_id}`: PDF or JSON by `Accept`."""

from __future__ import annotations

import pytest

from tests.api.invoices.conftest import Serve
from tests.support.invoices import Shop

PDF = "application/pdf"
JSON = "application/json"


@pytest.fixture
def customer(shop: Shop) -> int:
    """A customer with an invoice."""
    customer = shop.customer()
    assert shop.buy(customer, (shop.item(), 1)).status_code == 201
    return customer


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, PDF),
        ("*/*", PDF),
        (PDF, PDF),
        ("text/html", PDF),
        (f"{JSON}, */*", PDF),
        (f"{JSON}, {PDF}", PDF),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", PDF),
        (JSON, JSON),
        (f"{JSON}, */*;q=0.8", JSON),
        (f"{JSON};q=0.4, {PDF};q=0.3", JSON),
        (f"application/*, {PDF};q=0", JSON),
    ],
)
def test_json_needs_a_higher_q_than_pdf(shop: Shop, customer: int, accept: str | None, media_type: str) -> None:
    request = shop.client.build_request("GET", f"/api/customer-purchase/{customer}")
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    response = shop.client.send(request)
    assert (response.status_code, response.headers["content-type"]) == (200, media_type)
    assert response.content.startswith(b"%PDF-" if media_type == PDF else b'{"invoice_number":"#00001-AAA",')
    assert response.headers["cache-control"] == "no-store"


def test_the_json_is_the_response_of_the_purchase(shop: Shop) -> None:
    customer = shop.customer()
    created = shop.buy(customer, (shop.item(), 3), (shop.item(price=0.1), 1))
    assert shop.invoice(customer) == created.json()


@pytest.mark.parametrize("path", ["customer-purchase/{}", "customer-purchase/{}/"])
def test_the_pdf_has_a_file_name(shop: Shop, customer: int, path: str) -> None:
    response = shop.call("GET", path.format(customer))
    assert response.headers["content-disposition"] == 'inline; filename="invoice-00001-AAA.pdf"'
    assert shop.call("GET", path.format(customer), Accept=JSON).headers.get("content-disposition") is None


def test_the_company_and_the_currency_are_settings(serve: Serve, shop: Shop, customer: int) -> None:
    before = shop.call("GET", f"customer-purchase/{customer}")
    with serve(INVOICE_COMPANY_NAME="Other Ltd.", INVOICE_CURRENCY="$") as client:
        assert Shop(client).call("GET", f"customer-purchase/{customer}").content != before.content
    assert shop.call("GET", f"customer-purchase/{customer}").content == before.content


def test_a_read_takes_no_body_and_no_key(shop: Shop, customer: int) -> None:
    response = shop.call("GET", f"customer-purchase/{customer}", [])
    assert response.json()["type"] == "/problems/body-not-expected"
    response = shop.call("GET", f"customer-purchase/{customer}", key="k")
    assert response.json()["type"] == "/problems/idempotency-key-unsupported"
