"""A person who calculates, over HTTP."""

from __future__ import annotations

from typing import Any, Final

import httpx

from persistence import calculator as store
from persistence.database import connections
from tests.support.accounts import Added, bearer

ADDITION: Final = '{"operation_id": 1, "operator1": 1, "operator2": 2}'
RANDOM_STRING: Final = '{"operation_id": 6}'


class Calculator:
    """Calls with the token of one account."""

    def __init__(self, client: httpx.Client, account: Added) -> None:
        self.client = client
        self.account = account
        self.headers = bearer(account)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Returns the response to a call."""
        headers = {**self.headers, **options.pop("headers", {})}
        return self.client.request(method, f"/api/v1/{path}", headers=headers, **options)

    def post(self, body: str | bytes, **headers: str) -> httpx.Response:
        """Sends a body to `POST /records`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", "records", content=body, headers=named)

    def add(self, body: str = ADDITION) -> int:
        """Adds a record and returns its id."""
        response = self.post(body)
        assert response.status_code == 201, response.text
        record_id: int = response.json()["record_id"]
        return record_id

    def compute(self, operation_id: int, *operands: str) -> str:
        """Adds a record with operands as they are written, and returns its `operation_response`."""
        texts = "".join(f', "operator{number}": {operand}' for number, operand in enumerate(operands, 1))
        record_id = self.add(f'{{"operation_id": {operation_id}{texts}}}')
        (record,) = self.records(per_page="1")
        assert record["id"] == record_id
        return str(record["operation_response"])

    def page(self, path: str = "records", **query: str) -> dict[str, Any]:
        """Returns a list with its pagination."""
        response = self.call("GET", path, params=query)
        assert response.status_code == 200, response.text
        content: dict[str, Any] = response.json()
        assert content["success"] is True
        return content

    def records(self, **query: str) -> list[dict[str, Any]]:
        """Returns the records of a page."""
        records: list[dict[str, Any]] = self.page(**query)["records"]
        return records

    def delete(self, record_id: object) -> httpx.Response:
        """Deletes a record."""
        return self.call("DELETE", f"records/{record_id}")

    def balance(self) -> int:
        """Returns the balance."""
        response = self.call("GET", "balance")
        assert response.status_code == 200, response.text
        assert response.json().keys() == {"balance"}
        balance: int = response.json()["balance"]
        return balance

    def spend_down_to(self, balance: int) -> None:
        """Stores records directly until the balance is this: 8 credits each, and fewer at the end."""
        with connections.transaction() as connection:
            left = store.find_balance(connection, self.account.id)
            while left > balance:
                amount = min(8, left - balance)
                _, left = store.charge(connection, self.account.id, 6, amount, "x", now="2026-01-01T00:00:00.000000Z")

    def grant(self, amount: int) -> None:
        """Adds credit."""
        with connections.transaction() as connection:
            store.grant(connection, self.account.username, amount)
