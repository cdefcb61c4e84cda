"""The effect of a transaction on a payer's balance, and the permission to empty a ledger."""

from __future__ import annotations

import pytest

from domain.errors import RollbookError, Violation
from domain.points import (
    POINTS_MAX,
    POINTS_MIN,
    Balance,
    FlushNotAllowedError,
    InsufficientPointsError,
    PointsOverflowError,
    add_points,
    require_flush,
)

MAX = 2**63 - 1


def test_points_are_of_64_bits() -> None:
    assert (POINTS_MIN, POINTS_MAX) == (-(2**63), MAX)


def test_a_new_payer_has_no_points_and_no_debit() -> None:
    assert Balance() == (0, 0)


@pytest.mark.parametrize(
    ("balance", "points", "after"),
    [
        # a credit is added to the total and leaves the debit as it is
        (Balance(), 300, Balance(300, 0)),
        (Balance(1000, 0), 300, Balance(1300, 0)),
        (Balance(800, 200), 300, Balance(1100, 200)),
        (Balance(0, 200), 1, Balance(1, 200)),
        (Balance(5, MAX), 3, Balance(8, MAX)),
        # a debit is taken off the total and becomes outstanding
        (Balance(1000, 0), -200, Balance(800, 200)),
        (Balance(800, 200), -300, Balance(500, 500)),
        # down to a total of zero
        (Balance(200, 0), -200, Balance(0, 200)),
        (Balance(200, 50), -200, Balance(0, 250)),
        # up to 64 bits
        (Balance(), MAX, Balance(MAX, 0)),
        (Balance(MAX - 1, 7), 1, Balance(MAX, 7)),
        (Balance(MAX, 0), -MAX, Balance(0, MAX)),
        (Balance(5, MAX - 3), -3, Balance(2, MAX)),
    ],
)
def test_points_change_the_total_and_a_debit_becomes_outstanding(balance: Balance, points: int, after: Balance) -> None:
    assert add_points(balance, points) == after


@pytest.mark.parametrize(
    ("balance", "points", "kind"),
    [
        (Balance(200, 0), -201, InsufficientPointsError),
        (Balance(200, 500), -201, InsufficientPointsError),
        (Balance(), -1, InsufficientPointsError),
        # too large a debit, and more than there is
        (Balance(MAX, 0), POINTS_MIN, InsufficientPointsError),
        (Balance(2, MAX), -3, InsufficientPointsError),
        (Balance(MAX, 0), 1, PointsOverflowError),
        (Balance(1, 0), MAX, PointsOverflowError),
        (Balance(MAX, MAX), MAX, PointsOverflowError),
        (Balance(5, MAX - 3), -4, PointsOverflowError),
        (Balance(MAX, MAX), -1, PointsOverflowError),
    ],
)
def test_a_total_below_zero_and_anything_beyond_64_bits_is_a_conflict(
    balance: Balance, points: int, kind: type[RollbookError]
) -> None:
    with pytest.raises(kind) as caught:
        add_points(balance, points)
    assert caught.value.violations == [Violation(("points",), kind.code, kind.detail)]


def test_a_flush_is_rejected_where_it_is_not_allowed() -> None:
    require_flush(allowed=True)
    with pytest.raises(FlushNotAllowedError):
        require_flush(allowed=False)
