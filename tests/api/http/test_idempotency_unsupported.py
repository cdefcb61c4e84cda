"""An idempotency key is an error if the endpoint does not support it: the caller would rely on it."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any, Final

import pytest

from api.http.openapi import openapi_endpoint
from api.http.service import Endpoint
from tests.support.endpoints import caller_of
from tests.support.openapi import ENDPOINTS

UNLISTED: Final[list[Endpoint]] = [
    openapi_endpoint(()),
    *(endpoint for module in ("health", "docs") for endpoint in import_module(f"api.{module}").service.endpoints),
]
ALL: Final = {**ENDPOINTS, **{endpoint.name: endpoint for endpoint in UNLISTED}}


def _example(endpoint: Endpoint) -> bytes:
    examples = getattr(endpoint.body, "EXAMPLES", {})
    return json.dumps(next(iter(examples.values()))).encode() if examples else b""


def test_these_endpoints_take_keys() -> None:
    assert len(ALL) >= 16
    users = {"create_user", "update_user", "delete_user"}
    assert {name for name, endpoint in ALL.items() if endpoint.idempotent} >= {"add_transaction", "spend", *users}


@pytest.mark.parametrize("key", ["key-1", "", "\u00e9"])
@pytest.mark.parametrize("name", [name for name, endpoint in ALL.items() if not endpoint.idempotent])
def test_a_key_that_is_not_supported_is_a_400_and_changes_nothing(
    app_database: None, statements: list[str], name: str, key: str
) -> None:
    response = caller_of(ALL[name])(_example(ALL[name]), headers={"idempotency-key": key})
    assert response.status_code == 400
    problem = json.loads(response.get_body())
    assert problem["type"] == "/problems/idempotency-key-unsupported"
    assert "Nothing was changed" in problem["detail"]
    assert statements == []


def test_a_key_that_is_not_supported_is_a_400_over_http(api: Any) -> None:
    headers = {"Idempotency-Key": "key-1"}
    api.post("addTransaction", {"payer": "DANNON", "points": 300, "timestamp": "2020-10-31T10:00:00Z"})
    calls: list[tuple[str, str, Any]] = [
        ("POST", "get_users", {}),
        *(("GET", path, None) for path in ("balance", "health", "health/database", "openapi.json")),
        *((method, "flushDB", None) for method in ("POST", "GET", "DELETE")),
    ]
    for method, path, body in calls:
        response = api.client.request(method, f"/{path}", json=body, headers=headers)
        assert (response.status_code, response.json()["type"]) == (400, "/problems/idempotency-key-unsupported"), path
    assert api.client.get("/balance").json() == {"DANNON": 300}
