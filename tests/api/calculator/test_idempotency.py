"""`Idempotency-Key` on `POST /records`."""

from __future__ import annotations

from typing import Any

from tests.support.calculator import ADDITION, RANDOM_STRING, Calculator
from tests.support.random_org import RandomOrg
from tests.support.threads import at_once


def test_a_repeated_call_has_one_effect_and_the_same_response(asha: Calculator) -> None:
    first, second = (asha.post(ADDITION, Idempotency_Key="k") for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert (asha.balance(), len(asha.records())) == (2497, 1)


def test_many_calls_at_once_with_one_key_have_one_effect(asha: Calculator) -> None:
    responses = at_once(8, lambda _: asha.post(RANDOM_STRING, Idempotency_Key="k"))
    assert {(response.status_code, response.content) for response in responses} == {(201, responses[0].content)}
    assert {response.headers["Random-Source"] for response in responses} == {"local"}
    assert (asha.balance(), len(asha.records())) == (2492, 1)


def test_a_key_belongs_to_the_account(asha: Calculator, ravi: Calculator) -> None:
    responses = [person.post(ADDITION, Idempotency_Key="k") for person in (asha, ravi)]
    assert len({response.json()["record_id"] for response in responses}) == 2
    assert (asha.balance(), ravi.balance()) == (2497, 2497)


def test_a_key_of_another_call_is_a_409(asha: Calculator, problem_of: Any) -> None:
    asha.post(ADDITION, Idempotency_Key="k")
    response = asha.post(ADDITION.replace("2}", "2.0}"), Idempotency_Key="k")
    assert problem_of(response) == (409, "idempotency-key-reused", [])


def test_errors_are_not_stored(asha: Calculator) -> None:
    asha.spend_down_to(2)
    assert asha.post(ADDITION, Idempotency_Key="k").status_code == 403
    asha.grant(1)
    assert asha.post(ADDITION, Idempotency_Key="k").status_code == 201


def test_a_replay_does_not_call_random_org_and_names_it(meera: Calculator, server: RandomOrg) -> None:
    first, second = (meera.post(RANDOM_STRING, Idempotency_Key="k") for _ in range(2))
    assert len(server.received) == 1
    assert first.content == second.content
    assert first.headers["Random-Source"] == second.headers["Random-Source"] == "random.org"


def test_of_two_calls_at_once_both_may_call_random_org_with_one_effect(meera: Calculator, server: RandomOrg) -> None:
    responses = at_once(2, lambda _: meera.post(RANDOM_STRING, Idempotency_Key="k"))
    assert responses[0].content == responses[1].content
    assert {response.headers["Random-Source"] for response in responses} == {"random.org"}
    assert 1 <= len(server.received) <= 2
    assert (meera.balance(), len(meera.records())) == (2492, 1)


def test_a_call_that_failed_at_random_org_may_be_repeated(meera: Calculator, server: RandomOrg) -> None:
    respond, server.respond = server.respond, lambda _: b""
    assert meera.post(RANDOM_STRING, Idempotency_Key="k").status_code == 503
    server.respond = respond
    assert meera.post(RANDOM_STRING, Idempotency_Key="k").status_code == 201
    assert meera.balance() == 2492
