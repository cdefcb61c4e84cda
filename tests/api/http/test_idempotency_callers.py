"""Idempotency keys belong to a caller and an operation; those of release 0.1.0 may belong to any caller."""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import insert, select

from api.http.responses import Response
from domain.timestamps import format_timestamp
from persistence.database import connections
from persistence.database.idempotency import KEYS
from tests.support.endpoints import Call, serve
from tests.support.keys import (
    ADD,
    SPEND,
    age_keys,
    balance_of,
    call,
    code_of,
    content_of,
    each_route,
    stored_counts,
)

Options = dict[str, dict[str, str]]

FIRST_KEY: Final = "unmistakable-function-key-1"
SECOND_KEY: Final = "unmistakable-function-key-2"


def _by_header(function_key: str) -> Options:
    return {"headers": {"x-functions-key": function_key}}


def _by_query(function_key: str) -> Options:
    return {"params": {"code": function_key}}


CALLERS: Final[list[Options]] = [_by_header(FIRST_KEY), _by_query(SECOND_KEY), {}]
"""The last one has no function key, as on a development host."""


def _callers() -> list[str | None]:
    with connections.reading() as connection:
        return [*connection.execute(select(KEYS.c.caller).order_by(KEYS.c.id)).scalars()]


# ---- callers


@pytest.mark.parametrize("carry", [_by_header, _by_query])
def test_one_key_of_two_function_keys_is_two_keys(api: Any, carry: Callable[[str], Options]) -> None:
    options = [carry(FIRST_KEY), carry(SECOND_KEY), {}]
    first = [call(api, "addTransaction", "key-1", options=option) for option in options]
    assert [response.status_code for response in first] == [201, 201, 201]
    assert len({response.json()["id"] for response in first}) == 3
    again = [call(api, "addTransaction", "key-1", options=option) for option in options]
    assert [*map(content_of, again)] == [*map(content_of, first)]
    assert stored_counts() == (3, 3, 0)
    assert balance_of(api) == {"DANNON": 900}


def test_a_function_key_is_the_same_caller_in_header_and_query(api: Any) -> None:
    first = call(api, "addTransaction", "key-1", options=_by_header(FIRST_KEY))
    again = call(api, "addTransaction", "key-1", options=_by_query(FIRST_KEY))
    assert content_of(again) == content_of(first)
    both = {**_by_header(FIRST_KEY), **_by_query(SECOND_KEY)}  # the host checks the header first
    assert content_of(call(api, "addTransaction", "key-1", options=both)) == content_of(first)
    assert stored_counts() == (1, 1, 0)


def test_another_request_is_an_error_for_the_same_caller_only(api: Any) -> None:
    call(api, "addTransaction", "key-1", options=_by_header(FIRST_KEY))
    reused = call(api, "addTransaction", "key-1", options=_by_header(FIRST_KEY), points=5)
    assert code_of(reused) == "idempotency-key-reused"
    other = call(api, "addTransaction", "key-1", options=_by_header(SECOND_KEY), points=5)
    assert (other.status_code, other.json()["points"]) == (201, 5)
    assert balance_of(api) == {"DANNON": 305}


@each_route
def test_a_key_belongs_to_the_operation_too(api: Any, route: str) -> None:
    call(api, "addTransaction", points=1000)
    other = {"addTransaction": "spend", "spend": "addTransaction"}[route]
    first = call(api, route, "key-1", options=_by_header(FIRST_KEY))
    assert call(api, other, "key-1", options=_by_header(FIRST_KEY)).is_success
    assert content_of(call(api, route, "key-1", options=_by_header(FIRST_KEY))) == content_of(first)
    assert stored_counts() == (2, 2, 1)


def test_only_a_hash_of_a_function_key_is_stored_and_nothing_is_logged(api: Any, caplog: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        for options in CALLERS:
            call(api, "addTransaction", "key-1", options=options)
            call(api, "addTransaction", "key-1", options=options, points=5)
    first, second, unknown = _callers()
    assert re.fullmatch("key:[0-9a-f]{64}", str(first))
    assert re.fullmatch("key:[0-9a-f]{64}", str(second))
    assert unknown == ""
    with connections.reading() as connection:
        rows = [tuple(row) for row in connection.execute(select(KEYS))]
    own = [record.getMessage() for record in caplog.records if record.name == "rollbook"]
    assert len(own) == 6
    assert "unmistakable" not in f"{rows} {own}"


def test_an_expired_key_of_any_caller_is_deleted(api: Any) -> None:
    for options in CALLERS:
        call(api, "addTransaction", "key-1", options=options)
    age_keys(hours=25)
    call(api, "addTransaction", "key-2")
    assert _callers() == [""]


def test_a_flush_deletes_the_keys_of_every_caller(api: Any) -> None:
    for options in CALLERS:
        call(api, "addTransaction", "key-1", options=options)
    assert api.post("flushDB").status_code == 200
    assert stored_counts() == (0, 0, 0)


# ---- keys that release 0.1.0 stored: without a caller, and with a hash that no later request can have

RELEASE: Final = Path(__file__).parents[2] / "fixtures" / "release-0.1.0.db"
STORED: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "add_transaction": (
        "addTransaction",
        "transaction-1",
        {"payer": "DANNON", "points": 1000, "timestamp": "2020-11-02T14:00:00Z"},
    ),
    "spend": ("spend", "spend-1", {"points": 5000}),
}

each_stored = pytest.mark.parametrize("operation", STORED)
each_caller = pytest.mark.parametrize("options", CALLERS, ids=["header", "query", "none"])


@pytest.fixture
def release_keys(app_database: None) -> None:
    """The rows that release 0.1.0 wrote, just now."""
    columns = ("trigger_name", "idempotency_key", "request_hash", "status", "body")
    connection = sqlite3.connect(f"file:{RELEASE}?mode=ro&immutable=1", uri=True)
    rows = connection.execute(f"SELECT {', '.join(columns)} FROM idempotency_keys ORDER BY id").fetchall()
    connection.close()
    now = format_timestamp(datetime.now(UTC))
    with connections.transaction() as transaction:
        transaction.execute(insert(KEYS), [{**dict(zip(columns, row, strict=True)), "created_at": now} for row in rows])
    assert _callers() == [None] * 4


@pytest.fixture
def upgraded(api: Any, release_keys: None) -> Any:
    """The app with the stored keys of release 0.1.0, and with points to spend."""
    call(api, "addTransaction", payer="UNILEVER", points=9000)
    return api


def _call_stored(api: Any, operation: str, options: Options, **fields: Any) -> httpx.Response:
    route, key, body = STORED[operation]
    return call(api, route, key, options=options, **{**body, **fields})


@each_stored
@each_caller
def test_a_key_of_release_0_1_0_is_a_409_and_has_no_second_effect(
    upgraded: Any, operation: str, options: Options
) -> None:
    before, balance = stored_counts(), balance_of(upgraded)
    for fields in ({}, {"points": 7}):
        response = _call_stored(upgraded, operation, options, **fields)
        assert response.status_code == 409
        assert code_of(response) == "idempotency-key-reused"
    age_keys(hours=23, minutes=59)
    assert code_of(_call_stored(upgraded, operation, options)) == "idempotency-key-reused"
    assert (stored_counts(), balance_of(upgraded)) == (before, balance)
    assert _callers() == [None] * 4


def test_of_two_releases_at_work_the_response_of_the_caller_is_replayed(api: Any) -> None:
    body: dict[str, Any] = {"payer": "DANNON", "points": 1000, "timestamp": "2020-11-02T14:00:00Z"}
    first = call(api, "addTransaction", "transaction-1", **body)
    with connections.transaction() as transaction:
        row = dict(transaction.execute(select(KEYS)).mappings().one())
        older = {"id": row["id"] - 1, "caller": None, "call_hash": None, "media_type": None, "headers": None}
        transaction.execute(insert(KEYS), {**row, **older})
    assert content_of(call(api, "addTransaction", "transaction-1", **body)) == content_of(first)


@each_stored
@each_caller
def test_an_expired_key_of_release_0_1_0_is_free_for_every_caller(
    upgraded: Any, operation: str, options: Options
) -> None:
    age_keys(hours=24, seconds=1)
    first = _call_stored(upgraded, operation, options)
    assert first.is_success
    assert content_of(_call_stored(upgraded, operation, options)) == content_of(first)
    other = next(caller for caller in CALLERS if caller != options)
    assert _call_stored(upgraded, operation, other, points=6).is_success
    assert code_of(_call_stored(upgraded, operation, options, points=6)) == "idempotency-key-reused"
    assert None not in _callers()
    assert len(_callers()) == 2


def test_an_expired_key_of_release_0_1_0_is_free_before_its_deletion(upgraded: Any) -> None:
    age_keys(hours=25)
    with connections.transaction() as connection:
        eldest = "2020-01-01T00:00:00.000000Z"
        row = {"trigger_name": "spend", "request_hash": "0" * 64, "created_at": eldest}
        connection.execute(insert(KEYS), [{**row, "idempotency_key": str(number)} for number in range(100)])
    first = _call_stored(upgraded, "spend", _by_header(FIRST_KEY))
    assert first.is_success
    assert content_of(_call_stored(upgraded, "spend", _by_header(FIRST_KEY))) == content_of(first)
    assert _call_stored(upgraded, "spend", {}, points=6).is_success


def test_a_key_of_release_0_1_0_is_free_for_another_operation(upgraded: Any) -> None:
    assert call(upgraded, "spend", "transaction-1", options=_by_header(FIRST_KEY)).is_success
    assert call(upgraded, "addTransaction", "spend-1").is_success
    assert call(upgraded, "spend", "spend-1", **SPEND).status_code == 409
    assert call(upgraded, "addTransaction", "transaction-1", **ADD).status_code == 409


def test_a_flush_deletes_the_keys_of_release_0_1_0(upgraded: Any) -> None:
    assert upgraded.post("flushDB").status_code == 200
    assert stored_counts() == (0, 0, 0)


def _counting(runs: list[str]) -> Call:
    def prepare() -> str:
        runs.append("before")
        return "prepared"

    def spend(prepared: str) -> Response:
        runs.append(prepared)
        return Response({})

    return serve(spend, body=None, ignore_body=True, before=prepare, writes=True, idempotent=True)


def test_a_key_of_release_0_1_0_is_a_409_before_the_work_begins(release_keys: None) -> None:
    runs: list[str] = []
    spend = _counting(runs)
    headers = {"idempotency-key": "spend-1", "x-functions-key": FIRST_KEY}
    assert spend(headers=headers).status_code == 409
    assert runs == []
    age_keys(hours=24, seconds=1)
    assert [spend(headers=headers).status_code for _ in range(2)] == [200, 200]
    assert runs == ["before", "prepared"]
