"""Who pays for a spend over HTTP, and in which order."""

from __future__ import annotations

from collections import Counter
from itertools import count, permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from persistence.points import BALANCES, SPENDS
from tests.support.ledger import FIVE, FIVE_LEAVE, FIVE_PAY, Ledger, check_books


def test_the_worked_example(ledger: Ledger) -> None:
    for transaction in FIVE:
        ledger.add(*transaction)
    assert ledger.spend(5000) == FIVE_PAY
    assert ledger.balance() == FIVE_LEAVE
    check_books(ledger.tables())


@pytest.mark.slow  # hundreds of calls
def test_the_worked_example_in_any_accepted_order_has_the_same_result(ledger: Ledger) -> None:
    rejected = 0
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
            rejected += 1
        assert ledger.spend(5000) == FIVE_PAY, order
        assert ledger.balance() == FIVE_LEAVE, order
        ledger.flush()
    assert rejected == 40  # the debit comes before both of DANNON's lots in a third of 120 orders


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


def test_a_debit_behind_the_lot_that_completes_a_spend_is_not_settled(ledger: Ledger) -> None:
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


def test_a_lot_that_a_debit_took_gives_its_payer_no_place_in_the_order(ledger: Ledger) -> None:
    ledger.add("A", 10, 1)
    ledger.add("A", -10, 1)
    ledger.add("B", 10, 2)
    ledger.add("A", 10, 3)
    assert ledger.spend(5) == [("B", -5)]
    check_books(ledger.tables())  # nor in the books, as one who paid nothing
    assert ledger.spend(15) == [("B", -5), ("A", -10)]


def test_a_rejected_spend_settles_no_debit(ledger: Ledger, unchanged: Any) -> None:
    ledger.add("A", 100, 5)
    ledger.add("A", -60, 6)
    unchanged(lambda: ledger.try_spend(41), 409, "insufficient-points")
    ledger.add("B", 10, 4)
    ledger.add("A", 60, 1)
    assert ledger.spend(10) == [("B", -10)]  # the debit was still there for the lot that came afterwards


def test_a_later_arrival_with_an_older_timestamp_changes_only_later_spends(ledger: Ledger) -> None:
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


def test_points_of_one_moment_go_by_order_of_arrival_in_any_zone(ledger: Ledger) -> None:
    payers = ["C", "A", "D", "B"]
    same_moment = [
        "2020-10-31T10:00:00.5Z", "2020-10-31T11:00:00.50+01:00", "2020-10-30T22:30:00.500000-11:30",
        "2020-10-31t10:00:00.500z",
    ]  # fmt: skip
    for payer, timestamp in zip(payers, same_moment, strict=True):
        ledger.add(payer, 1, timestamp)
    assert ledger.spend(4) == [(payer, -1) for payer in payers]


def test_timestamps_are_compared_as_times_and_not_as_text(ledger: Ledger) -> None:
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


# ---- any sequence of calls, compared with a model of single points


class Model:
    """A model of the ledger with single points: slow, but simple."""

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


@pytest.mark.slow  # hundreds of generated calls
@given(calls=st.lists(adds | adds | spends, min_size=8, max_size=30))
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_calls_matches_the_model_of_single_points(
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
