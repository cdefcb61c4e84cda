"""Calls with idempotency keys, and the stored keys."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import insert, select, update

from domain.timestamps import format_timestamp
from persistence.database import connections
from persistence.database.idempotency import KEYS
from persistence.points import SPENDS, TRANSACTIONS

ADD: Final[dict[str, Any]] = {"payer": "DANNON", "points": 300, "timestamp": "2020-10-31T10:00:00Z"}
SPEND: Final[dict[str, Any]] = {"points": 100}
BODIES: Final = {"addTransaction": ADD, "spend": SPEND}
NAMES: Final = {"addTransaction": "add_transaction", "spend": "spend"}
"""The names of the functions by their routes."""

each_route = pytest.mark.parametrize("route", BODIES)


def call(
    api: Any, route: str, key: str | None = None, *, options: Mapping[str, Any] | None = None, **fields: Any
) -> httpx.Response:
    """The response to a call, with a key unless it is None; `options` are more arguments for httpx."""
    more = dict(options or {})
    headers = {**more.pop("headers", {}), **({} if key is None else {"Idempotency-Key": key})}
    response: httpx.Response = api.post(route, {**BODIES[route], **fields}, headers=headers, **more)
    return response


def call_raw(api: Any, route: str, key: bytes) -> tuple[int, Any]:
    """The status and the body for a header that httpx would not send."""
    connection = http.client.HTTPConnection(api.client.base_url.host, api.client.base_url.port, timeout=60)
    content = httpx.Request("POST", "http://localhost", json=BODIES[route]).content
    connection.request("POST", f"/{route}", content, {"Idempotency-Key": key})
    response = connection.getresponse()
    status, body = response.status, response.read()
    connection.close()
    return status, body


def balance_of(api: Any) -> Any:
    """The points of every payer."""
    return api.client.get("/balance").json()


def code_of(response: httpx.Response) -> str:
    """The code of a problem."""
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["type"]).removeprefix("/problems/")


def content_of(response: httpx.Response) -> tuple[int, bytes, str, str]:
    """The parts of a response that a replay repeats."""
    headers = response.headers
    return response.status_code, response.content, headers["content-type"], headers["cache-control"]


def stored_keys() -> list[tuple[str, str]]:
    """The stored keys with their operations, in the order in which they were claimed."""
    with connections.reading() as connection:
        rows = connection.execute(select(KEYS.c.trigger_name, KEYS.c.idempotency_key).order_by(KEYS.c.id)).fetchall()
    return [(row.trigger_name, row.idempotency_key) for row in rows]


def stored_counts() -> tuple[int, int, int]:
    """How many keys, transactions and spends are stored."""
    counts = []
    for table in (KEYS, TRANSACTIONS, SPENDS):
        with connections.reading() as connection:
            counts.append(len(connection.execute(select(table.c.id)).fetchall()))
    return counts[0], counts[1], counts[2]


def age_keys(**age: float) -> None:
    """Sets the age of every stored key."""
    with connections.transaction() as connection:
        connection.execute(update(KEYS).values(created_at=format_timestamp(datetime.now(UTC) - timedelta(**age))))


def store_aged_keys(count: int, *, hours: float) -> list[str]:
    """Stores keys, each a second younger than the one before, the youngest first. Returns them, the oldest first."""
    eldest = datetime.now(UTC) - timedelta(hours=hours)
    response = {"status": 200, "body": b"[]", "media_type": "application/json"}
    row = {"trigger_name": "spend", "caller": "", "request_hash": "0" * 64, "call_hash": "0" * 64, **response}
    keys = [f"{hours}-{number}" for number in range(count)]
    rows = [
        {**row, "idempotency_key": key, "created_at": format_timestamp(eldest + timedelta(seconds=number))}
        for number, key in enumerate(keys)
    ]
    with connections.transaction() as connection:
        connection.execute(insert(KEYS), rows[::-1])
    return keys
