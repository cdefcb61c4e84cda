"""Bodies that are no ECG: 400 within a bounded time and memory, and nothing is stored."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from api.ecgs.uploads import BODY_LIMIT
from tests.support.ecg_calls import MIB, Person, body_of

LEAD = b'{"leads":[{"name":"I","signal":[%s]}]}'

_NOT_JSON = [
    b"{", b"nonsense", b"\xef\xbb\xbf" + LEAD % b"1", LEAD % b"NaN", LEAD % b"Infinity", LEAD % b"1e400", LEAD % b"01",
    LEAD % b"1,", LEAD % (b"9" * 20_000), LEAD % (b"[" * 5_000), b'{"leads":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    b'{"leads":[{"name":"\\ud800","signal":[1]}]}', b'{"leads":[{"name":"\xff","signal":[1]}]}',
    (LEAD % b"1").decode().encode("utf-16"),
]  # fmt: skip


@pytest.mark.parametrize("body", _NOT_JSON, ids=lambda body: str(body[:40]))
def test_what_is_not_json_is_a_400(asha: Person, problem_of: Any, body: bytes) -> None:
    assert problem_of(asha.post(body)) == (400, "body-not-json", [])


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"x"', b"true"])
def test_what_is_not_an_object_is_a_400(asha: Person, problem_of: Any, body: bytes) -> None:
    assert problem_of(asha.post(body)) == (400, "body-not-object", [])


def test_an_empty_body_has_no_leads(asha: Person, problem_of: Any) -> None:
    assert problem_of(asha.post(b"")) == (400, "body-invalid", [("/leads", "missing-key")])


def test_of_equal_keys_the_last_one_counts(asha: Person) -> None:
    response = asha.post(b'{"leads":1,"leads":[{"name":1,"name":"I","signal":[],"signal":[4]}]}')
    (lead,) = asha.get(f"/{response.json()['ecg_id']}")["leads"]
    assert (lead["name"], lead["signal"]) == ("I", [4])


def test_a_boolean_after_300_000_integers_is_found(asha: Person, problem_of: Any) -> None:
    response = asha.post(LEAD % (b"1," * 300_000 + b"true"))
    assert problem_of(response) == (400, "body-invalid", [("/leads/0/signal/300000", "wrong-type")])


@pytest.mark.parametrize("element", [b"[],", b"{},", b'{"a":[]},'])
@pytest.mark.parametrize("place", [LEAD, b'{"leads":[%s]}', b"[%s]"])
def test_more_arrays_and_objects_than_an_ecg_has_are_not_parsed(
    asha: Person, problem_of: Any, element: bytes, place: bytes
) -> None:
    body = (place % (element * 20_000)[:-1]).ljust(2 * MIB + 1)
    assert problem_of(asha.post(body)) == (400, "body-too-complex", [])


@pytest.mark.parametrize("place", [b"{%s}", b'{"leads":[{%s}]}'])
def test_more_keys_than_an_ecg_has_are_not_parsed(asha: Person, problem_of: Any, place: bytes) -> None:
    keys = [b'"%d":1' % number for number in range(10_001)]
    assert problem_of(asha.post(place % b",".join(keys))) == (400, "body-too-complex", [])


@pytest.mark.parametrize("sample", [b'"1"', b"[1]", b"{}", b"1.5"])
def test_a_signal_of_anything_else_is_one_violation(asha: Person, problem_of: Any, sample: bytes) -> None:
    response = asha.post(LEAD % b",".join([sample] * 100_000))
    assert problem_of(response) == (400, "body-invalid", [("/leads/0/signal/0", "wrong-type")])


def test_the_most_complex_ecg_is_accepted(asha: Person) -> None:
    leads = [{"name": '":[{' * 7 + f"{n:4}", "number_of_samples": 1, "signal": [n]} for n in range(64)]
    body = orjson.dumps({"date": "2026-01-31T10:00:00Z", "leads": leads})
    assert asha.post(body).status_code == asha.post(body.ljust(3 * MIB)).status_code == 201


def test_a_body_may_have_32_mib_and_no_byte_more(asha: Person, problem_of: Any) -> None:
    assert BODY_LIMIT == 32 * MIB
    largest = body_of(1000).ljust(BODY_LIMIT)
    assert asha.post(largest).status_code == 201
    assert problem_of(asha.post(largest + b" ")) == (413, "body-too-large", [])
    assert problem_of(asha.post(b"x" * (BODY_LIMIT + 1)))[0] == 413
    assert len(asha.listed()) == 1
