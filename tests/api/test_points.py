"""The points ledger over HTTP: who pays, in which order, what is refused, and what a refusal leaves as it was."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, permutations
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from azure.functions.decorators.http import HttpTrigger
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlmodel import SQLModel

import function_app
import settings
from persistence.database import connections
from persistence.points import BALANCES, LEDGER, SPENDS, TRANSACTIONS

MOST = 2**63 - 1
DAY = "2020-10-31T{:02}:00:00Z"

FIVE: list[tuple[str, int, str]] = [
    ("DANNON", 1000, "2020-11-02T14:00:00Z"),
    ("UNILEVER", 200, "2020-10-31T11:00:00Z"),
    ("DANNON", -200, "2020-10-31T15:00:00Z"),
    ("MILLER COORS", 10000, "2020-11-01T14:00:00Z"),
    ("DANNON", 300, "2020-10-31T10:00:00Z"),
]
FIVE_PAY = [("DANNON", -100), ("UNILEVER", -200), ("MILLER COORS", -4700)]
FIVE_LEAVE = {"DANNON": 1000, "UNILEVER": 0, "MILLER COORS": 5300}


class Ledger:
    """The four triggers, and the tables behind them."""

    def __init__(self, api: Any) -> None:
        self.api = api

    def try_add(self, payer: object, points: object, at: object = 0) -> Any:
        """The response to a transaction; `at` is an hour of one day, or a timestamp."""
        timestamp = DAY.format(at) if type(at) is int else at
        return self.api.post("addTransaction", {"payer": payer, "points": points, "timestamp": timestamp})

    def add(self, payer: str, points: int, at: int | str = 0) -> dict[str, Any]:
        response = self.try_add(payer, points, at)
        assert response.status_code == 201, response.text
        stored: dict[str, Any] = response.json()
        return stored

    def try_spend(self, points: object) -> Any:
        return self.api.post("spend", {"points": points})

    def spend(self, points: int) -> list[tuple[str, int]]:
        """Who paid how much, in the order of the answer."""
        response = self.try_spend(points)
        assert response.status_code == 200, response.text
        assert all(list(payment) == ["payer", "points"] for payment in response.json())
        return [(payment["payer"], payment["points"]) for payment in response.json()]

    def balance(self) -> dict[str, int]:
        response = self.api.client.get("/balance")
        assert response.status_code == 200, response.text
        totals: dict[str, int] = response.json()
        return totals

    def flush(self) -> None:
        assert self.api.post("flushDB").status_code == 200

    @staticmethod
    def tables() -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table but those of the users, in the order of the keys."""
        tables = [table for table in SQLModel.metadata.sorted_tables if table.name not in ("users", "managers")]
        with connections.reading() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(select(table).order_by(table.c.id))]
                for table in tables
            }


@pytest.fixture
def ledger(api: Any) -> Ledger:
    return Ledger(api)


@pytest.fixture
def unchanged(ledger: Ledger) -> Callable[[Any, int, str], None]:
    """A function that makes a call which must be refused with this status and code, and must change no row."""

    def check(call: Callable[[], Any], status: int, code: str) -> None:
        before = ledger.tables()
        response = call()
        assert (response.status_code, response.json()["type"]) == (status, f"/problems/{code}"), response.text
        assert ledger.tables() == before

    return check


def check_books(tables: dict[str, list[tuple[Any, ...]]]) -> None:
    """What is left in a payer's lots minus its outstanding debit is its total, which its history explains."""
    left: Counter[int] = Counter()
    moved: Counter[int] = Counter()
    columns = [column.name for column in TRANSACTIONS.columns]
    for row in tables[TRANSACTIONS.name]:
        transaction = dict(zip(columns, row, strict=True))
        assert 0 <= transaction["points_left"] <= max(0, transaction["points"])
        left[transaction["payer_id"]] += transaction["points_left"]
        moved[transaction["payer_id"]] += transaction["points"]
    for _, _, payer_id, points, _ in tables[SPENDS.name]:
        assert points > 0
        moved[payer_id] -= points
    for payer_id, _, total, outstanding_debit in tables[BALANCES.name]:
        assert min(total, outstanding_debit) >= 0
        assert left[payer_id] - outstanding_debit == total == moved[payer_id]
    assert tables[LEDGER.name] == [(1, sum(total for _, _, total, _ in tables[BALANCES.name]))]


# ---- who pays


def test_the_worked_example(ledger: Ledger) -> None:
    for transaction in FIVE:
        ledger.add(*transaction)
    assert ledger.spend(5000) == FIVE_PAY
    assert ledger.balance() == FIVE_LEAVE
    check_books(ledger.tables())


def test_the_five_calls_in_any_order_that_keeps_dannon_above_zero_have_the_same_answer(ledger: Ledger) -> None:
    refused = 0
    for order in permutations(FIVE):
        later = []
        dannon = 0
        for payer, points, timestamp in order:
            response = ledger.try_add(payer, points, timestamp)
            if payer == "DANNON" and dannon + points < 0:
                assert (response.status_code, response.json()["type"]) == (409, "/problems/insufficient-points")
                later.append((payer, points, timestamp))
            else:
                assert response.status_code == 201, order
                dannon += points if payer == "DANNON" else 0
        for transaction in later:  # once there is enough, it is an order of five calls as any other
            ledger.add(*transaction)
            refused += 1
        assert ledger.spend(5000) == FIVE_PAY, order
        assert ledger.balance() == FIVE_LEAVE, order
        ledger.flush()
    assert refused == 40  # the debit comes before both of DANNON's lots in a third of 120 orders


def test_the_oldest_points_go_first_by_timestamp_and_not_by_arrival(ledger: Ledger) -> None:
    ledger.add("C", 10, 3)
    ledger.add("A", 10, 1)
    ledger.add("B", 10, 2)
    assert ledger.spend(15) == [("A", -10), ("B", -5)]
    assert ledger.spend(15) == [("B", -5), ("C", -10)]


@pytest.mark.parametrize("at", [0, 1, 2, 3, 23])
def test_a_debit_takes_before_the_spend_whatever_its_own_timestamp(ledger: Ledger, at: int) -> None:
    ledger.add("A", 300, 1)
    ledger.add("B", 200, 2)
    ledger.add("A", -200, at)
    assert ledger.spend(300) == [("A", -100), ("B", -200)]
    assert ledger.balance() == {"A": 0, "B": 0}


def test_a_debit_that_the_walk_did_not_reach_stays_outstanding(ledger: Ledger) -> None:
    ledger.add("A", 100, 5)
    ledger.add("B", 100, 6)
    ledger.add("B", -50, 7)
    assert ledger.spend(60) == [("A", -60)]
    ledger.add("B", 50, 1)  # the oldest lot by now, and the debit takes all of it
    assert ledger.spend(50) == [("A", -40), ("B", -10)]
    assert ledger.balance() == {"A": 0, "B": 90}


def test_a_debit_behind_the_lot_that_completes_a_spend_is_not_settled_though_it_takes_a_whole_lot(
    ledger: Ledger,
) -> None:
    ledger.add("A", 100, 1)
    ledger.add("A", 100, 2)
    ledger.add("A", -150, 3)
    ledger.add("B", 30, 4)
    ledger.add("B", -30, 5)
    assert ledger.spend(50) == [("A", -50)]
    ledger.add("B", 30, 0)  # the debit takes it; had it been settled above, B would pay
    ledger.add("C", 10, 1)
    assert ledger.spend(10) == [("C", -10)]
    assert ledger.balance() == {"A": 0, "B": 30, "C": 0}


def test_a_settled_debit_takes_nothing_a_second_time(ledger: Ledger) -> None:
    ledger.add("A", 100, 5)
    ledger.add("A", -60, 5)
    assert ledger.spend(10) == [("A", -10)]
    ledger.add("B", 100, 4)
    ledger.add("A", 60, 1)
    assert ledger.spend(80) == [("A", -60), ("B", -20)]
    assert ledger.balance() == {"A": 30, "B": 80}


def test_debits_of_one_payer_add_up_and_are_settled_over_several_lots(ledger: Ledger) -> None:
    ledger.add("A", 10, 1)
    ledger.add("B", 5, 2)
    ledger.add("A", 10, 3)
    ledger.add("A", 10, 4)
    ledger.add("A", -8, 5)
    ledger.add("A", -9, 6)  # takes the lot at 1 and seven of that at 3
    assert ledger.spend(7) == [("B", -5), ("A", -2)]
    assert ledger.balance() == {"A": 11, "B": 0}
    check_books(ledger.tables())


def test_a_lot_that_a_debit_took_gives_its_payer_no_place_in_the_answer(ledger: Ledger) -> None:
    ledger.add("A", 10, 1)
    ledger.add("A", -10, 1)
    ledger.add("B", 10, 2)
    ledger.add("A", 10, 3)
    assert ledger.spend(5) == [("B", -5)]
    check_books(ledger.tables())  # nor in the books, as one who paid nothing
    assert ledger.spend(15) == [("B", -5), ("A", -10)]


def test_a_refused_spend_settles_no_debit(ledger: Ledger, unchanged: Any) -> None:
    ledger.add("A", 100, 5)
    ledger.add("A", -60, 6)
    unchanged(lambda: ledger.try_spend(41), 409, "insufficient-points")
    ledger.add("B", 10, 4)
    ledger.add("A", 60, 1)
    assert ledger.spend(10) == [("B", -10)]  # the debit was still there for the lot that came afterwards


def test_a_later_arrival_with_an_older_timestamp_changes_only_future_spends(ledger: Ledger) -> None:
    ledger.add("A", 100, 5)
    assert ledger.spend(30) == [("A", -30)]
    spends = ledger.tables()[SPENDS.name]
    ledger.add("B", 100, 1)
    assert ledger.balance() == {"A": 70, "B": 100}
    assert ledger.tables()[SPENDS.name] == spends
    assert ledger.spend(120) == [("B", -100), ("A", -20)]


def test_two_identical_transactions_both_count(ledger: Ledger) -> None:
    one, other = ledger.add("A", 10, 1), ledger.add("A", 10, 1)
    assert one["id"] != other["id"]
    ledger.add("A", -3, 1)
    ledger.add("A", -3, 1)
    assert ledger.balance() == {"A": 14}
    assert ledger.spend(7) == ledger.spend(7) == [("A", -7)]
    assert ledger.balance() == {"A": 0}


def test_points_of_one_instant_go_by_order_of_arrival_however_their_zones_are_written(ledger: Ledger) -> None:
    payers = ["C", "A", "D", "B"]
    instants = [
        "2020-10-31T10:00:00.5Z", "2020-10-31T11:00:00.50+01:00", "2020-10-30T22:30:00.500000-11:30",
        "2020-10-31t10:00:00.500z",
    ]  # fmt: skip
    for payer, timestamp in zip(payers, instants, strict=True):
        ledger.add(payer, 1, timestamp)
    assert ledger.spend(4) == [(payer, -1) for payer in payers]


def test_timestamps_are_compared_as_instants_and_not_as_text(ledger: Ledger) -> None:
    ledger.add("THIRD", 1, "2020-10-31T01:00:00-11:00")
    ledger.add("SECOND", 1, "2020-10-31T10:00:00.000001Z")
    ledger.add("FIRST", 1, "2020-10-31T23:00:00+13:00")
    assert ledger.spend(3) == [("FIRST", -1), ("SECOND", -1), ("THIRD", -1)]


def test_a_spend_may_take_everything_and_the_ledger_goes_on(ledger: Ledger) -> None:
    ledger.add("A", 7, 1)
    ledger.add("B", 8, 2)
    assert ledger.spend(15) == [("A", -7), ("B", -8)]
    assert ledger.balance() == {"A": 0, "B": 0}
    assert ledger.try_spend(1).status_code == 409
    ledger.add("A", 1, 1)
    assert ledger.spend(1) == [("A", -1)]


@pytest.mark.parametrize("lots", [99, 100, 101, 250])
def test_a_spend_over_many_lots_takes_each_of_them_once(ledger: Ledger, lots: int) -> None:
    for number in range(lots):
        ledger.add(f"P{number % 3}", 2, number % 24)
    assert sum(points for _, points in ledger.spend(2 * lots - 1)) == 1 - 2 * lots
    assert sum(ledger.balance().values()) == 1
    check_books(ledger.tables())


# ---- what is answered


def test_an_add_answers_201_and_the_stored_transaction_with_its_id(ledger: Ledger) -> None:
    response = ledger.try_add("DANNON", 300, "2020-10-31T10:00:00Z")
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    added = response.json()
    assert str(uuid.UUID(added["id"])) == added["id"]
    assert added == {
        "id": added["id"], "payer": "DANNON", "points": 300, "timestamp": "2020-10-31T10:00:00.000000Z",
    }  # fmt: skip
    assert ledger.add("DANNON", -300, 1)["points"] == -300
    with connections.reading() as connection:
        stored = connection.execute(select(TRANSACTIONS.c.transaction_id, TRANSACTIONS.c.occurred_at)).first()
    assert stored == (added["id"], added["timestamp"])


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("2020-10-31T10:00:00Z", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31t10:00:00z", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31T10:00:00+00:00", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31T10:00:00-00:00", "2020-10-31T10:00:00.000000Z"),
        ("2021-01-01T05:15:00.25+05:30", "2020-12-31T23:45:00.250000Z"),
        ("2020-02-28T23:59:59.999999-00:01", "2020-02-29T00:00:59.999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z"),
    ],
)
def test_timestamps_are_answered_in_utc(ledger: Ledger, sent: str, answered: str) -> None:
    assert ledger.add("A", 1, sent)["timestamp"] == answered


def test_a_spend_answers_200_and_one_entry_per_payer_in_the_order_of_the_first_points_taken(ledger: Ledger) -> None:
    for hour, payer in enumerate(["Z", "M", "Z", "A", "M"]):
        ledger.add(payer, 10, hour)
    response = ledger.try_spend(50)
    assert response.status_code == 200
    assert response.json() == [
        {"payer": "Z", "points": -20},
        {"payer": "M", "points": -20},
        {"payer": "A", "points": -10},
    ]


def test_the_balance_of_an_empty_ledger_is_an_empty_object(ledger: Ledger) -> None:
    assert ledger.balance() == {}


def test_the_balance_has_payers_at_zero_whether_a_spend_or_a_debit_took_their_points(ledger: Ledger) -> None:
    ledger.add("A", 5, 1)
    ledger.add("B", 5, 2)
    ledger.add("B", -5, 3)
    ledger.spend(5)
    assert ledger.balance() == {"A": 0, "B": 0}


def test_who_paid_what_is_kept_for_ever(ledger: Ledger) -> None:
    ledger.add("A", 5, 1)
    ledger.add("B", 5, 2)
    ledger.spend(7)
    ledger.spend(3)
    tables = ledger.tables()
    payers = {row[0]: row[1] for row in tables[BALANCES.name]}
    spends: dict[str, list[tuple[str, int]]] = {}
    for _, spend_id, payer_id, points, recorded_at in tables[SPENDS.name]:
        assert recorded_at >= "2026"
        spends.setdefault(spend_id, []).append((payers[payer_id], points))
    assert sorted(map(sorted, spends.values())) == [[("A", 5), ("B", 2)], [("B", 3)]]
    assert [row[3] for row in tables[TRANSACTIONS.name]] == [5, 5]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_a_flush_by_any_method_empties_everything(ledger: Ledger, method: str) -> None:
    fresh = ledger.tables()
    for transaction in FIVE:
        ledger.add(*transaction)
    ledger.spend(5000)
    response = ledger.api.client.request(method, "/flushDB")
    assert response.status_code == 200, response.text
    assert isinstance(response.json(), dict)
    assert ledger.tables() == fresh
    assert ledger.balance() == {}
    assert ledger.try_spend(1).status_code == 409
    for transaction in FIVE:
        ledger.add(*transaction)
    assert ledger.spend(5000) == FIVE_PAY


def test_an_empty_ledger_can_be_flushed(ledger: Ledger) -> None:
    ledger.flush()
    ledger.flush()
    assert ledger.balance() == {}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_flush_is_refused_where_the_setting_does_not_allow_it(
    ledger: Ledger, unchanged: Any, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    ledger.add("A", 5, 1)
    ledger.spend(1)
    forbidding = replace(settings.current(), points_allow_flush=False)
    monkeypatch.setattr(settings, "current", lambda: forbidding)
    unchanged(lambda: ledger.api.client.request(method, "/flushDB"), 403, "flush-not-allowed")
    assert ledger.balance() == {"A": 4}


# ---- what is refused


def test_a_debit_above_the_payers_total_is_refused_though_others_have_points(ledger: Ledger, unchanged: Any) -> None:
    ledger.add("A", 100, 1)
    ledger.add("B", 1000, 2)
    ledger.add("A", -40, 3)
    ledger.spend(10)  # A has 50
    unchanged(lambda: ledger.try_add("A", -51, 4), 409, "insufficient-points")
    unchanged(lambda: ledger.try_add("NEW", -1, 4), 409, "insufficient-points")
    assert ledger.balance() == {"A": 50, "B": 1000}
    ledger.add("A", -50, 4)
    assert ledger.balance() == {"A": 0, "B": 1000}


def test_a_spend_above_the_total_is_refused(ledger: Ledger, unchanged: Any) -> None:
    unchanged(lambda: ledger.try_spend(1), 409, "insufficient-points")
    ledger.add("A", 100, 1)
    ledger.add("B", 100, 2)
    ledger.add("B", -50, 3)
    for points in (151, 200, MOST):
        unchanged(lambda points=points: ledger.try_spend(points), 409, "insufficient-points")
    assert ledger.spend(150) == [("A", -100), ("B", -50)]


@pytest.mark.parametrize("points", [-1, -MOST, -MOST - 1])
def test_a_debit_on_an_empty_ledger_is_refused(ledger: Ledger, unchanged: Any, points: int) -> None:
    unchanged(lambda: ledger.try_add("A", points, 1), 409, "insufficient-points")
    assert ledger.balance() == {}


def test_an_add_beyond_64_bits_of_its_payers_total_is_refused_and_the_ledger_stays_usable(
    ledger: Ledger, unchanged: Any
) -> None:
    ledger.add("A", MOST, 1)
    unchanged(lambda: ledger.try_add("A", 1, 2), 409, "points-overflow")
    unchanged(lambda: ledger.try_add("A", MOST, 2), 409, "points-overflow")
    assert ledger.balance() == {"A": MOST}
    assert ledger.spend(MOST) == [("A", -MOST)]
    ledger.add("A", 1, 2)
    assert ledger.balance() == {"A": 1}


def test_an_add_beyond_64_bits_of_the_grand_total_is_refused_and_the_ledger_stays_usable(
    ledger: Ledger, unchanged: Any
) -> None:
    ledger.add("A", MOST - 10, 1)
    unchanged(lambda: ledger.try_add("B", 11, 2), 409, "points-overflow")
    ledger.add("B", 10, 2)
    unchanged(lambda: ledger.try_add("C", 1, 3), 409, "points-overflow")
    assert ledger.balance() == {"A": MOST - 10, "B": 10}
    assert ledger.spend(MOST) == [("A", 10 - MOST), ("B", -10)]
    ledger.add("C", MOST, 3)
    assert ledger.balance() == {"A": 0, "B": 0, "C": MOST}


def test_an_outstanding_debit_beyond_64_bits_is_refused_and_the_ledger_stays_usable(
    ledger: Ledger, unchanged: Any
) -> None:
    ledger.add("A", MOST, 1)
    ledger.add("A", -MOST, 1)
    ledger.add("A", MOST, 2)
    unchanged(lambda: ledger.try_add("A", -1, 3), 409, "points-overflow")
    assert ledger.spend(MOST - 1) == [("A", 1 - MOST)]
    ledger.add("A", -1, 3)
    assert ledger.balance() == {"A": 0}
    check_books(ledger.tables())


ADD = {"payer": "A", "points": 1, "timestamp": "2020-10-31T10:00:00Z"}


@pytest.mark.parametrize(
    ("trigger", "body", "errors"),
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
def test_missing_and_unknown_keys_and_all_other_violations_are_told_at_once(
    ledger: Ledger, unchanged: Any, errors_of: Any, trigger: str, body: Any, errors: dict[str, str]
) -> None:
    ledger.add("A", 5, 1)
    unchanged(lambda: ledger.api.post(trigger, body), 400, "body-invalid")
    assert errors_of(ledger.api.post(trigger, body)) == sorted(errors.items())


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
@pytest.mark.parametrize("trigger", ["addTransaction", "spend"])
def test_a_number_that_json_readers_do_not_take_for_an_integer_is_refused(
    ledger: Ledger, trigger: str, number: str
) -> None:
    ledger.add("A", 5, 1)
    before = ledger.tables()
    others = '"payer": "A", "timestamp": "2020-10-31T10:00:00Z", ' if trigger == "addTransaction" else ""
    response = ledger.api.post(trigger, content=f'{{{others}"points": {number}}}')
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
@pytest.mark.parametrize("trigger", ["addTransaction", "spend"])
def test_a_body_that_is_no_json_object_is_refused(
    ledger: Ledger, unchanged: Any, trigger: str, content: bytes, code: str
) -> None:
    ledger.add("A", 5, 1)
    unchanged(lambda: ledger.api.post(trigger, content=content), 400, code)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"{", b'{"payer": "A"}', b"\xff"])
def test_a_body_of_a_call_that_takes_none_is_not_looked_at(ledger: Ledger, content: bytes) -> None:
    ledger.add("A", 5, 1)
    balance = ledger.api.client.request("GET", "/balance", content=content)
    assert (balance.status_code, balance.json()) == (200, {"A": 5})
    assert ledger.api.client.request("DELETE", "/flushDB", content=content).status_code == 200
    assert ledger.balance() == {}


# ---- names of payers


def test_names_of_payers_are_case_sensitive(ledger: Ledger) -> None:
    names = ["DANNON", "Dannon", "dannon", "STRASSE", "straße", "strasse", "I", "i", "ı", "İ"]
    for points, payer in enumerate(names, 1):
        ledger.add(payer, points, points)
    assert ledger.balance() == {payer: points for points, payer in enumerate(names, 1)}
    assert ledger.try_add("Dannon", -3, 1).status_code == 409
    assert ledger.spend(55) == [(payer, -points) for points, payer in enumerate(names, 1)]


def test_names_of_payers_are_trimmed(ledger: Ledger) -> None:
    assert ledger.add("  MILLER COORS\t", 5, 1)["payer"] == "MILLER COORS"
    assert ledger.add("\u00a0MILLER COORS \n", 5, 1)["payer"] == "MILLER COORS"
    ledger.add("MILLERCOORS", 1, 2)
    assert ledger.balance() == {"MILLER COORS": 10, "MILLERCOORS": 1}


@pytest.mark.parametrize("character", ["x", "é", "中", "🐄", "'", '"', "\\", "%"])
def test_a_name_may_have_200_characters_of_any_script(ledger: Ledger, character: str) -> None:
    payer = character * 200
    assert ledger.add(f"  {payer}  ", 5, 1)["payer"] == payer
    ledger.add(payer, 5, 1)
    assert ledger.balance() == {payer: 10}
    assert ledger.spend(3) == [(payer, -3)]
    assert ledger.try_add(f"{payer}{character}", 5, 1).status_code == 400


# ---- the triggers


@pytest.mark.parametrize(
    ("method", "trigger"),
    [(method, "addTransaction") for method in ("GET", "PUT", "PATCH", "DELETE")]
    + [(method, "spend") for method in ("GET", "PUT", "PATCH", "DELETE")]
    + [(method, "balance") for method in ("POST", "PUT", "PATCH", "DELETE")],
)
def test_a_method_that_a_trigger_does_not_have_is_not_found(ledger: Ledger, method: str, trigger: str) -> None:
    ledger.add("A", 5, 1)
    before = ledger.tables()
    body = ADD if trigger == "addTransaction" else {"points": 1} if trigger == "spend" else None
    assert ledger.api.client.request(method, f"/{trigger}", json=body).status_code == 404
    assert ledger.tables() == before


@pytest.fixture
def built(tmp_path: Path) -> Iterator[func.FunctionApp]:
    """An app of the points service alone, over a database of its own."""
    yield function_app.build(
        replace(
            settings.current(), database_url=f"sqlite:///{tmp_path}/built.db", services=("points",), health_check=False
        )
    )
    connections.close()


def test_the_four_triggers_and_their_description_have_their_routes_and_methods_and_ask_for_a_function_key(
    built: func.FunctionApp,
) -> None:
    triggers = [function.get_trigger() for function in built.get_functions()]
    assert all(isinstance(trigger, HttpTrigger) for trigger in triggers)
    assert {
        trigger.route: ({method.value for method in trigger.methods or ()}, trigger.auth_level)
        for trigger in triggers
        if isinstance(trigger, HttpTrigger)
    } == {
        "addTransaction": ({"POST"}, func.AuthLevel.FUNCTION),
        "spend": ({"POST"}, func.AuthLevel.FUNCTION),
        "balance": ({"GET"}, func.AuthLevel.FUNCTION),
        "flushDB": (set(), func.AuthLevel.FUNCTION),  # any
        "openapi.json": ({"GET"}, func.AuthLevel.FUNCTION),
    }


def test_nobodys_name_is_in_the_log(ledger: Ledger, database_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        ledger.add("Unmistakable", 5, 1)
        ledger.try_add("Unmistakable", -6, 1)
        ledger.try_add("Unmistakable", MOST, 1)
        ledger.try_add("Unmistakable\x00", 1)
        ledger.try_add("Unmistakable", 1, "Unmistakable")
        ledger.api.post("addTransaction", {"Unmistakable": 1})
        ledger.spend(2)
        ledger.balance()
        connection = sqlite3.connect(database_file)
        connection.execute("ALTER TABLE points_balances RENAME TO lost")
        connection.close()
        assert ledger.try_add("Unmistakable", 5, 1).status_code == 500
    lines = [record.getMessage() for record in caplog.records if record.name == "rollbook"]
    assert len(lines) == 10  # one for each call, and one more for the fault
    assert "Unmistakable" not in caplog.text


# ---- any sequence of calls, against a model that knows single points


class Model:
    """A ledger of single points: slow, and too plain to be wrong."""

    def __init__(self) -> None:
        self.points: list[tuple[int, int, str]] = []  # when, order of arrival, whose
        self.arrivals = count()
        self.debits: Counter[str] = Counter()
        self.totals: dict[str, int] = {}

    def add(self, payer: str, points: int, at: int) -> int:
        total = self.totals.get(payer, 0) + points
        if total < 0:
            return 409
        self.totals[payer] = total
        self.debits[payer] += max(0, -points)
        arrival = next(self.arrivals)
        self.points = sorted([*self.points, *((at, arrival, payer) for _ in range(points))])
        return 201

    def spend(self, points: int) -> list[tuple[str, int]] | None:
        if points > sum(self.totals.values()):
            return None
        paid: dict[str, int] = {}
        while points:
            _, _, payer = self.points.pop(0)
            if self.debits[payer]:
                self.debits[payer] -= 1
            else:
                points -= 1
                paid[payer] = paid.get(payer, 0) - 1
                self.totals[payer] -= 1
        return list(paid.items())


payers = st.sampled_from("ABC")
adds = st.tuples(payers, st.integers(1, 20) | st.integers(-15, -1), st.integers(0, 9))
spends = st.integers(1, 40)


@given(calls=st.lists(adds | adds | spends, min_size=8, max_size=30))
@hypothesis_settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_calls_is_answered_as_single_points_would_be_counted(
    ledger: Ledger, calls: list[tuple[str, int, int] | int]
) -> None:
    ledger.flush()
    model = Model()
    for call in calls:
        if isinstance(call, int):
            response, expected = ledger.try_spend(call), model.spend(call)
            assert response.status_code == (409 if expected is None else 200)
            if expected is not None:
                assert [(payment["payer"], payment["points"]) for payment in response.json()] == expected
        else:
            assert ledger.try_add(*call).status_code == model.add(*call)
    assert ledger.balance() == model.totals
    tables = ledger.tables()
    check_books(tables)
    assert {row[1]: row[3] for row in tables[BALANCES.name]} == {p: model.debits[p] for p in model.totals}


def test_books_of_the_largest_points_stay_exact(ledger: Ledger) -> None:
    ledger.add("A", 2**62 + 1, 1)
    ledger.add("B", 2**61 + 3, 2)
    ledger.add("A", -(2**62 - 1), 3)
    assert ledger.spend(2**61 + 4) == [("A", -2), ("B", -(2**61) - 2)]
    assert ledger.balance() == {"A": 0, "B": 1}
    check_books(ledger.tables())
