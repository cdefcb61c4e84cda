"""A stateful ledger, compared with a replay of every call from the beginning."""

from __future__ import annotations

from datetime import datetime
from itertools import permutations
from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.errors import ConflictError
from domain.points import (
    POINTS_MAX,
    Balance,
    Lot,
    PointsOverflowError,
    add_points,
    allocate,
    parse_timestamp,
    payments,
)


class Add(NamedTuple):
    """A call of `addTransaction`."""

    payer: str
    points: int
    timestamp: str


class Spend(NamedTuple):
    """A call of `spend`."""

    points: int


Call = Add | Spend
Result = list[tuple[str, int]] | str | None
"""The payments in order; the code of an error; or None for an added transaction."""


class OpenLot(NamedTuple):
    """A lot of the ledger, in the sort order of spends."""

    timestamp: str
    arrival: int
    payer: str
    points_left: int


class Ledger:
    """The state of the service in memory. The domain decides on changes."""

    def __init__(self) -> None:
        self.calls = 0
        self.balances: dict[str, Balance] = {}
        self.lots: list[OpenLot] = []

    def call(self, call: Call) -> Result:
        """Applies the call and returns its result; an error changes nothing."""
        self.calls += 1
        try:
            return self._add(call) if isinstance(call, Add) else self._spend(call.points)
        except ConflictError as error:
            return error.code

    def totals(self) -> dict[str, int]:
        """The points of every payer."""
        return {payer: balance.total for payer, balance in self.balances.items()}

    def points_left(self) -> dict[int, int]:
        """Returns the points left in every lot, in order of arrival."""
        return {lot.arrival: lot.points_left for lot in self.lots}

    def _add(self, call: Add) -> Result:
        balance = add_points(self.balances.get(call.payer, Balance()), call.points)
        if sum(self.totals().values()) + call.points > POINTS_MAX:
            raise PointsOverflowError
        self.balances[call.payer] = balance
        if call.points > 0:
            self.lots.append(OpenLot(parse_timestamp(call.timestamp), self.calls, call.payer, call.points))
            self.lots.sort()
        return None

    def _spend(self, points: int) -> Result:
        ids = list(self.balances)
        lots = (
            Lot(
                lot.arrival,
                ids.index(lot.payer),
                lot.payer,
                lot.points_left,
                self.balances[lot.payer].outstanding_debit,
            )
            for lot in self.lots
        )
        plan = allocate(lots, points)
        left = dict.fromkeys(plan.lots, 0) | {plan.lots[-1]: plan.last_points_left}
        changed = [lot._replace(points_left=left.get(lot.arrival, lot.points_left)) for lot in self.lots]
        self.lots = [lot for lot in changed if lot.points_left]
        for payer_id, payer, paid, settled in plan.shares:
            assert payer == ids[payer_id]
            total, outstanding_debit = self.balances[payer]
            self.balances[payer] = Balance(total - paid, outstanding_debit - settled)
        return [(payment["payer"], payment["points"]) for payment in payments(plan)]


class Replayed(NamedTuple):
    """The result of replaying all calls: the last call's result, and the points then left."""

    result: Result
    totals: dict[str, int]
    points_left: dict[int, int]


def replay(calls: list[Call], most: int) -> Replayed:
    """Replays all calls from the beginning, point by point. `most` is the maximum of totals and debits."""
    result: Result = None
    totals: dict[str, int] = {}
    debits: dict[str, int] = {}
    points: list[tuple[datetime, int, str]] = []  # each one: the time and the arrival of its lot, and its payer
    for arrival, call in enumerate(calls, 1):
        if isinstance(call, Add):
            result = None
            total = totals.get(call.payer, 0) + call.points
            debit = debits.get(call.payer, 0) + (-call.points if call.points < 0 else 0)
            if total < 0:
                result = "insufficient-points"
            elif total > most or debit > most or sum(totals.values()) + call.points > most:
                result = "points-overflow"
            else:
                totals[call.payer] = total
                debits[call.payer] = debit
                points += [(datetime.fromisoformat(call.timestamp), arrival, call.payer)] * call.points
        elif call.points > sum(totals.values()):
            result = "insufficient-points"
        else:
            paid: dict[str, int] = {}
            oldest_first = sorted(points)
            while -sum(paid.values()) < call.points:
                _, _, payer = oldest_first.pop(0)
                if debits[payer] > 0:
                    debits[payer] -= 1
                else:
                    paid[payer] = paid.get(payer, 0) - 1
                    totals[payer] -= 1
            points = oldest_first
            result = list(paid.items())
    arrivals = [arrival for _, arrival, _ in points]
    return Replayed(result, totals, {arrival: arrivals.count(arrival) for arrival in arrivals})


def assert_lots_account_for_every_total(ledger: Ledger) -> None:
    for payer, balance in ledger.balances.items():
        assert balance.total >= 0
        assert balance.outstanding_debit >= 0
        left = sum(lot.points_left for lot in ledger.lots if lot.payer == payer)
        assert left - balance.outstanding_debit == balance.total
    assert all(lot.points_left > 0 for lot in ledger.lots)


def assert_every_call_has_the_result_of_its_replay(calls: list[Call], *, unit: int, most: int) -> None:
    """Calls the ledger in points, and replays in units of so many points, of which a total has no more than `most`."""
    ledger = Ledger()
    for number, call in enumerate(calls, 1):
        result = ledger.call(call._replace(points=call.points * unit))
        assert_lots_account_for_every_total(ledger)
        expected = replay(calls[:number], most)
        if isinstance(expected.result, list):
            assert result == [(payer, points * unit) for payer, points in expected.result]
        else:
            assert result == expected.result
        assert list(ledger.totals().items()) == [(payer, total * unit) for payer, total in expected.totals.items()]
        assert ledger.points_left() == {arrival: left * unit for arrival, left in expected.points_left.items()}


TIMESTAMPS = [
    "2020-10-31T10:00:00Z",
    "2020-10-31T12:00:00+02:00",  # the same time; as text neither the first nor the last
    "2020-10-31T09:59:59.999999Z",
    "2020-10-31T08:30:00-02:00",
]


def calls_of(added: st.SearchStrategy[int], taken: st.SearchStrategy[int]) -> st.SearchStrategy[list[Call]]:
    """Lists of calls with few payers and timestamps. They begin with points, so that not every call is rejected."""
    payers = st.sampled_from(["A", "A", "B", "C"])
    add = st.builds(Add, payers, added, st.sampled_from(TIMESTAMPS))
    debit = st.builds(Add, payers, taken.map(lambda points: -points), st.sampled_from(TIMESTAMPS))
    mixed = st.one_of(add, debit, st.builds(Spend, taken))
    return st.builds(list.__add__, st.lists(add, min_size=1, max_size=6), st.lists(mixed, min_size=2, max_size=12))


@given(calls_of(st.integers(1, 9), st.one_of(st.integers(1, 4), st.integers(1, 16))))
@example([Add("A", 3, TIMESTAMPS[0]), Add("B", 2, TIMESTAMPS[3]), Add("A", -2, TIMESTAMPS[3]), Spend(3)])
@example([Add("A", 3, TIMESTAMPS[0]), Add("A", -3, TIMESTAMPS[0]), Spend(1), Add("B", 1, TIMESTAMPS[2]), Spend(1)])
@settings(max_examples=200)
def test_the_ledger_matches_a_replay_of_all_calls_point_by_point(calls: list[Call]) -> None:
    assert_every_call_has_the_result_of_its_replay(calls, unit=1, most=POINTS_MAX)


SEVENTH = POINTS_MAX // 7
"""A seventh of the maximum: seven of them are exactly the maximum."""


@given(calls_of(st.integers(1, 7), st.integers(1, 7)))
@example(
    [Add("A", 7, TIMESTAMPS[0]), Add("A", -7, TIMESTAMPS[0]), Add("A", 1, TIMESTAMPS[0]), Add("A", -1, TIMESTAMPS[0])]
)
@example([Add("A", 4, TIMESTAMPS[0]), Add("B", 4, TIMESTAMPS[0]), Add("B", 3, TIMESTAMPS[0]), Spend(7)])
@settings(max_examples=120)
def test_near_64_bits_the_ledger_matches_a_replay_in_sevenths(calls: list[Call]) -> None:
    assert SEVENTH * 7 == POINTS_MAX
    assert_every_call_has_the_result_of_its_replay(calls, unit=SEVENTH, most=7)


EXAMPLE = [
    Add("DANNON", 1000, "2020-11-02T14:00:00Z"),
    Add("UNILEVER", 200, "2020-10-31T11:00:00Z"),
    Add("DANNON", -200, "2020-10-31T15:00:00Z"),
    Add("MILLER COORS", 10_000, "2020-11-01T14:00:00Z"),
    Add("DANNON", 300, "2020-10-31T10:00:00Z"),
]


def test_the_worked_example_has_one_result_in_every_accepted_order() -> None:
    orders = 0
    for adds in permutations(EXAMPLE):
        ledger = Ledger()
        is_rejected = adds.index(EXAMPLE[2]) < min(adds.index(EXAMPLE[0]), adds.index(EXAMPLE[4]))
        results = [ledger.call(add) for add in adds]
        assert results == ["insufficient-points" if is_rejected and add == EXAMPLE[2] else None for add in adds]
        if is_rejected:
            continue
        orders += 1
        assert ledger.call(Spend(5000)) == [("DANNON", -100), ("UNILEVER", -200), ("MILLER COORS", -4700)]
        assert ledger.totals() == {"DANNON": 1000, "UNILEVER": 0, "MILLER COORS": 5300}
        assert ledger.balances["DANNON"] == Balance(1000, 0)
        assert_lots_account_for_every_total(ledger)
    assert orders == 80


def test_a_spend_is_final_when_an_older_lot_arrives_later() -> None:
    ledger = Ledger()
    assert ledger.call(Add("A", 100, "2020-10-31T12:00:00Z")) is None
    assert ledger.call(Spend(60)) == [("A", -60)]
    assert ledger.call(Add("B", 100, "2020-10-31T10:00:00Z")) is None
    assert ledger.totals() == {"A": 40, "B": 100}
    assert ledger.call(Spend(110)) == [("B", -100), ("A", -10)]
    assert ledger.totals() == {"A": 30, "B": 0}


def test_a_rejected_spend_settles_nothing() -> None:
    ledger = Ledger()
    for add in (Add("A", 300, TIMESTAMPS[0]), Add("B", 200, TIMESTAMPS[3]), Add("A", -200, TIMESTAMPS[3])):
        assert ledger.call(add) is None
    assert ledger.call(Spend(301)) == "insufficient-points"
    assert ledger.balances == {"A": Balance(100, 200), "B": Balance(200, 0)}
    assert ledger.call(Spend(300)) == [("A", -100), ("B", -200)]
    assert ledger.balances == {"A": Balance(0, 0), "B": Balance(0, 0)}


def test_two_transactions_that_are_alike_both_count() -> None:
    ledger = Ledger()
    assert [ledger.call(add) for add in [EXAMPLE[1]] * 2] == [None, None]
    assert ledger.call(Spend(400)) == [("UNILEVER", -400)]
    assert ledger.totals() == {"UNILEVER": 0}
