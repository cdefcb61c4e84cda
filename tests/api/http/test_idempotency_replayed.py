"""The header `Idempotency-Replayed`: every endpoint that takes a key sends it with a replay, and with nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from api.http.openapi import build_document
from api.invoices import service as invoices
from tests.conftest import endpoints
from tests.support.account_calls import CALLS as ACCOUNT_CALLS
from tests.support.ecg_calls import CALLS as ECG_CALLS
from tests.support.peers import SECRET, encoded, message, signed
from tests.support.serving import serving_service
from tests.support.users import NORTH

Send = Callable[[], httpx.Response]
Prepare = Callable[[Any], Send]
"""Stores what a call needs, and returns the call, which has the same key each time."""

NEW_KEY: Final = "with a new `Idempotency-Key`"
ITEM: Final = {"description": "Kurta", "price": 550, "quantity": 10}
CUSTOMER: Final = {"name": "Asha Rao", "phone": "9876543210", "address": "Pune"}


def _send(route: str, body: Any, method: str = "POST") -> Prepare:
    return lambda api: lambda: api.client.request(method, f"/{route}", json=body, headers={"Idempotency-Key": "key-1"})


def _create(api: Any) -> Send:
    return _send("create_user", api.new_user())(api)


def _create_many(api: Any) -> Send:
    return _send("create_users", {"users": [api.new_user(), api.new_user()]})(api)


def _update(api: Any) -> Send:
    update = {"user_ids": [api.create()["user_id"], str(uuid.uuid4())], "update_data": {"manager_id": NORTH}}
    return _send("update_user", update)(api)


def _delete(api: Any) -> Send:
    return _send("delete_user", {"user_id": api.create()["user_id"]})(api)


def _spend(api: Any) -> Send:
    api.post("addTransaction", {"payer": "DANNON", "points": 300, "timestamp": "2020-10-31T10:00:00Z"})
    return _send("spend", {"points": 100})(api)


def _change_item(api: Any) -> Send:
    number = api.post("api/items/", ITEM).json()["id"]
    return _send(f"api/items/{number}", {"quantity_change": 1}, "PATCH")(api)


def _purchase(api: Any) -> Send:
    item, customer = (api.post(f"api/{route}/", body).json()["id"] for route, body in _STOCK.items())
    return _send(f"api/customer-purchase/{customer}", [{"item": item, "quantity": 1}])(api)


_STOCK: Final = {"items": ITEM, "customers": CUSTOMER}

CALLS: Final[dict[str, Prepare]] = {
    "create_user": _create,
    "create_users": _create_many,
    "update_user": _update,
    "delete_user": _delete,
    "add_transaction": _send("addTransaction", {"payer": "DANNON", "points": 300, "timestamp": "2020-10-31T10:00:00Z"}),
    "spend": _spend,
    "calculator_add_record": ACCOUNT_CALLS[f"`POST records` {NEW_KEY}"],
    "ecgs_create": ECG_CALLS[f"`POST ecgs` {NEW_KEY}"],
    "invoices_items_create": _send("api/items/", ITEM),
    "invoices_items_change": _change_item,
    "invoices_customers_create": _send("api/customers/", CUSTOMER),
    "invoices_purchase_add": _purchase,
}
PEER: Final = "invoices_peer_customers"


def test_every_endpoint_that_takes_a_key_is_swept() -> None:
    assert {endpoint.name for endpoint in endpoints() if endpoint.idempotent} - {PEER} == {*CALLS}


@pytest.mark.parametrize("name", CALLS)
def test_a_replay_says_so_and_the_first_response_does_not(api: Any, name: str) -> None:
    send = CALLS[name](api)
    first, again = send(), send()
    assert first.is_success, first.text
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert [response.headers.get("idempotency-replayed") for response in (first, again)] == [None, "true"]


def test_a_replay_to_the_other_site_says_so(app_database: None, tmp_path: Path) -> None:
    body = encoded(message())
    headers = {**signed(body), "Idempotency-Key": "key-1"}
    with serving_service(invoices, tmp_path, PEER_SITE_SECRET=SECRET) as client:
        responses = [client.post("/api/peer-customers", content=body, headers=headers) for _ in range(2)]
    assert [response.status_code for response in responses] == [200, 200]
    assert [response.headers.get("idempotency-replayed") for response in responses] == [None, "true"]


def test_the_document_declares_the_header_where_a_key_is_taken() -> None:
    document = build_document(endpoints())
    for path in document["paths"].values():
        for operation in path.values():
            takes_key = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
            for status, response in operation["responses"].items():
                declared = response.get("headers", {}).get("Idempotency-Replayed")
                assert (declared is not None) == (takes_key and status < "400"), (operation["operationId"], status)
                assert declared is None or declared["schema"] == {"type": "string", "const": "true"}
