"""How long idempotency keys are stored, and which calls delete the expired ones."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

import settings
from api.http.responses import Response
from persistence.database import connections
from persistence.database.idempotency import KEYS, SWEEP_LIMIT, Key, StoredResponse, claim_key, store_response
from tests.support.endpoints import serve
from tests.support.keys import age_keys, call, content_of, each_route, store_aged_keys, stored_counts, stored_keys


@each_route
def test_a_key_is_stored_for_24_hours_and_then_free(api: Any, route: str) -> None:
    assert settings.current().idempotency_hours == 24
    call(api, "addTransaction", points=1000)
    first = call(api, route, "key-1")
    age_keys(hours=23, minutes=59)
    assert content_of(call(api, route, "key-1")) == content_of(first)
    age_keys(hours=24, seconds=1)
    assert call(api, route, "key-1").is_success
    assert stored_counts() == {"addTransaction": (1, 3, 0), "spend": (1, 1, 2)}[route]


def test_an_expired_key_is_free_for_another_request(api: Any) -> None:
    call(api, "addTransaction", "key-1")
    age_keys(hours=24, seconds=1)
    assert call(api, "addTransaction", "key-1", points=5).json()["points"] == 5


@pytest.mark.parametrize("hours", [1, 48])
def test_the_setting_is_the_number_of_hours(app_database: None, hours: int) -> None:
    runs = iter(range(10))

    def note(connection: connections.Connection) -> Response:
        return Response({"run": next(runs)})

    headers = {"idempotency-key": "key-1"}
    noted = serve(note, writes=True, idempotent=True, idempotency_hours=hours)
    first = noted(headers=headers).get_body()
    age_keys(hours=hours, minutes=-1)
    assert noted(headers=headers).get_body() == first == b'{"run":0}'
    age_keys(hours=hours, seconds=1)
    assert noted(headers=headers).get_body() == b'{"run":1}'


def test_later_writes_delete_a_hundred_expired_keys_oldest_first(api: Any) -> None:
    expired = store_aged_keys(2 * SWEEP_LIMIT + 50, hours=30)
    unexpired = store_aged_keys(3, hours=23)
    for number in range(4):
        assert call(api, "addTransaction", f"new-{number}").status_code == 201
        left = expired[(number + 1) * SWEEP_LIMIT :]
        new = [f"new-{earlier}" for earlier in range(number + 1)]
        assert [key for _, key in stored_keys()] == [*left[::-1], *unexpired[::-1], *new]
    assert call(api, "spend", unexpired[0]).status_code == 409  # known, and of another request


def test_an_expired_key_is_free_even_before_it_is_deleted(api: Any) -> None:
    first = call(api, "addTransaction", "key-1")
    age_keys(hours=25)
    store_aged_keys(2 * SWEEP_LIMIT, hours=30)
    second = call(api, "addTransaction", "key-1", points=5)
    assert (second.status_code, second.json()["points"]) == (201, 5)
    assert content_of(call(api, "addTransaction", "key-1", points=5)) == content_of(second) != content_of(first)
    assert api.client.get("/balance").json() == {"DANNON": 305}


def test_a_replay_deletes_expired_keys_too(api: Any) -> None:
    first = call(api, "addTransaction", "key-1")
    store_aged_keys(5, hours=30)
    assert content_of(call(api, "addTransaction", "key-1")) == content_of(first)
    assert stored_keys() == [("add_transaction", "key-1")]


def test_a_key_expires_at_the_end_of_its_time_and_not_before(app_database: None) -> None:
    stored = StoredResponse("0" * 64, 200, b"[]", "application/json", None)

    def claim(now: str, expired_at: str) -> StoredResponse | None:
        key = Key("caller", "spend", "key-1")
        with connections.transaction() as connection:
            found = claim_key(connection, key, call_hash="0" * 64, now=now, expired_at=expired_at)
            if found is None:
                store_response(connection, key, stored)
        return found

    first, second = "2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"
    assert claim(first, "2025-12-31T00:00:00.000000Z") is None
    assert claim(second, "2025-12-31T23:59:59.999999Z") == stored
    assert claim(second, first) is None
    with connections.reading() as connection:
        assert connection.execute(select(KEYS.c.created_at)).scalars().all() == [second]
