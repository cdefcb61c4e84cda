"""The header `Idempotency-Key`: a repeated call has one effect, and its response is returned again."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from api import points
from domain.timestamps import format_timestamp
from persistence.database import connections
from persistence.database.idempotency import KEYS, SWEEP_LIMIT
from tests.support.endpoints import caller_of
from tests.support.keys import (
    NAMES,
    balance_of,
    call,
    call_raw,
    code_of,
    content_of,
    each_route,
    store_aged_keys,
    stored_counts,
    stored_keys,
)

# ---- replays


@each_route
def test_a_repeated_call_has_one_effect_and_the_same_response(api: Any, route: str) -> None:
    call(api, "addTransaction")
    first = call(api, route, "key-1")
    assert first.status_code == {"addTransaction": 201, "spend": 200}[route]
    before, balance = stored_counts(), balance_of(api)
    for _ in range(3):
        assert content_of(call(api, route, "key-1")) == content_of(first)
    assert (stored_counts(), balance_of(api)) == (before, balance)
    assert stored_keys() == [(NAMES[route], "key-1")]


def test_a_replay_is_the_first_response_and_not_what_a_new_call_returns(api: Any) -> None:
    call(api, "addTransaction", points=100)
    spent = call(api, "spend", "key-1")
    call(api, "addTransaction", payer="UNILEVER", points=500, timestamp="2019-01-01T00:00:00Z")
    assert call(api, "spend", "key-1").json() == spent.json() == [{"payer": "DANNON", "points": -100}]
    assert balance_of(api) == {"DANNON": 0, "UNILEVER": 500}


@each_route
def test_without_a_key_every_call_has_its_effect(api: Any, route: str) -> None:
    call(api, "addTransaction", points=1000)
    assert [call(api, route).is_success for _ in range(2)] == [True, True]
    assert stored_counts() == {"addTransaction": (0, 3, 0), "spend": (0, 1, 2)}[route]


def test_one_key_on_two_operations_is_two_keys(api: Any) -> None:
    assert call(api, "addTransaction", "key-1").status_code == 201
    assert call(api, "spend", "key-1").status_code == 200
    assert call(api, "addTransaction", "key-1").json()["payer"] == "DANNON"
    assert call(api, "spend", "key-1").json() == [{"payer": "DANNON", "points": -100}]
    assert stored_counts() == (2, 1, 1)
    assert stored_keys() == [("add_transaction", "key-1"), ("spend", "key-1")]


def test_keys_that_differ_by_case_are_two_keys(api: Any) -> None:
    first, second = (call(api, "addTransaction", key).json()["id"] for key in ("key-a", "KEY-A"))
    assert first != second
    assert call(api, "addTransaction", "KEY-A").json()["id"] == second
    assert stored_counts() == (2, 2, 0)


@pytest.mark.parametrize("spelling", [b"  key-1", b"key-1 \t ", b"\tkey-1\t"])
def test_blanks_around_a_key_are_no_part_of_it(api: Any, spelling: bytes) -> None:
    first = call(api, "addTransaction", "key-1")
    assert call_raw(api, "addTransaction", spelling) == (201, first.content)
    assert stored_keys() == [("add_transaction", "key-1")]


@pytest.mark.parametrize("key", ["k", "k" * 255, "a b", '"8e03978e"', "".join(map(chr, range(0x21, 0x7F)))])
def test_a_key_is_any_255_printable_ascii_characters(api: Any, key: str) -> None:
    first = call(api, "addTransaction", key)
    assert first.status_code == 201
    assert content_of(call(api, "addTransaction", key)) == content_of(first)
    assert stored_keys() == [("add_transaction", key)]


@pytest.mark.parametrize(
    "content",
    [
        b'{"payer":"DANNON","points":300,"timestamp":"2020-10-31T10:00:00Z"}',
        b'\n{ "payer" : "DANNON",\t"points" : 300, "timestamp": "2020-10-31T10:00:00Z" }\r\n',
        b'{"timestamp": "2020-10-31T10:00:00Z", "points": 300, "payer": "DANNON"}',
        b'{"payer": "  D\\u0041NNON ", "points": 300, "timestamp": "2020-10-31T10:00:00Z"}',
        b'{"payer": "DANNON", "points": 300, "timestamp": "2020-10-31t15:30:00.000+05:30"}',
        b'{"payer": "DANNON", "points": 300, "timestamp": "2020-10-30T22:00:00-12:00"}',
    ],
)
def test_the_same_request_in_another_spelling_is_the_same_request(api: Any, content: bytes) -> None:
    first = call(api, "addTransaction", "key-1")
    again = api.post("addTransaction", content=content, headers={"Idempotency-Key": "key-1"})
    assert content_of(again) == content_of(first)
    assert stored_counts() == (1, 1, 0)


# ---- another request under the same key


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        ("addTransaction", {"payer": "Dannon"}),
        ("addTransaction", {"points": 301}),
        ("addTransaction", {"points": -300}),
        ("addTransaction", {"timestamp": "2020-10-31T10:00:00.000001Z"}),
        ("addTransaction", {"timestamp": "2020-10-31T10:00:00+01:00"}),
        ("spend", {"points": 99}),
        ("spend", {"points": 1_000_000}),
    ],
)
def test_another_request_under_the_same_key_is_a_409_and_changes_nothing(
    api: Any, route: str, fields: dict[str, Any]
) -> None:
    call(api, "addTransaction", points=1000)
    first = call(api, route, "key-1")
    before, balance = stored_counts(), balance_of(api)
    response = call(api, route, "key-1", **fields)
    assert response.status_code == 409
    assert code_of(response) == "idempotency-key-reused"
    assert (stored_counts(), balance_of(api)) == (before, balance)
    assert content_of(call(api, route, "key-1")) == content_of(first)


def test_only_a_hash_of_a_request_is_stored(api: Any) -> None:
    call(api, "addTransaction", payer="Unmistakable")
    call(api, "spend", "key-1")
    with connections.reading() as connection:
        (row,) = connection.execute(select(KEYS)).fetchall()
    assert re.fullmatch(r"[0-9a-f]{64}", row.call_hash)
    assert row.request_hash == row.call_hash
    assert (row.status, bytes(row.body)) == (200, b'[{"payer":"Unmistakable","points":-100}]')
    assert abs(datetime.fromisoformat(row.created_at) - datetime.now(UTC)) < timedelta(minutes=1)


# ---- invalid keys


@each_route
@pytest.mark.parametrize(
    "key", [b"", b" ", b" \t ", b"k" * 256, b"k\xe9y", b"\xc3\xa9", b"key\xa0x", b"\xa0k", b"k\x85", b"\x80", b"a\tb"]
)
def test_an_invalid_key_is_a_400_and_changes_nothing(api: Any, route: str, key: bytes) -> None:
    call(api, "addTransaction")
    before, balance = stored_counts(), balance_of(api)
    status, body = call_raw(api, route, key)
    assert status == 400
    assert b"/problems/idempotency-key-invalid" in body
    assert (stored_counts(), balance_of(api)) == (before, balance)


# ---- errors are not stored


def test_an_error_is_not_stored_and_the_key_succeeds_later(api: Any) -> None:
    responses = [call(api, "spend", "key-1") for _ in range(2)]
    assert [code_of(response) for response in responses] == ["insufficient-points"] * 2
    assert stored_counts() == (0, 0, 0)
    call(api, "addTransaction")
    spent = call(api, "spend", "key-1")
    assert spent.json() == [{"payer": "DANNON", "points": -100}]
    assert content_of(call(api, "spend", "key-1")) == content_of(spent)
    assert balance_of(api) == {"DANNON": 200}


def test_the_key_of_a_failed_call_is_free_for_another_request(api: Any) -> None:
    assert call(api, "spend", "key-1").status_code == 409
    call(api, "addTransaction")
    assert call(api, "spend", "key-1", points=200).status_code == 200


# ---- cost and log


@pytest.mark.parametrize(("route", "count"), [("addTransaction", 4), ("spend", 5)])
def test_a_key_costs_three_statements_and_a_replay_four(
    api: Any, statements: list[str], route: str, count: int
) -> None:
    call(api, "addTransaction", points=1000)
    statements.clear()
    assert call(api, route).is_success
    assert len(statements) == count
    assert not [statement for statement in statements if "idempotency_keys" in statement]
    statements.clear()
    assert call(api, route, "key-1").is_success
    assert len(statements) == count + 3
    statements.clear()
    assert call(api, route, "key-1").is_success
    assert len(statements) == 4
    assert all("idempotency_keys" in statement for statement in statements)


def test_expired_keys_cost_one_statement_however_many_they_are(api: Any, statements: list[str]) -> None:
    call(api, "addTransaction")
    store_aged_keys(SWEEP_LIMIT, hours=30)
    statements.clear()
    call(api, "addTransaction", "key-1")
    assert len(statements) == 8


def test_no_key_is_in_the_log(api: Any, caplog: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        for points in (300, 300, 7):
            call(api, "addTransaction", "Unmistakable", points=points)
    lines = [record.getMessage() for record in caplog.records if record.name == "rollbook"]
    outcomes = [re.sub(r" \d+\.\d ms [0-9a-f-]{36} ", " ", line).strip() for line in lines]
    assert outcomes == ["add_transaction ok 201"] * 2 + ["add_transaction refused 409 idempotency-key-reused"]
    assert "Unmistakable" not in caplog.text


# ---- flushes and engines


def test_a_flush_deletes_the_keys_of_its_service_and_no_others(api: Any) -> None:
    first = call(api, "addTransaction", "key-1")
    call(api, "spend", "key-1")
    with connections.transaction() as connection:
        row = {"trigger_name": "other", "idempotency_key": "key-1", "caller": "", "request_hash": "0" * 64}
        connection.execute(insert(KEYS), {**row, "created_at": format_timestamp(datetime.now(UTC))})
    assert api.post("flushDB").status_code == 200
    assert stored_keys() == [("other", "key-1")]
    assert balance_of(api) == {}
    assert call(api, "spend", "key-1").status_code == 409
    assert call(api, "addTransaction", "key-1").json()["id"] != first.json()["id"]
    assert balance_of(api) == {"DANNON": 300}


def test_a_flush_that_is_not_allowed_deletes_no_key(api: Any) -> None:
    first = call(api, "addTransaction", "key-1")
    (flush,) = [endpoint for endpoint in points.service.endpoints if endpoint.name == "flush_db"]
    assert caller_of(replace(flush, settings=points.PointsSettings(allow_flush=False)))().status_code == 403
    assert content_of(call(api, "addTransaction", "key-1")) == content_of(first)


@each_route
def test_a_stored_response_outlives_the_engine(api: Any, database_file: Path, route: str) -> None:
    call(api, "addTransaction")
    first = call(api, route, "key-1")
    connections.close()
    connections.connect(f"sqlite:///{database_file}?timeout=10", threads=8)
    before = stored_counts()
    assert content_of(call(api, route, "key-1")) == content_of(first)
    assert stored_counts() == before
