"""A shop over HTTP: items, customers and purchases."""

from __future__ import annotations

import re
from typing import Any, Final

import httpx

KURTA: Final = {"name": "Kurta", "description": "Cotton kurta", "price": 550, "quantity": 10}
SAREE: Final = {"name": "Saree", "description": "Silk saree", "price": 1799.99, "quantity": 5}
ASHA: Final = {"name": "Asha Rao", "phone": "+919876543210", "address": "12 MG Road, Pune"}


class Shop:
    """Calls of the service."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def call(self, method: str, path: str, body: Any = None, key: str | None = None, **headers: str) -> httpx.Response:
        """Returns the response to a call of a path below /api: bytes and text as they are, anything else as JSON."""
        options: dict[str, Any] = {"headers": headers | ({"Idempotency-Key": key} if key else {})}
        if body is not None:
            options["content" if isinstance(body, str | bytes) else "json"] = body
        return self.client.request(method, f"/api/{path}", **options)

    def add(self, path: str, body: Any) -> dict[str, Any]:
        """Creates an item or a customer and returns it."""
        response = self.call("POST", path, body)
        assert response.status_code == 201, response.text
        added: dict[str, Any] = response.json()
        return added

    def item(self, **changes: Any) -> int:
        """Creates an item like the kurta, with another description unless it is given, and returns its id."""
        self._items = getattr(self, "_items", 0) + 1
        added: int = self.add("items/", {**KURTA, "description": f"Item {self._items}", **changes})["id"]
        return added

    def customer(self, **changes: Any) -> int:
        """Creates a customer and returns its id."""
        added: int = self.add("customers/", {**ASHA, **changes})["id"]
        return added

    def buy(self, customer: object, *lines: tuple[int, int], method: str = "POST", key: str | None = None) -> Any:
        """Returns the response to a purchase of items with quantities."""
        body = [{"item": item, "quantity": quantity} for item, quantity in lines]
        return self.call(method, f"customer-purchase/{customer}", body, key)

    def put(self, customer: object, *lines: tuple[int, int], key: str | None = None) -> Any:
        """Returns the response to a change of a purchase."""
        return self.buy(customer, *lines, method="PUT", key=key)

    def invoice(self, customer: object) -> Any:
        """Returns the invoice as JSON."""
        response = self.call("GET", f"customer-purchase/{customer}", Accept="application/json")
        assert response.status_code == 200, response.text
        return response.json()

    def lines(self, customer: object) -> list[tuple[int, int]]:
        """Returns the items and quantities of an invoice."""
        return [(line["item"], line["quantity"]) for line in self.invoice(customer)["lines"]]

    def stock(self) -> dict[int, int]:
        """Returns the quantities of all items by their ids."""
        return {item["id"]: item["quantity"] for item in self.call("GET", "items/").json()}

    def pages(self, path: str, limit: int) -> list[list[Any]]:
        """Returns all pages of a list, as the links lead to them."""
        pages, url = [], f"/api/{path}?limit={limit}"
        while url:
            response = self.client.get(url)
            assert response.status_code == 200, response.text
            pages.append(response.json())
            link = re.fullmatch(r'<(/api/.*)>; rel="next"', response.headers.get("link", ""))
            url = link[1] if link else ""
        return pages


def problem(response: httpx.Response) -> tuple[int, str, list[tuple[str, str]]]:
    """Returns the status, the code, and the pointers with their codes, of a problem."""
    body = response.json()
    found = [(error["pointer"], error["code"]) for error in body["errors"]]
    return response.status_code, body["type"].removeprefix("/problems/"), found
