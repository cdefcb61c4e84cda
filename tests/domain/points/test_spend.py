"""The points that a spend takes from the lots, and that each payer pays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from domain.errors import Violation
from domain.points import (
    POINTS_MAX,
    InsufficientPointsError,
    Lot,
    PayerShare,
    Payment,
    SpendPlan,
    allocate,
    payments,
)


def lot(number: int, payer: str, points_left: int, outstanding_debit: int = 0) -> Lot:
    """Returns a lot of a payer; the first letter of the name determines the payer's id."""
    return Lot(number, ord(payer[0]), payer, points_left, outstanding_debit)


def share(payer: str, *, paid: int = 0, settled: int = 0) -> PayerShare:
    """Returns the effect of a spend on that payer."""
    return PayerShare(ord(payer[0]), payer, paid, settled)


def paid_by(lots: Iterable[Lot], points: int) -> list[tuple[str, int]]:
    """Returns the payments of a spend from `lots`, in order."""
    return [(payment["payer"], payment["points"]) for payment in payments(allocate(lots, points))]


def assert_insufficient(decide: Callable[[], object]) -> None:
    with pytest.raises(InsufficientPointsError) as caught:
        decide()
    assert caught.value.violations == [Violation(("points",), "insufficient-points", caught.value.detail)]


def test_a_spend_takes_the_lots_in_their_order_and_leaves_the_rest_in_the_last() -> None:
    plan = allocate([lot(7, "A", 300), lot(3, "B", 200), lot(9, "C", 100)], 450)
    assert plan == SpendPlan([7, 3], 50, [share("A", paid=300), share("B", paid=150)])
    assert payments(plan) == [{"payer": "A", "points": -300}, {"payer": "B", "points": -150}]


def test_a_spend_of_a_whole_lot_does_not_touch_the_next() -> None:
    plan = allocate([lot(1, "A", 300), lot(2, "B", 200)], 300)
    assert plan == SpendPlan([1], 0, [share("A", paid=300)])


def test_a_spend_of_a_part_of_the_first_lot_leaves_the_rest_in_it() -> None:
    assert allocate([lot(1, "A", 300)], 1) == SpendPlan([1], 299, [share("A", paid=1)])


def test_a_spend_of_everything_empties_every_lot() -> None:
    plan = allocate([lot(1, "A", 300), lot(2, "B", 200), lot(3, "A", 1)], 501)
    assert plan == SpendPlan([1, 2, 3], 0, [share("A", paid=301), share("B", paid=200)])


def test_a_debit_takes_from_the_oldest_lot_of_its_payer_before_the_spend() -> None:
    plan = allocate([lot(1, "A", 300, 200), lot(2, "B", 200)], 300)
    assert payments(plan) == [{"payer": "A", "points": -100}, {"payer": "B", "points": -200}]
    assert plan == SpendPlan([1, 2], 0, [share("A", paid=100, settled=200), share("B", paid=200)])


def test_a_debit_takes_from_an_older_lot_that_arrived_after_it() -> None:
    debit = 200
    in_order = [
        lot(5, "DANNON", 300, debit),
        lot(2, "UNILEVER", 200),
        lot(4, "MILLER COORS", 10_000),
        lot(1, "DANNON", 1000, debit),
    ]
    plan = allocate(in_order, 5000)
    assert plan == SpendPlan(
        [5, 2, 4],
        5300,
        [share("DANNON", paid=100, settled=200), share("UNILEVER", paid=200), share("MILLER COORS", paid=4700)],
    )
    assert payments(plan) == [
        {"payer": "DANNON", "points": -100},
        {"payer": "UNILEVER", "points": -200},
        {"payer": "MILLER COORS", "points": -4700},
    ]


def test_a_debit_larger_than_a_lot_goes_on_in_the_next_lots_of_its_payer() -> None:
    in_order = [lot(1, "A", 100, 250), lot(2, "A", 100, 250), lot(3, "B", 10), lot(4, "A", 100, 250)]
    assert allocate(in_order, 40) == SpendPlan(
        [1, 2, 3, 4], 20, [share("B", paid=10), share("A", paid=30, settled=250)]
    )


def test_a_debit_is_settled_once_and_not_again_at_the_next_lot_of_its_payer() -> None:
    in_order = [lot(1, "A", 300, 200), lot(2, "A", 300, 200)]
    assert allocate(in_order, 400) == SpendPlan([1, 2], 0, [share("A", paid=400, settled=200)])


def test_a_debit_that_takes_a_whole_lot_is_settled() -> None:
    plan = allocate([lot(1, "A", 200, 200), lot(2, "B", 60)], 50)
    assert plan.lots == [1, 2]
    assert plan.last_points_left == 10
    assert sorted(plan.shares) == [share("A", settled=200), share("B", paid=50)]
    assert payments(plan) == [{"payer": "B", "points": -50}]


def test_a_debit_takes_only_from_lots_of_its_own_payer() -> None:
    in_order = [lot(1, "B", 100), lot(2, "A", 100, 100), lot(3, "B", 100), lot(4, "C", 100)]
    assert paid_by(in_order, 300) == [("B", -200), ("C", -100)]


def test_the_part_of_a_debit_that_no_spend_reached_stays_outstanding() -> None:
    assert allocate([lot(1, "B", 100), lot(2, "A", 100, 50)], 100) == SpendPlan([1], 0, [share("B", paid=100)])
    partly = allocate([lot(1, "A", 100, 150), lot(2, "B", 200), lot(3, "A", 100, 150)], 200)
    assert (partly.lots, partly.last_points_left) == ([1, 2], 0)
    assert sorted(partly.shares) == [share("A", settled=100), share("B", paid=200)]


def test_the_debit_takes_first_in_the_lot_that_completes_the_spend() -> None:
    assert allocate([lot(1, "A", 300, 200)], 100) == SpendPlan([1], 0, [share("A", paid=100, settled=200)])
    assert allocate([lot(1, "A", 300, 200)], 60) == SpendPlan([1], 40, [share("A", paid=60, settled=200)])


@pytest.mark.parametrize(("points", "lots_read"), [(1, 1), (99, 1), (100, 1), (101, 3), (150, 3), (151, 4), (250, 4)])
def test_lots_are_read_only_up_to_the_one_that_completes_the_spend(points: int, lots_read: int) -> None:
    lots = [lot(1, "A", 100), lot(2, "B", 70, 70), lot(3, "A", 50), lot(4, "C", 100), lot(5, "D", 100, 100)]
    read: list[int] = []

    def lots_one_by_one() -> Iterator[Lot]:
        for one in lots:
            read.append(one.id)
            yield one
        pytest.fail("The lots were read to the end.")

    assert allocate(lots_one_by_one(), points).lots == read
    assert read == [1, 2, 3, 4, 5][:lots_read]


def test_the_lots_after_the_last_one_needed_are_not_read() -> None:
    lots = iter([lot(1, "A", 100), lot(2, "B", 100), lot(3, "C", 100)])
    assert allocate(lots, 200).lots == [1, 2]
    assert list(lots) == [lot(3, "C", 100)]


def test_payments_are_in_the_order_of_the_first_points_taken() -> None:
    in_order = [lot(1, "C", 1), lot(2, "A", 1), lot(3, "B", 1), lot(4, "A", 5), lot(5, "C", 5)]
    assert paid_by(in_order, 13) == [("C", -6), ("A", -6), ("B", -1)]


def test_a_payer_whose_first_lot_went_wholly_to_its_debit_comes_later() -> None:
    in_order = [lot(1, "A", 100, 100), lot(2, "B", 10), lot(3, "A", 20, 100), lot(4, "C", 10), lot(5, "B", 10)]
    assert paid_by(in_order, 50) == [("B", -20), ("A", -20), ("C", -10)]
    in_order[2] = lot(3, "A", 20, 120)
    in_order[0] = lot(1, "A", 100, 120)
    assert paid_by([*in_order, lot(6, "A", 5, 120)], 35) == [("B", -20), ("C", -10), ("A", -5)]


def test_a_payer_whose_first_lot_went_partly_to_its_debit_stays_first() -> None:
    in_order = [lot(1, "A", 101, 100), lot(2, "B", 10), lot(3, "A", 20, 100)]
    assert paid_by(in_order, 31) == [("A", -21), ("B", -10)]


def test_names_of_another_case_are_other_payers() -> None:
    in_order = [Lot(1, 1, "DANNON", 10, 10), Lot(2, 2, "Dannon", 10, 0), Lot(3, 1, "DANNON", 10, 10)]
    assert paid_by(in_order, 15) == [("Dannon", -10), ("DANNON", -5)]


def test_a_spend_of_more_than_the_lots_have_is_rejected() -> None:
    assert_insufficient(lambda: allocate([], 1))
    assert_insufficient(lambda: allocate([lot(1, "A", 100)], 101))
    assert_insufficient(lambda: allocate([lot(1, "A", 100), lot(2, "B", 100)], POINTS_MAX))


def test_a_spend_of_more_than_the_debits_leave_is_rejected() -> None:
    assert paid_by([lot(1, "A", 300, 200), lot(2, "B", 5)], 105) == [("A", -100), ("B", -5)]
    assert_insufficient(lambda: allocate([lot(1, "A", 300, 200), lot(2, "B", 5)], 106))
    assert_insufficient(lambda: allocate([lot(1, "A", 300, 300)], 1))


def test_points_of_all_64_bits_are_spent_to_the_last() -> None:
    huge = [lot(1, "A", POINTS_MAX, POINTS_MAX), lot(2, "B", POINTS_MAX - 1), lot(3, "A", POINTS_MAX, POINTS_MAX)]
    assert payments(allocate(huge, POINTS_MAX)) == [
        {"payer": "B", "points": -(POINTS_MAX - 1)},
        {"payer": "A", "points": -1},
    ]


def test_a_payment_is_a_payer_and_points_below_zero() -> None:
    plan = SpendPlan([1], 0, [share("A", paid=5), share("B", settled=5), share("C", paid=1, settled=1)])
    assert payments(plan) == [Payment(payer="A", points=-5), Payment(payer="C", points=-1)]
