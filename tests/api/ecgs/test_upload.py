"""`POST /ecgs`: what is stored, its response, and what is rejected."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.ecg_calls import LEADS, SIGNAL, Person

LOW, HIGH = -(2**63), 2**63 - 1


def test_an_uploaded_ecg_is_read_as_it_was_sent(asha: Person) -> None:
    response = asha.post({"date": "2026-01-31T12:00:00.25+02:00", "leads": LEADS})
    assert response.status_code == 201
    ecg_id = response.json()["ecg_id"]
    date = "2026-01-31T10:00:00.250000Z"
    assert response.json() == {"ecg_id": ecg_id, "date": date}
    assert response.headers["location"] == f"/ecgs/{ecg_id}"
    assert asha.call("GET", response.headers["location"]).json() == {
        "ecg_id": ecg_id,
        "date": date,
        "leads": [
            {"name": "I", "number_of_samples": 10, "signal": SIGNAL},
            {"name": "aVR", "number_of_samples": 2, "signal": [2, -5]},
        ],
    }


@pytest.mark.parametrize(
    "signal",
    [[0], [-1, 127, -128], [128], [-129], [2**15], [2**31], [LOW, HIGH], [2**62, -(2**62)] * 9, [7] * 70_000 + [HIGH]],
    ids=lambda signal: str(signal[-1]),
)
def test_every_64_bit_integer_is_a_sample(asha: Person, signal: list[int]) -> None:
    (lead,) = asha.get(f"/{asha.upload(signal)}")["leads"]
    assert lead == {"name": "0", "number_of_samples": len(signal), "signal": signal}


def test_minus_zero_is_zero(asha: Person) -> None:
    response = asha.post(b'{"leads":[{"name":"I","signal":[-0]}]}')
    assert asha.get(f"/{response.json()['ecg_id']}")["leads"][0]["signal"] == [0]


def test_without_a_date_it_is_now(asha: Person) -> None:
    before = datetime.now(UTC)
    date = datetime.fromisoformat(asha.post({"leads": LEADS}).json()["date"])
    assert before <= date <= datetime.now(UTC)


def test_64_leads_keep_their_names_and_their_order(asha: Person) -> None:
    names = ["aVR", "avr", " ", "🫀" * 32, "\u00e9", "e\u0301", "a" * 32, '"<&\\', "\u202e", "٣", *map(str, range(54))]
    leads = [{"name": name, "number_of_samples": 1, "signal": [number]} for number, name in enumerate(names)]
    ecg_id = asha.post({"leads": leads}).json()["ecg_id"]
    assert asha.get(f"/{ecg_id}")["leads"] == leads
    assert [lead["name"] for lead in asha.get(f"/{ecg_id}/insights")["leads"]] == names


def _lead(**changes: Any) -> dict[str, Any]:
    return {"name": "I", "signal": [1, 2]} | changes


_WRONG: list[tuple[Any, list[tuple[str, str]]]] = [
    ({}, [("/leads", "missing-key")]),
    ({"leads": []}, [("/leads", "leads-count")]),
    ({"leads": [_lead(name=str(n)) for n in range(65)]}, [("/leads", "leads-count")]),
    ({"leads": [_lead(signal=[True], name=1)] * 65}, [("/leads", "leads-count")]),
    ({"leads": {}}, [("/leads", "wrong-type")]),
    ({"leads": None}, [("/leads", "wrong-type")]),
    ({"leads": [None, []]}, [("/leads/0", "wrong-type"), ("/leads/1", "wrong-type")]),
    ({"leads": [{}]}, [("/leads/0/name", "missing-key"), ("/leads/0/signal", "missing-key")]),
    ({"leads": [_lead()], "id": 1, "ID": 1}, [("/ID", "unknown-key"), ("/id", "unknown-key")]),
    ({"leads": [_lead(id=1, unit="mV")]}, [("/leads/0/id", "unknown-key"), ("/leads/0/unit", "unknown-key")]),
    ({"leads": [_lead(), _lead(name="i"), _lead()]}, [("/leads/2/name", "lead-name-repeated")]),
    ({"leads": [_lead(signal=[])]}, [("/leads/0/signal", "signal-empty")]),
    ({"leads": [_lead(signal=None)]}, [("/leads/0/signal", "wrong-type")]),
    ({"leads": [_lead(signal={})]}, [("/leads/0/signal", "wrong-type")]),
    ({"leads": [_lead(signal="12")]}, [("/leads/0/signal", "wrong-type")]),
    *(({"leads": [_lead(name=name)]}, [("/leads/0/name", "lead-name-invalid")])
      for name in ("", "a" * 33, "a\0", "\n", "\x7f", "\x85", "\ufffe", "\uffff")),
    *(({"leads": [_lead(name=name)]}, [("/leads/0/name", "wrong-type")]) for name in (1, None, True, ["I"])),
    *(({"leads": [_lead(number_of_samples=n)]}, [("/leads/0/number_of_samples", "number-of-samples-mismatch")])
      for n in (0, 1, 3, -2, 2**63)),
    *(({"leads": [_lead(number_of_samples=n)]}, [("/leads/0/number_of_samples", "wrong-type")])
      for n in (True, 2.0, None, "2")),
    *(({"leads": [_lead()], "date": date}, [("/date", "date-invalid")])
      for date in ("", "2026-01-31", "2026-01-31T10:00:00", "2026-02-30T10:00:00Z", "2026-01-31 10:00:00Z", "٢")),
    *(({"leads": [_lead()], "date": date}, [("/date", "wrong-type")]) for date in (0, None, True)),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), _WRONG, ids=lambda value: str(value)[:60])
def test_an_invalid_body_is_a_400_with_its_places(
    asha: Person, problem_of: Any, body: Any, expected: list[tuple[str, str]]
) -> None:
    assert problem_of(asha.post(body)) == (400, "body-invalid", expected)
    assert asha.listed() == []


@pytest.mark.parametrize(
    "sample", [b"true", b"false", b"1.0", b"1e2", b'"3"', b"null", b"[]", b"{}", b"-0.0", b"1e308"]
)
def test_a_sample_is_an_integer(asha: Person, problem_of: Any, sample: bytes) -> None:
    response = asha.post(b'{"leads":[{"name":"I","signal":[' + b"1," * 17 + sample + b",true]}]}")
    assert problem_of(response) == (400, "body-invalid", [("/leads/0/signal/17", "wrong-type")])


@pytest.mark.parametrize("sample", [2**63, -(2**63) - 1, 2**64 - 1, 2**64, 10**300])
def test_a_sample_has_64_bits(asha: Person, errors_of: Callable[..., Any], sample: int) -> None:
    response = asha.post(b'{"leads":[{"name":"I","signal":[0,%d]}]}' % sample)
    assert response.status_code == 400
    ((pointer, code),) = errors_of(response)
    assert pointer == "/leads/0/signal/1"
    assert code in ("out-of-range", "wrong-type")  # orjson reads what has more than 64 bits as a float


def test_all_violations_are_reported_at_once(asha: Person, problem_of: Any) -> None:
    body = {
        "date": "yesterday",
        "note": "",
        "leads": [
            _lead(name="", number_of_samples=9, signal=[1, 1.5, "x"]),
            _lead(signal=[2] * 99_999 + [True], number_of_samples=99_999, extra=1),
            _lead(signal=[3, None], number_of_samples=None),
            _lead(signal=[]),
        ],
    }
    assert problem_of(asha.post(body)) == (
        400,
        "body-invalid",
        [
            ("/date", "date-invalid"),
            ("/leads/0/name", "lead-name-invalid"),
            ("/leads/0/number_of_samples", "number-of-samples-mismatch"),
            ("/leads/0/signal/1", "wrong-type"),
            ("/leads/1/extra", "unknown-key"),
            ("/leads/1/number_of_samples", "number-of-samples-mismatch"),
            ("/leads/1/signal/99999", "wrong-type"),
            ("/leads/2/name", "lead-name-repeated"),
            ("/leads/2/number_of_samples", "wrong-type"),
            ("/leads/2/signal/1", "wrong-type"),
            ("/leads/3/name", "lead-name-repeated"),
            ("/leads/3/signal", "signal-empty"),
            ("/note", "unknown-key"),
        ],
    )


def test_of_64_invalid_leads_each_reports_its_first_sample(asha: Person, errors_of: Callable[..., Any]) -> None:
    leads = [{"name": str(n), "signal": [0] * (5000 + n) + [True, 1.5]} for n in range(64)]
    found = errors_of(asha.post({"leads": leads}))
    assert found == sorted((f"/leads/{n}/signal/{5000 + n}", "wrong-type") for n in range(64))
