"""Which calls of the points service are rejected over HTTP, and that they change nothing."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.support.ledger import ADD, MOST, Ledger, check_books


def test_a_debit_above_the_payers_total_is_rejected_though_others_have_more(ledger: Ledger, unchanged: Any) -> None:
    ledger.add("A", 100, 1)
    ledger.add("B", 1000, 2)
    ledger.add("A", -40, 3)
    ledger.spend(10)  # A has 50
    unchanged(lambda: ledger.try_add("A", -51, 4), 409, "insufficient-points")
    unchanged(lambda: ledger.try_add("NEW", -1, 4), 409, "insufficient-points")
    assert ledger.balance() == {"A": 50, "B": 1000}
    ledger.add("A", -50, 4)
    assert ledger.balance() == {"A": 0, "B": 1000}


def test_a_spend_above_the_total_is_rejected(ledger: Ledger, unchanged: Any) -> None:
    unchanged(lambda: ledger.try_spend(1), 409, "insufficient-points")
    ledger.add("A", 100, 1)
    ledger.add("B", 100, 2)
    ledger.add("B", -50, 3)
    for points in (151, 200, MOST):
        unchanged(lambda points=points: ledger.try_spend(points), 409, "insufficient-points")
    assert ledger.spend(150) == [("A", -100), ("B", -50)]


@pytest.mark.parametrize("points", [-1, -MOST, -MOST - 1])
def test_a_debit_on_an_empty_ledger_is_rejected(ledger: Ledger, unchanged: Any, points: int) -> None:
    unchanged(lambda: ledger.try_add("A", points, 1), 409, "insufficient-points")
    assert ledger.balance() == {}


def test_after_a_payers_total_beyond_64_bits_the_ledger_stays_usable(ledger: Ledger, unchanged: Any) -> None:
    ledger.add("A", MOST, 1)
    unchanged(lambda: ledger.try_add("A", 1, 2), 409, "points-overflow")
    unchanged(lambda: ledger.try_add("A", MOST, 2), 409, "points-overflow")
    assert ledger.balance() == {"A": MOST}
    assert ledger.spend(MOST) == [("A", -MOST)]
    ledger.add("A", 1, 2)
    assert ledger.balance() == {"A": 1}


def test_after_a_grand_total_beyond_64_bits_the_ledger_stays_usable(ledger: Ledger, unchanged: Any) -> None:
    ledger.add("A", MOST - 10, 1)
    unchanged(lambda: ledger.try_add("B", 11, 2), 409, "points-overflow")
    ledger.add("B", 10, 2)
    unchanged(lambda: ledger.try_add("C", 1, 3), 409, "points-overflow")
    assert ledger.balance() == {"A": MOST - 10, "B": 10}
    assert ledger.spend(MOST) == [("A", 10 - MOST), ("B", -10)]
    ledger.add("C", MOST, 3)
    assert ledger.balance() == {"A": 0, "B": 0, "C": MOST}


def test_after_an_outstanding_debit_beyond_64_bits_the_ledger_stays_usable(ledger: Ledger, unchanged: Any) -> None:
    ledger.add("A", MOST, 1)
    ledger.add("A", -MOST, 1)
    ledger.add("A", MOST, 2)
    unchanged(lambda: ledger.try_add("A", -1, 3), 409, "points-overflow")
    assert ledger.spend(MOST - 1) == [("A", 1 - MOST)]
    ledger.add("A", -1, 3)
    assert ledger.balance() == {"A": 0}
    check_books(ledger.tables())


@pytest.mark.parametrize(
    ("route", "body", "errors"),
    [
        ("addTransaction", None, {"/payer": "missing-key", "/points": "missing-key", "/timestamp": "missing-key"}),
        ("addTransaction", {}, {"/payer": "missing-key", "/points": "missing-key", "/timestamp": "missing-key"}),
        ("addTransaction", {**ADD, "Payer": "A"}, {"/Payer": "unknown-key"}),
        ("addTransaction", {**ADD, "id": str(uuid.UUID(int=5))}, {"/id": "unknown-key"}),
        (
            "addTransaction",
            {"payer": " ", "points": 0, "timestamp": "yesterday", "colour": 1},
            {
                "/payer": "payer-invalid",
                "/points": "points-zero",
                "/timestamp": "timestamp-invalid",
                "/colour": "unknown-key",
            },
        ),
        ("spend", None, {"/points": "missing-key"}),
        ("spend", {}, {"/points": "missing-key"}),
        ("spend", {"points": 0, "payer": "A"}, {"/points": "out-of-range", "/payer": "unknown-key"}),
    ],
)
def test_all_violations_are_returned_together(
    ledger: Ledger, unchanged: Any, errors_of: Any, route: str, body: Any, errors: dict[str, str]
) -> None:
    ledger.add("A", 5, 1)
    unchanged(lambda: ledger.api.post(route, body), 400, "body-invalid")
    assert errors_of(ledger.api.post(route, body)) == sorted(errors.items())


NO_POINTS: list[tuple[object, str]] = [
    (True, "wrong-type"), (False, "wrong-type"), ("1", "wrong-type"), ("", "wrong-type"), (1.5, "wrong-type"),
    (1.0, "wrong-type"), (None, "wrong-type"), ([1], "wrong-type"), ({}, "wrong-type"), (2**63, "out-of-range"),
]  # fmt: skip


@pytest.mark.parametrize(("points", "code"), [*NO_POINTS, (0, "points-zero")])
def test_points_to_add_must_be_a_64_bit_integer_and_not_zero(
    ledger: Ledger, unchanged: Any, errors_of: Any, points: object, code: str
) -> None:
    ledger.add("A", 5, 1)
    unchanged(lambda: ledger.try_add("A", points), 400, "body-invalid")
    assert errors_of(ledger.try_add("A", points)) == [("/points", code)]


@pytest.mark.parametrize(
    ("points", "code"), [*NO_POINTS, (0, "out-of-range"), (-1, "out-of-range"), (-MOST - 1, "out-of-range")]
)
def test_points_to_spend_must_be_a_64_bit_integer_above_zero(
    ledger: Ledger, unchanged: Any, errors_of: Any, points: object, code: str
) -> None:
    ledger.add("A", 5, 1)
    unchanged(lambda: ledger.try_spend(points), 400, "body-invalid")
    assert errors_of(ledger.try_spend(points)) == [("/points", code)]


@pytest.mark.parametrize(
    "number", [str(2**64), str(2**70), str(-(2**63) - 1), "1" + "0" * 300, "1" + "0" * 5000, "1e2"]
)
@pytest.mark.parametrize("route", ["addTransaction", "spend"])
def test_a_number_that_is_no_64_bit_integer_in_json_is_rejected(ledger: Ledger, route: str, number: str) -> None:
    ledger.add("A", 5, 1)
    before = ledger.tables()
    others = '"payer": "A", "timestamp": "2020-10-31T10:00:00Z", ' if route == "addTransaction" else ""
    response = ledger.api.post(route, content=f'{{{others}"points": {number}}}')
    assert response.status_code == 400, response.text
    assert ledger.tables() == before


@pytest.mark.parametrize(
    ("payer", "code"),
    [
        ("", "payer-invalid"), ("   ", "payer-invalid"), ("\t\u2003\n", "payer-invalid"), ("x" * 201, "payer-invalid"),
        ("🐄" * 201, "payer-invalid"), ("A\nB", "payer-invalid"), ("A\x00B", "payer-invalid"), (None, "wrong-type"),
        (1, "wrong-type"), (True, "wrong-type"), (["A"], "wrong-type"),
    ],
)  # fmt: skip
def test_a_payer_must_be_text_of_1_to_200_characters_in_one_line(
    ledger: Ledger, unchanged: Any, errors_of: Any, payer: object, code: str
) -> None:
    unchanged(lambda: ledger.try_add(payer, 1), 400, "body-invalid")
    assert errors_of(ledger.try_add(payer, 1)) == [("/payer", code)]


@pytest.mark.parametrize(
    "timestamp",
    [
        "", "yesterday", "2020-10-31", "2020-10-31T10:00:00", "2020-10-31 10:00:00Z", "2020-10-31T10:00Z",
        "2020-10-31T10:00:00+0100", "2020-10-31T10:00:00+01", "2020-10-31T10:00:00 Z", " 2020-10-31T10:00:00Z",
        "2020-10-31T10:00:00Z\n", "2020-10-31T10:00:00.Z", "2020-10-31T10:00:00,5Z", "20201031T100000Z",
        "2020-02-30T10:00:00Z", "2021-02-29T10:00:00Z", "2020-13-01T10:00:00Z", "2020-00-01T10:00:00Z",
        "2020-10-31T24:00:00Z", "2020-10-31T10:60:00Z", "2016-12-31T23:59:60Z", "2020-10-31T10:00:00+24:00",
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "10000-01-01T00:00:00Z",
        "２０２０-10-31T10:00:00Z", "2020-W44-6T10:00:00Z",
    ],
)  # fmt: skip
def test_a_timestamp_must_be_rfc_3339_with_a_zone(
    ledger: Ledger, unchanged: Any, errors_of: Any, timestamp: str
) -> None:
    unchanged(lambda: ledger.try_add("A", 1, timestamp), 400, "body-invalid")
    assert errors_of(ledger.try_add("A", 1, timestamp)) == [("/timestamp", "timestamp-invalid")]


@pytest.mark.parametrize("timestamp", [None, True, 1604138400.5, ["2020-10-31T10:00:00Z"]])
def test_a_timestamp_must_be_text(ledger: Ledger, unchanged: Any, errors_of: Any, timestamp: object) -> None:
    unchanged(lambda: ledger.try_add("A", 1, timestamp), 400, "body-invalid")
    assert errors_of(ledger.try_add("A", 1, timestamp)) == [("/timestamp", "wrong-type")]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[]", "body-not-object"), (b'[{"points": 1}]', "body-not-object"), (b"1", "body-not-object"),
        (b"null", "body-not-object"), (b"{", "body-not-json"), (b'{"points": NaN}', "body-not-json"),
        (b'{"payer": "\xff"}', "body-not-json"), (b'{"payer": "\\ud800"}', "body-not-json"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("route", ["addTransaction", "spend"])
def test_a_body_that_is_no_json_object_is_rejected(
    ledger: Ledger, unchanged: Any, route: str, content: bytes, code: str
) -> None:
    ledger.add("A", 5, 1)
    unchanged(lambda: ledger.api.post(route, content=content), 400, code)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"{", b'{"payer": "A"}', b"\xff"])
def test_the_body_of_a_call_that_takes_none_is_ignored(ledger: Ledger, content: bytes) -> None:
    ledger.add("A", 5, 1)
    balance = ledger.api.client.request("GET", "/balance", content=content)
    assert (balance.status_code, balance.json()) == (200, {"A": 5})
    assert ledger.api.client.request("DELETE", "/flushDB", content=content).status_code == 200
    assert ledger.balance() == {}
