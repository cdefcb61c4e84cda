"""The header `Idempotency-Key`: a call that is repeated has one effect, and is answered again byte for byte."""

from __future__ import annotations

import http.client
import logging
import re
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import httpx
import pytest
from sqlalchemy import Engine, create_engine, event, insert, select, update
from sqlalchemy.pool import QueuePool

import settings
from api.http import Answer, Request, Trigger, endpoint, idempotent_endpoint
from domain.errors import ConflictError
from domain.timestamps import format_timestamp
from persistence.database import connections, retries
from persistence.database.errors import LostRaceError
from persistence.database.idempotency import KEYS, SWEEP_LIMIT, Key, StoredResponse, claim_key, store_response
from persistence.points import SPENDS, TRANSACTIONS
from tests.support.threads import at_once

ADD: dict[str, Any] = {"payer": "DANNON", "points": 300, "timestamp": "2020-10-31T10:00:00Z"}
SPEND: dict[str, Any] = {"points": 100}
BODIES = {"addTransaction": ADD, "spend": SPEND}
TRIGGER_NAMES = {"addTransaction": "add_transaction", "spend": "spend"}

each_trigger = pytest.mark.parametrize("trigger", BODIES)


def _call(api: Any, trigger: str, key: str | None = None, **fields: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    response: httpx.Response = api.post(trigger, {**BODIES[trigger], **fields}, headers=headers)
    return response


def _raw(api: Any, trigger: str, key: bytes) -> tuple[int, Any]:
    """The status and the body for a header as it stands, which httpx would not send."""
    connection = http.client.HTTPConnection(api.client.base_url.host, api.client.base_url.port, timeout=60)
    content = httpx.Request("POST", "http://localhost", json=BODIES[trigger]).content
    connection.request("POST", f"/{trigger}", content, {"Idempotency-Key": key})
    response = connection.getresponse()
    status, body = response.status, response.read()
    connection.close()
    return status, body


def _balance(api: Any) -> Any:
    return api.client.get("/balance").json()


def _code(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["type"]).removeprefix("/problems/")


def _content(response: httpx.Response) -> tuple[int, bytes, str, str]:
    """What must be the same when an answer is given again."""
    headers = response.headers
    return response.status_code, response.content, headers["content-type"], headers["cache-control"]


def _keys() -> list[tuple[str, str]]:
    """The keys that are stored, with their triggers, in the order in which they were claimed."""
    with connections.reading() as connection:
        rows = connection.execute(select(KEYS.c.trigger_name, KEYS.c.idempotency_key).order_by(KEYS.c.id)).fetchall()
    return [(row.trigger_name, row.idempotency_key) for row in rows]


def _stored() -> tuple[int, int, int]:
    """How many keys, transactions and spends are stored."""
    counts = []
    for table in (KEYS, TRANSACTIONS, SPENDS):
        with connections.reading() as connection:
            counts.append(len(connection.execute(select(table.c.id)).fetchall()))
    return counts[0], counts[1], counts[2]


def _age(**age: float) -> None:
    """Makes every stored key so old."""
    with connections.transaction() as connection:
        connection.execute(update(KEYS).values(created_at=format_timestamp(datetime.now(UTC) - timedelta(**age))))


# ---- the same call again


@each_trigger
def test_a_call_that_is_repeated_has_one_effect_and_is_answered_again_byte_for_byte(api: Any, trigger: str) -> None:
    _call(api, "addTransaction")
    first = _call(api, trigger, "key-1")
    assert first.status_code == {"addTransaction": 201, "spend": 200}[trigger]
    before, balance = _stored(), _balance(api)
    for _ in range(3):
        assert _content(_call(api, trigger, "key-1")) == _content(first)
    assert (_stored(), _balance(api)) == (before, balance)
    assert _keys() == [(TRIGGER_NAMES[trigger], "key-1")]


def test_the_answer_is_what_was_answered_and_not_what_would_be_now(api: Any) -> None:
    _call(api, "addTransaction", points=100)
    spent = _call(api, "spend", "key-1")
    _call(api, "addTransaction", payer="UNILEVER", points=500, timestamp="2019-01-01T00:00:00Z")
    assert _call(api, "spend", "key-1").json() == spent.json() == [{"payer": "DANNON", "points": -100}]
    assert _balance(api) == {"DANNON": 0, "UNILEVER": 500}


@each_trigger
def test_without_a_key_every_call_has_its_effect(api: Any, trigger: str) -> None:
    _call(api, "addTransaction", points=1000)
    assert [_call(api, trigger).is_success for _ in range(2)] == [True, True]
    assert _stored() == {"addTransaction": (0, 3, 0), "spend": (0, 1, 2)}[trigger]


def test_one_key_on_two_triggers_is_two_keys(api: Any) -> None:
    assert _call(api, "addTransaction", "key-1").status_code == 201
    assert _call(api, "spend", "key-1").status_code == 200
    assert _call(api, "addTransaction", "key-1").json()["payer"] == "DANNON"
    assert _call(api, "spend", "key-1").json() == [{"payer": "DANNON", "points": -100}]
    assert _stored() == (2, 1, 1)
    assert _keys() == [("add_transaction", "key-1"), ("spend", "key-1")]


def test_keys_that_differ_by_case_are_two_keys(api: Any) -> None:
    first, second = (_call(api, "addTransaction", key).json()["id"] for key in ("key-a", "KEY-A"))
    assert first != second
    assert _call(api, "addTransaction", "KEY-A").json()["id"] == second
    assert _stored() == (2, 2, 0)


@pytest.mark.parametrize("spelling", [b"  key-1", b"key-1 \t ", b"\tkey-1\t"])
def test_blanks_around_a_key_are_no_part_of_it(api: Any, spelling: bytes) -> None:
    first = _call(api, "addTransaction", "key-1")
    assert _raw(api, "addTransaction", spelling) == (201, first.content)
    assert _keys() == [("add_transaction", "key-1")]


@pytest.mark.parametrize("key", ["k", "k" * 255, "a b", '"8e03978e"', "".join(map(chr, range(0x21, 0x7F)))])
def test_a_key_is_any_255_printable_ascii_characters(api: Any, key: str) -> None:
    first = _call(api, "addTransaction", key)
    assert first.status_code == 201
    assert _content(_call(api, "addTransaction", key)) == _content(first)
    assert _keys() == [("add_transaction", key)]


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
    first = _call(api, "addTransaction", "key-1")
    again = api.post("addTransaction", content=content, headers={"Idempotency-Key": "key-1"})
    assert _content(again) == _content(first)
    assert _stored() == (1, 1, 0)


# ---- another request under the same key


@pytest.mark.parametrize(
    ("trigger", "fields"),
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
    api: Any, trigger: str, fields: dict[str, Any]
) -> None:
    _call(api, "addTransaction", points=1000)
    first = _call(api, trigger, "key-1")
    before, balance = _stored(), _balance(api)
    refused = _call(api, trigger, "key-1", **fields)
    assert refused.status_code == 409
    assert _code(refused) == "idempotency-key-reused"
    assert (_stored(), _balance(api)) == (before, balance)
    assert _content(_call(api, trigger, "key-1")) == _content(first)


def test_of_a_request_only_a_hash_is_kept(api: Any) -> None:
    _call(api, "addTransaction", payer="Unmistakable")
    _call(api, "spend", "key-1")
    with connections.reading() as connection:
        (row,) = connection.execute(select(KEYS)).fetchall()
    assert re.fullmatch(r"[0-9a-f]{64}", row.request_hash)
    assert (row.status, bytes(row.body)) == (200, b'[{"payer":"Unmistakable","points":-100}]')
    assert abs(datetime.fromisoformat(row.created_at) - datetime.now(UTC)) < timedelta(minutes=1)


# ---- keys that are none


@each_trigger
@pytest.mark.parametrize(
    "key", [b"", b" ", b" \t ", b"k" * 256, b"k\xe9y", b"\xc3\xa9", b"key\xa0x", b"\xa0k", b"k\x85", b"\x80", b"a\tb"]
)
def test_a_key_that_is_none_is_a_400_and_changes_nothing(api: Any, trigger: str, key: bytes) -> None:
    _call(api, "addTransaction")
    before, balance = _stored(), _balance(api)
    status, body = _raw(api, trigger, key)
    assert status == 400
    assert b"/problems/idempotency-key-invalid" in body
    assert (_stored(), _balance(api)) == (before, balance)


# ---- an endpoint of these tests' own


class _Named(Request):
    name: str = "x"


class _Handled:
    """A writing handler that nothing but `idempotent_endpoint` made idempotent; its effect is a row of its own."""

    def __init__(self, *outcomes: Answer | Exception) -> None:
        self.runs = 0
        self.outcomes = iter(outcomes)
        handled = self

        @idempotent_endpoint(_Named)
        def note(request: _Named, connection: connections.Connection) -> Answer:
            """Notes a name."""
            handled.runs += 1
            row = {"trigger_name": "effect", "idempotency_key": f"{request.name}-{handled.runs}"}
            connection.execute(
                insert(KEYS), {**row, "request_hash": "0" * 64, "created_at": format_timestamp(datetime.now(UTC))}
            )
            outcome = next(handled.outcomes, Answer({"run": handled.runs}, 202))
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        self.trigger: Trigger = note

    def __call__(self, key: str | None, body: bytes = b"{}") -> func.HttpResponse:
        headers = {} if key is None else {"idempotency-key": key}
        context = SimpleNamespace(invocation_id=str(uuid.uuid4()))
        return self.trigger(func.HttpRequest("POST", "http://localhost/note", headers=headers, body=body), context)

    @staticmethod
    def effects() -> list[str]:
        return [key for trigger, key in _keys() if trigger == "effect"]


@pytest.fixture
def handled(app_database: None) -> _Handled:
    """A handler whose calls succeed."""
    return _Handled()


def test_any_handler_that_writes_may_declare_the_key(handled: _Handled) -> None:
    first = handled("key-1")
    again = handled("key-1")
    assert (first.status_code, first.get_body()) == (again.status_code, again.get_body()) == (202, b'{"run":1}')
    assert again.mimetype == "application/json"
    assert handled("key-2").get_body() == b'{"run":2}'
    assert handled(None).get_body() == b'{"run":3}'
    assert handled("key-1", b'{"name": "y"}').status_code == 409
    assert handled("key-1", b'{"name": "x"}').get_body() == b'{"run":1}'  # a default that is written out
    assert handled.effects() == ["x-1", "x-2", "x-3"]


def test_a_handler_with_a_key_is_the_function_that_it_was(handled: _Handled) -> None:
    assert (handled.trigger.__name__, handled.trigger.__doc__) == ("note", "Notes a name.")
    assert handled.trigger.__module__ == __name__


@pytest.mark.parametrize(
    "answer", [Answer(b'{"a": 1.0}', 201), Answer([]), Answer([{"a": "\u00e9"}], 207), Answer({}), Answer(b"")]
)
def test_whatever_was_answered_is_answered_again(app_database: None, answer: Answer) -> None:
    handled = _Handled(answer)
    first, again = handled("key-1"), handled("key-1")
    assert handled.runs == 1
    assert (again.status_code, again.get_body()) == (first.status_code, first.get_body())
    assert again.status_code == answer.status


CONTROLS = [*map(chr, range(1, 0x20)), "\x7f", "\x85", "\u2028"]


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_a_key_with_a_control_character_inside_is_a_400(handled: _Handled, control: str) -> None:
    response = handled(f"key{control}1")
    assert response.status_code == 400
    assert b"/problems/idempotency-key-invalid" in response.get_body()
    assert handled.runs == 0
    assert _keys() == []


def test_a_body_that_is_refused_leaves_its_key_free(handled: _Handled) -> None:
    assert handled("key-1", b'{"name": 1}').status_code == 400
    assert _keys() == []
    assert handled("key-1").status_code == 202


def test_a_trigger_that_declares_no_key_takes_no_notice_of_one(api: Any) -> None:
    ran = []

    @endpoint(Request)
    def note(_: Request) -> Answer:
        ran.append(1)
        return Answer({})

    request = func.HttpRequest("POST", "http://localhost/note", headers={"idempotency-key": "\u00e9"}, body=b"{}")
    for _ in range(2):
        assert note(request, SimpleNamespace(invocation_id="")).status_code == 200
    assert len(ran) == 2
    statuses = [api.post("create_user", api.new_user(), headers={"Idempotency-Key": "k"}).status_code for _ in "ab"]
    assert statuses == [201, 201]
    assert _keys() == []


# ---- refusals and faults keep nothing


def test_a_refused_spend_is_not_kept_and_succeeds_later_under_its_key(api: Any) -> None:
    refused = [_call(api, "spend", "key-1") for _ in range(2)]
    assert [_code(response) for response in refused] == ["insufficient-points"] * 2
    assert _stored() == (0, 0, 0)
    _call(api, "addTransaction")
    spent = _call(api, "spend", "key-1")
    assert spent.json() == [{"payer": "DANNON", "points": -100}]
    assert _content(_call(api, "spend", "key-1")) == _content(spent)
    assert _balance(api) == {"DANNON": 200}


def test_the_key_of_a_refused_call_is_free_for_another_request(api: Any) -> None:
    assert _call(api, "spend", "key-1").status_code == 409
    _call(api, "addTransaction")
    assert _call(api, "spend", "key-1", points=200).status_code == 200


@pytest.mark.parametrize(
    ("error", "status"), [(ZeroDivisionError(), 500), (ConflictError("no", "No."), 409), (LostRaceError(), 202)]
)
def test_what_fails_after_its_effect_keeps_neither_effect_nor_key(
    app_database: None, error: Exception, status: int
) -> None:
    handled = _Handled(error)
    response = handled("key-1")
    assert response.status_code == status
    if status != 202:  # a lost race was tried again
        assert _keys() == []
        response = handled("key-1")
    assert (response.status_code, response.get_body()) == (202, b'{"run":2}')
    assert _keys() == [("note", "key-1"), ("effect", "x-2")]


def test_an_answer_that_cannot_be_encoded_keeps_neither_effect_nor_key(app_database: None) -> None:
    handled = _Handled(Answer({"a": object()}))
    assert handled("key-1").status_code == 500
    assert _keys() == []
    assert handled("key-1").get_body() == b'{"run":2}'


@each_trigger
@pytest.mark.parametrize("when", ["BEFORE UPDATE", "AFTER UPDATE", "AFTER INSERT"])
def test_a_fault_while_the_answer_is_kept_takes_the_effect_back(
    api: Any, database_file: Path, trigger: str, when: str
) -> None:
    _call(api, "addTransaction")
    before, balance = _stored(), _balance(api)
    connection = sqlite3.connect(database_file)
    connection.execute(f"CREATE TRIGGER fault {when} ON idempotency_keys BEGIN SELECT RAISE(ABORT, 'fault'); END")
    assert _call(api, trigger, "key-1").status_code == 500
    assert (_stored(), _balance(api)) == (before, balance)
    connection.execute("DROP TRIGGER fault")
    connection.close()
    assert _call(api, trigger, "key-1").is_success
    assert _stored() == {"addTransaction": (1, 2, 0), "spend": (1, 1, 1)}[trigger]


# ---- at once


@each_trigger
def test_32_threads_with_one_key_have_one_effect_and_equal_answers(api: Any, trigger: str) -> None:
    _call(api, "addTransaction", points=100_000)
    answers = Counter(at_once(32, lambda _: _content(_call(api, trigger, "key-1"))))
    assert list(answers.values()) == [32]
    assert next(iter(answers))[0] < 300
    assert _stored() == {"addTransaction": (1, 2, 0), "spend": (1, 1, 1)}[trigger]


def test_of_two_spends_of_everything_at_once_under_one_key_none_is_refused(api: Any) -> None:
    def spend_all(key: str, _: int) -> Any:
        return _content(_call(api, "spend", key, points=300))

    for number in range(10):
        _call(api, "addTransaction")
        answers = at_once(2, partial(spend_all, f"key-{number}"))
        assert answers[0] == answers[1]
        assert answers[0][:2] == (200, b'[{"payer":"DANNON","points":-300}]')
        assert _balance(api) == {"DANNON": 0}


def test_threads_with_keys_of_their_own_do_not_meet(api: Any) -> None:
    ids = at_once(16, lambda number: _call(api, "addTransaction", f"key-{number % 8}").json()["id"])
    assert ids[:8] == ids[8:]
    assert len({*ids}) == 8
    assert _stored() == (8, 8, 0)


def test_of_two_requests_at_once_under_one_key_one_is_done_and_one_refused(api: Any) -> None:
    statuses = at_once(16, lambda number: _call(api, "addTransaction", "key-1", points=1 + number % 2).status_code)
    assert Counter(statuses) == {201: 8, 409: 8}
    assert _stored() == (1, 1, 0)


# ---- how long


@each_trigger
def test_a_key_is_kept_for_24_hours_and_then_works_anew(api: Any, trigger: str) -> None:
    assert settings.current().idempotency_hours == 24
    _call(api, "addTransaction", points=1000)
    first = _call(api, trigger, "key-1")
    _age(hours=23, minutes=59)
    assert _content(_call(api, trigger, "key-1")) == _content(first)
    _age(hours=24, seconds=1)
    assert _call(api, trigger, "key-1").is_success
    assert _stored() == {"addTransaction": (1, 3, 0), "spend": (1, 1, 2)}[trigger]


def test_an_expired_key_is_free_for_another_request(api: Any) -> None:
    _call(api, "addTransaction", "key-1")
    _age(hours=24, seconds=1)
    assert _call(api, "addTransaction", "key-1", points=5).json()["points"] == 5


@pytest.mark.parametrize("hours", [1, 48])
def test_the_setting_says_how_many_hours(api: Any, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    changed = replace(settings.current(), idempotency_hours=hours)
    monkeypatch.setattr(settings, "current", lambda: changed)
    first = _call(api, "addTransaction", "key-1")
    _age(hours=hours, minutes=-1)
    assert _content(_call(api, "addTransaction", "key-1")) == _content(first)
    _age(hours=hours, seconds=1)
    assert _call(api, "addTransaction", "key-1").json()["id"] != first.json()["id"]


def _keep_aged(count: int, *, hours: float) -> list[str]:
    """Keeps so many keys, each a second younger than the one before, put in the other way round. Answers them."""
    eldest = datetime.now(UTC) - timedelta(hours=hours)
    row = {"trigger_name": "spend", "request_hash": "0" * 64, "status": 200, "body": b"[]"}
    keys = [f"{hours}-{number}" for number in range(count)]
    rows = [
        {**row, "idempotency_key": key, "created_at": format_timestamp(eldest + timedelta(seconds=number))}
        for number, key in enumerate(keys)
    ]
    with connections.transaction() as connection:
        connection.execute(insert(KEYS), rows[::-1])
    return keys


def test_expired_keys_leave_with_later_writes_oldest_first_and_not_allat_once(api: Any) -> None:
    expired = _keep_aged(2 * SWEEP_LIMIT + 50, hours=30)
    unexpired = _keep_aged(3, hours=23)
    for number in range(4):
        assert _call(api, "addTransaction", f"new-{number}").status_code == 201
        left = expired[(number + 1) * SWEEP_LIMIT :]
        new = [f"new-{earlier}" for earlier in range(number + 1)]
        assert [key for _, key in _keys()] == [*left[::-1], *unexpired[::-1], *new]
    assert _call(api, "spend", unexpired[0]).status_code == 409  # known, and of another request


def test_an_expired_key_is_free_though_older_ones_leave_before_it(api: Any) -> None:
    first = _call(api, "addTransaction", "key-1")
    _age(hours=25)
    _keep_aged(2 * SWEEP_LIMIT, hours=30)
    second = _call(api, "addTransaction", "key-1", points=5)
    assert (second.status_code, second.json()["points"]) == (201, 5)
    assert _content(_call(api, "addTransaction", "key-1", points=5)) == _content(second) != _content(first)
    assert api.client.get("/balance").json() == {"DANNON": 305}


def test_an_answer_that_is_given_again_lets_expired_keys_leave_too(api: Any) -> None:
    first = _call(api, "addTransaction", "key-1")
    _keep_aged(5, hours=30)
    assert _content(_call(api, "addTransaction", "key-1")) == _content(first)
    assert _keys() == [("add_transaction", "key-1")]


def test_a_key_expires_at_the_end_of_its_time_and_not_before(app_database: None) -> None:
    def claim(now: str, expired_at: str) -> StoredResponse | None:
        key = Key("spend", "key-1")
        with connections.transaction() as connection:
            kept = claim_key(connection, key, request_hash="0" * 64, now=now, expired_at=expired_at)
            if kept is None:
                store_response(connection, key, StoredResponse("0" * 64, 200, b"[]"))
        return kept

    first, second = "2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"
    assert claim(first, "2025-12-31T00:00:00.000000Z") is None
    assert claim(second, "2025-12-31T23:59:59.999999Z") == StoredResponse("0" * 64, 200, b"[]")
    assert claim(second, first) is None
    with connections.reading() as connection:
        assert connection.execute(select(KEYS.c.created_at)).scalars().all() == [second]


# ---- what it costs


@pytest.mark.parametrize(("trigger", "count"), [("addTransaction", 4), ("spend", 5)])
def test_without_a_key_no_statement_touches_the_keys_and_with_one_there_are_three_more(
    api: Any, statements: list[str], trigger: str, count: int
) -> None:
    _call(api, "addTransaction", points=1000)
    statements.clear()
    assert _call(api, trigger).is_success
    assert len(statements) == count
    assert not [statement for statement in statements if "idempotency_keys" in statement]
    statements.clear()
    assert _call(api, trigger, "key-1").is_success
    assert len(statements) == count + 3
    statements.clear()
    assert _call(api, trigger, "key-1").is_success
    assert len(statements) == 4
    assert all("idempotency_keys" in statement for statement in statements)


def test_expired_keys_cost_one_statement_however_many_they_are(api: Any, statements: list[str]) -> None:
    _call(api, "addTransaction")
    _keep_aged(SWEEP_LIMIT, hours=30)
    statements.clear()
    _call(api, "addTransaction", "key-1")
    assert len(statements) == 8


def test_nobodys_key_is_in_the_log(api: Any, caplog: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        for fields in ({}, {}, {"points": 7}):
            _call(api, "addTransaction", "Unmistakable", **fields)
    lines = [record.getMessage() for record in caplog.records if record.name == "rollbook"]
    outcomes = [re.sub(r" \d+\.\d ms [0-9a-f-]{36} ", " ", line).strip() for line in lines]
    assert outcomes == ["add_transaction ok 201"] * 2 + ["add_transaction refused 409 idempotency-key-reused"]
    assert "Unmistakable" not in caplog.text


# ---- the end of keys, and of engines


def test_a_flush_forgets_the_keys_of_its_service_and_no_other(api: Any) -> None:
    first = _call(api, "addTransaction", "key-1")
    _call(api, "spend", "key-1")
    with connections.transaction() as connection:
        row = {"trigger_name": "other", "idempotency_key": "key-1", "request_hash": "0" * 64}
        connection.execute(insert(KEYS), {**row, "created_at": format_timestamp(datetime.now(UTC))})
    assert api.post("flushDB").status_code == 200
    assert _keys() == [("other", "key-1")]
    assert _balance(api) == {}
    assert _call(api, "spend", "key-1").status_code == 409
    assert _call(api, "addTransaction", "key-1").json()["id"] != first.json()["id"]
    assert _balance(api) == {"DANNON": 300}


def test_a_flush_that_is_refused_forgets_no_key(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _call(api, "addTransaction", "key-1")
    changed = replace(settings.current(), points_allow_flush=False)
    monkeypatch.setattr(settings, "current", lambda: changed)
    assert api.post("flushDB").status_code == 403
    assert _content(_call(api, "addTransaction", "key-1")) == _content(first)


@each_trigger
def test_a_kept_answer_outlives_the_engine(api: Any, database_file: Path, trigger: str) -> None:
    _call(api, "addTransaction")
    first = _call(api, trigger, "key-1")
    connections.close()
    connections.connect(f"sqlite:///{database_file}?timeout=10", threads=8)
    before = _stored()
    assert _content(_call(api, trigger, "key-1")) == _content(first)
    assert _stored() == before


# ---- what SQL Server does: there the claims of two calls may meet, and a commit's answer may be lost


class _Connection(sqlite3.Connection):
    """As pyodbc's connections, it may have a `timeout`."""

    server: _Server

    def commit(self) -> None:
        self.server.meet(self, "COMMIT")
        super().commit()
        self.server.meet(self, "end of the COMMIT")


class _Server:
    """The app on the engines of SQL Server, whose data are in SQLite: what happens at a statement can be set."""

    def __init__(self, path: Path) -> None:
        self.at: dict[str, Callable[[Any], None]] = {}  # by the beginning of the statement; each happens once
        self.executed: list[str] = []

        def connect() -> _Connection:
            connection = sqlite3.connect(path, factory=_Connection, check_same_thread=False)
            connection.server = self
            return connection

        def engine(**options: Any) -> Engine:
            made = create_engine(
                "sqlite://", creator=connect, poolclass=QueuePool, pool_reset_on_return=None, **options
            )
            event.listen(made, "do_execute", self.meet)
            return made

        reader = engine(isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)
        connections.connect_engines(reader, engine(), retry_seconds=5)

    def meet(self, driver: Any, statement: str, *_: Any) -> None:
        self.executed.append(statement)
        for beginning in [beginning for beginning in self.at if statement.startswith(beginning)]:
            self.at.pop(beginning)(driver)


def _fault(state: str, number: str) -> sqlite3.Error:
    """An error as pyodbc raises it: SQLSTATE, then a text with the server's number."""
    kind = sqlite3.IntegrityError if state == "23000" else sqlite3.OperationalError
    return kind(state, f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server]No. ({number}) (SQLExecDirectW)")


@pytest.fixture
def server(database_file: Path) -> _Server:
    """The app on the engines of SQL Server."""
    return _Server(database_file)


CLAIM = "INSERT INTO idempotency_keys"
FIND = "SELECT idempotency_keys.request_hash"


@pytest.mark.parametrize("number", ["2601", "2627"])
@pytest.mark.parametrize(("points", "status"), [(300, 200), (299, 409)])
def test_a_claim_that_meets_the_winners_is_tried_again_and_answers_what_the_winner_did(
    server: _Server, api: Any, number: str, points: int, status: int
) -> None:
    winners = []

    def lose(_: Any) -> None:
        winners.append(_call(api, "spend", "key-1", points=300))  # it commits while this one waits for the key
        raise _fault("23000", number)

    _call(api, "addTransaction")
    server.at[CLAIM] = lose
    answer = _call(api, "spend", "key-1", points=points)
    (winner,) = winners
    assert answer.status_code == status
    if status == 200:
        assert _content(answer) == _content(winner)
    else:
        assert _code(answer) == "idempotency-key-reused"
    assert winner.json() == [{"payer": "DANNON", "points": -300}]
    assert len([statement for statement in server.executed if statement.startswith(CLAIM)]) == 3
    assert _stored() == (1, 1, 1)


def test_a_claim_that_loses_every_race_is_a_409_and_nothing_is_kept(server: _Server, api: Any) -> None:
    tries = []

    def lose(_: Any) -> None:
        tries.append(1)
        server.at[CLAIM] = lose
        raise _fault("23000", "2627")

    server.at[CLAIM] = lose
    assert _code(_call(api, "addTransaction", "key-1")) == "lost-race"
    assert len(tries) == retries.MAX_RACE_ATTEMPTS
    server.at.clear()
    assert _stored() == (0, 0, 0)


def test_a_key_that_expires_while_it_is_looked_for_is_looked_for_again(server: _Server, api: Any) -> None:
    first = _call(api, "addTransaction", "key-1")
    server.at[FIND] = lambda cursor: cursor.connection.execute("DELETE FROM idempotency_keys")
    assert _content(_call(api, "addTransaction", "key-1")) == _content(first)  # the deletion was rolled back with it
    assert _stored() == (1, 1, 0)


@pytest.mark.parametrize("beginning", [CLAIM, "UPDATE points_ledger", "UPDATE idempotency_keys", "COMMIT"])
def test_a_victim_of_a_deadlock_is_tried_again_and_has_one_effect(server: _Server, api: Any, beginning: str) -> None:
    def deadlock(_: Any) -> None:
        raise _fault("40001", "1205")

    server.at[beginning] = deadlock
    first = _call(api, "addTransaction", "key-1")
    assert first.status_code == 201
    assert server.at == {}
    assert _content(_call(api, "addTransaction", "key-1")) == _content(first)
    assert _stored() == (1, 1, 0)


@each_trigger
@pytest.mark.parametrize(("place", "effects"), [("COMMIT", 0), ("end of the COMMIT", 1)])
def test_a_commit_whose_outcome_is_not_known_may_be_repeated_and_has_one_effect(
    server: _Server, api: Any, trigger: str, place: str, effects: int
) -> None:
    def lose(_: Any) -> None:
        raise _fault("08S01", "10054")

    _call(api, "addTransaction")
    server.at[place] = lose
    assert _code(_call(api, trigger, "key-1")) == "outcome-unknown"
    assert _stored()[0] == effects
    first = _call(api, trigger, "key-1")
    assert first.is_success
    assert _content(_call(api, trigger, "key-1")) == _content(first)
    assert _stored() == {"addTransaction": (1, 2, 0), "spend": (1, 1, 1)}[trigger]
