"""`Idempotency-Key` on `POST /ecgs`, and the statements of every endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.support.ecg_calls import LEADS, Person
from tests.support.threads import at_once

BODY = orjson.dumps({"leads": LEADS})


def test_a_repeated_upload_has_one_effect_and_the_same_response(asha: Person) -> None:
    first, second = (asha.post(BODY, "k") for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert (first.content, first.headers["location"]) == (second.content, second.headers["location"])
    assert asha.listed() == [first.json()["ecg_id"]]


def test_a_repetition_after_the_deletion_stores_nothing(asha: Person) -> None:
    first = asha.post(BODY, "k")
    assert asha.call("DELETE", first.headers["location"]).status_code == 200
    second = asha.post(BODY, "k")
    assert (second.status_code, second.content) == (201, first.content)
    assert second.headers["location"] == first.headers["location"]
    assert asha.listed() == []


def test_uploads_at_once_with_one_key_have_one_effect(asha: Person) -> None:
    responses = at_once(8, lambda _: asha.post(BODY, "k"))
    assert {(response.status_code, response.content) for response in responses} == {(201, responses[0].content)}
    assert len(asha.listed()) == 1


def test_a_key_belongs_to_the_account(asha: Person, ravi: Person) -> None:
    ids = {person.post(BODY, "k").json()["ecg_id"] for person in (asha, ravi)}
    assert len(ids) == 2
    assert [len(person.listed()) for person in (asha, ravi)] == [1, 1]


def test_a_key_of_another_body_is_a_409(asha: Person, problem_of: Any) -> None:
    asha.post(BODY, "k")
    assert problem_of(asha.post(BODY + b" ", "k")) == (409, "idempotency-key-reused", [])


def test_an_invalid_upload_uses_no_key(asha: Person) -> None:
    assert asha.post(b"{}", "k").status_code == 400
    assert asha.post(BODY, "k").status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "", 1),
        ("GET", "", 1),
        ("GET", "?limit=1", 1),
        ("GET", "/{}", 1),
        ("GET", "/{}/insights", 1),
        ("GET", "/{}/plot.svg", 1),
        ("DELETE", "/{}", 1),
    ],
)
def test_a_call_costs_one_statement_and_that_of_its_token(
    asha: Person, count_statements: Callable[[], int], method: str, path: str, expected: int
) -> None:
    ecg_id = asha.upload()
    asha.upload()
    count_statements()
    response = asha.call(method, f"/ecgs{path.format(ecg_id)}", content=BODY if method == "POST" else None)
    assert response.is_success
    assert count_statements() == 1 + expected


def test_a_key_costs_three_statements_and_a_replay_one(asha: Person, count_statements: Callable[[], int]) -> None:
    count_statements()
    costs = []
    for _ in range(2):
        assert asha.post(BODY, "k").status_code == 201
        costs.append(count_statements())
    assert costs == [1 + 1 + 3, 1 + 1]  # look for a response, claim the key, store the response
