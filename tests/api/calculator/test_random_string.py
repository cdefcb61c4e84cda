"""Random strings over HTTP, from a local random.org and from the operating system."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import settings
from api.calculator import service
from persistence.database import connections
from tests.support.calculator import ADDITION, RANDOM_STRING, Calculator
from tests.support.random_org import API_KEY, RandomOrg, Received, error, generate_strings

LENGTHS = [(None, 8), ("8.0", 8), ("1", 1), ("32", 32), ("3.2e1", 32), ("null", 8)]


def body(length: str | None) -> str:
    return RANDOM_STRING if length is None else f'{{"operation_id": 6, "operator1": {length}}}'


def assert_record(person: Calculator, length: int) -> None:
    (record,) = person.records(per_page="1")
    assert re.fullmatch(f"[A-Za-z0-9]{{{length}}}", record["operation_response"])
    assert (record["operation_type"], record["amount"]) == ("Random String", 8)


@pytest.mark.parametrize(("given", "length"), LENGTHS)
def test_without_a_key_the_string_is_made_locally(asha: Calculator, given: str | None, length: int) -> None:
    response = asha.post(body(given))
    assert (response.status_code, response.headers["Random-Source"]) == (201, "local")
    assert_record(asha, length)


@pytest.mark.parametrize(("given", "length"), LENGTHS)
def test_with_a_key_the_string_comes_from_random_org(
    meera: Calculator, server: RandomOrg, given: str | None, length: int
) -> None:
    response = meera.post(body(given))
    assert (response.status_code, response.headers["Random-Source"]) == (201, "random.org")
    assert_record(meera, length)
    (received,) = server.received
    assert received.content["params"]["length"] == length


def test_a_second_operand_of_a_random_string_is_ignored(meera: Calculator) -> None:
    assert meera.post('{"operation_id": 6, "operator1": 5, "operator2": 1e999}').status_code == 201
    assert_record(meera, 5)


def test_random_org_that_fails_is_a_503_and_not_charged(meera: Calculator, server: RandomOrg, problem_of: Any) -> None:
    server.respond = lambda received: error(received, 402, "no requests left")
    response = meera.post(RANDOM_STRING)
    assert problem_of(response) == (503, "random-source-unavailable", [])
    assert int(response.headers["Retry-After"]) > 0
    assert API_KEY not in response.text
    assert (meera.balance(), meera.records()) == (2500, [])


def test_random_org_is_called_only_for_random_strings(meera: Calculator, server: RandomOrg) -> None:
    meera.add(ADDITION)
    meera.add('{"operation_id": 5, "operator1": 4, "operator2": 6}')
    assert server.received == []


def test_random_org_is_not_called_if_the_balance_would_not_do(
    meera: Calculator, server: RandomOrg, problem_of: Any
) -> None:
    meera.spend_down_to(7)
    server.respond = lambda _: b""
    assert problem_of(meera.post(RANDOM_STRING))[:2] == (403, "insufficient-balance")
    assert problem_of(meera.post(body("33")))[:2] == (400, "body-invalid")
    assert server.received == []
    meera.grant(1)
    assert meera.post(RANDOM_STRING).status_code == 503


def test_the_call_of_random_org_costs_one_statement_more(meera: Calculator, statements: list[str]) -> None:
    meera.add()
    statements.clear()
    meera.post(ADDITION)
    plain = len(statements)
    for key, extra in ({}, 1), ({"Idempotency_Key": "k"}, 4), ({"Idempotency_Key": "k"}, None):
        statements.clear()
        assert meera.post(RANDOM_STRING, **key).status_code == 201
        assert len(statements) == (2 if extra is None else plain + extra)


def test_two_statements_or_three_with_a_key_precede_random_org(
    meera: Calculator, server: RandomOrg, statements: list[str]
) -> None:
    before: list[int] = []

    def respond(received: Received) -> Iterator[bytes]:
        before.append(len(statements))
        yield generate_strings(received)

    server.respond = respond
    for key in ({}, {"Idempotency_Key": "k"}):
        statements.clear()
        assert meera.post(RANDOM_STRING, **key).status_code == 201
    assert before == [2, 3], "the token's, the balance's, and the key's"


def test_nothing_is_locked_while_random_org_is_called(meera: Calculator, server: RandomOrg) -> None:
    seen: list[int] = []

    def respond(received: Received) -> Iterator[bytes]:
        with connections.transaction() as connection:  # on SQLite it waits for any other writer
            connection.exec_driver_sql("UPDATE accounts SET role = role")
        seen.append(meera.post(ADDITION).json()["user_balance"])
        yield generate_strings(received)

    server.respond = respond
    assert meera.post(RANDOM_STRING).json()["user_balance"] == 2489
    assert seen == [2497]


def test_a_balance_that_was_spent_meanwhile_is_a_403(meera: Calculator, server: RandomOrg) -> None:
    meera.spend_down_to(8)

    def respond(received: Received) -> Iterator[bytes]:
        meera.add(ADDITION)
        yield generate_strings(received)

    server.respond = respond
    assert meera.post(RANDOM_STRING).status_code == 403
    assert meera.balance() == 5


def test_at_most_half_of_the_threads_wait_for_random_org(meera: Calculator, server: RandomOrg) -> None:
    waiting, go = threading.Semaphore(0), threading.Event()

    def respond(received: Received) -> Iterator[bytes]:
        waiting.release()
        assert go.wait(30)
        yield generate_strings(received)

    server.respond = respond
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(meera.post, RANDOM_STRING) for _ in range(4)]
        for _ in calls:
            assert waiting.acquire(timeout=30)
        rejected = meera.post(RANDOM_STRING)
        assert (rejected.status_code, rejected.json()["type"]) == (503, "/problems/random-source-unavailable")
        assert meera.post(ADDITION).status_code == 201, "half of the threads are free"
        go.set()
        assert [call.result().status_code for call in calls] == [201] * 4
    assert len(server.received) == 4
    assert meera.post(RANDOM_STRING).status_code == 201


# ---- the settings


@pytest.mark.parametrize(
    "url", ["http://api.random.org/", "ftp://api.random.org/", "https://", "api.random.org", "https://["]
)
def test_on_azure_the_url_must_be_https(tmp_path: Path, url: str) -> None:
    variables = {"WEBSITE_SITE_NAME": "app", "DATABASE_URL": "sqlite://", "RANDOM_ORG_URL": url}
    with pytest.raises(
        settings.SettingsError, match=r"^RANDOM_ORG_URL must be an absolute URL that begins with https\.$"
    ):
        service.build(settings.load(variables, tmp_path))
    assert service.build(settings.load({**variables, "RANDOM_ORG_URL": ""}, tmp_path)).endpoints
    assert service.build(settings.load({**variables, "RANDOM_ORG_URL": "https://127.0.0.1:8443/x"}, tmp_path)).endpoints


@pytest.mark.parametrize(
    ("url", "is_url"), [("http://127.0.0.1:80/", True), ("ftp://a/", False), ("http://a:x/", False)]
)
def test_elsewhere_the_url_may_be_http(tmp_path: Path, url: str, is_url: bool) -> None:
    configured = settings.load({"RANDOM_ORG_URL": url}, tmp_path)
    if is_url:
        assert service.build(configured).endpoints
    else:
        with pytest.raises(settings.SettingsError, match="https or http"):
            service.build(configured)


def test_the_key_is_not_in_the_settings_text(tmp_path: Path) -> None:
    assert service.settings is not None
    section = settings.load({"RANDOM_ORG_API_KEY": API_KEY}, tmp_path).section(service.settings)
    assert API_KEY not in repr(section)
    assert section.random_org_url == "https://api.random.org/json-rpc/4/invoke"
