"""The rules of the points service: the values of its fields, and the effects of transactions and spends on the ledger.

Every `parse_*` function is total and idempotent: it returns the stored form of any Python value or raises a subclass of
`InvalidError`, and a stored form parses to itself. Points are 64-bit integers. A *lot* is a positive transaction with
points left. A *debit* is a negative transaction; it is outstanding until a spend settles it from the payer's lots. The
equation

    points left in the payer's lots - outstanding debit = the payer's total >= 0

holds before and after every decision made here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Final, NamedTuple, TypedDict

from domain.errors import ConflictError, ForbiddenError, InvalidError, OutOfRangeError, WrongTypeError
from domain.timestamps import parse_rfc3339

POINTS_MIN: Final = -(2**63)
POINTS_MAX: Final = 2**63 - 1
"""Maximum of a transaction, a payer's total, an outstanding debit and the grand total, in points."""

PAYER_MAX: Final = 200
"""Maximum length of a payer's name, in code points."""

_NOT_IN_A_PAYER = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, lone surrogates


class PayerInvalidError(InvalidError):
    """The payer's name is empty, too long, or has control characters."""

    code = "payer-invalid"


class PointsZeroError(InvalidError):
    """The transaction has zero points."""

    code = "points-zero"
    detail = "points must not be zero."


class TimestampInvalidError(InvalidError):
    """The text is not a date and time with a zone."""

    code = "timestamp-invalid"
    detail = "timestamp must be a date and time with a zone (RFC 3339), such as 2020-10-31T10:00:00Z."


class FlushNotAllowedError(ForbiddenError):
    """This deployment does not permit emptying the ledger."""

    code = "flush-not-allowed"
    detail = "The setting POINTS_ALLOW_FLUSH does not permit emptying the ledger."


class InsufficientPointsError(ConflictError):
    """A payer's total, or the grand total, would be below zero."""

    code = "insufficient-points"
    detail = "There are not enough points."
    fields = ("points",)


class PointsOverflowError(ConflictError):
    """A total or an outstanding debit would not fit into 64 bits."""

    code = "points-overflow"
    detail = "A total or an outstanding debit would not fit into 64 bits."
    fields = ("points",)


Int64 = Annotated[int, "int64"]  # a format for OpenAPI


class LedgerEntry(TypedDict):
    """A transaction as `addTransaction` returns it. `timestamp` is UTC in RFC 3339 with microseconds and `Z`."""

    id: Annotated[str, "uuid"]
    payer: str
    points: Int64
    timestamp: Annotated[str, "date-time"]


class Payment(TypedDict):
    """The points that a payer paid for a spend, as a negative number."""

    payer: str
    points: Int64


class Balance(NamedTuple):
    """A payer's total, and the part of its debits that no spend has settled yet."""

    total: int = 0
    outstanding_debit: int = 0


class Lot(NamedTuple):
    """A positive transaction with points left. `outstanding_debit` is that of its payer before the spend."""

    id: int
    payer_id: int
    payer: str
    points_left: int
    outstanding_debit: int


class PayerShare(NamedTuple):
    """The effect of a spend on one payer: points paid off the total, and points of outstanding debit settled."""

    payer_id: int
    payer: str
    paid: int
    settled: int


class SpendPlan(NamedTuple):
    """The effect of a spend: it empties `lots` (ids), except for `last_points_left` in the last one.

    `shares` has the effect on each payer of these lots. Payers who pay are in the order in which they first pay.
    """

    lots: list[int]
    last_points_left: int
    shares: list[PayerShare]


def parse_payer(value: object) -> str:
    """Returns a payer's name, trimmed: any script, 1 to 200 code points, no control characters. Case-sensitive.

    Raises `WrongTypeError`, `PayerInvalidError`.
    """
    if not isinstance(value, str):
        raise WrongTypeError("payer must be a JSON string.")
    payer = value.strip()
    if not 1 <= len(payer) <= PAYER_MAX:
        raise PayerInvalidError(f"payer must have 1 to {PAYER_MAX} characters.")
    if _NOT_IN_A_PAYER.search(payer):
        raise PayerInvalidError("payer must not contain control characters, line breaks included.")
    return payer


def parse_points(value: object) -> int:
    """Returns the points of a transaction: a 64-bit integer that is not zero.

    Raises `WrongTypeError`, `OutOfRangeError`, `PointsZeroError`.
    """
    points = _integer(value)
    if points == 0:
        raise PointsZeroError
    return points


def parse_points_to_spend(value: object) -> int:
    """Returns the points of a spend: a 64-bit integer above zero. Raises `WrongTypeError`, `OutOfRangeError`."""
    points = _integer(value)
    if points <= 0:
        raise OutOfRangeError("points must be more than zero.")
    return points


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise WrongTypeError("points must be a whole number that fits into 64 bits.")
    if not POINTS_MIN <= value <= POINTS_MAX:
        raise OutOfRangeError("points must be a whole number that fits into 64 bits.")
    return value


def parse_timestamp(value: object) -> str:
    """An RFC 3339 timestamp with a zone, as UTC. Raises `WrongTypeError`, `TimestampInvalidError`."""
    if not isinstance(value, str):
        raise WrongTypeError("timestamp must be a JSON string.")
    timestamp = parse_rfc3339(value)
    if timestamp is None:
        raise TimestampInvalidError
    return timestamp


def require_flush(*, allowed: bool) -> None:
    """Raises `FlushNotAllowedError` unless emptying the ledger is `allowed`."""
    if not allowed:
        raise FlushNotAllowedError


def add_points(balance: Balance, points: int) -> Balance:
    """Returns a payer's balance after a transaction of `points`, which become a lot or an outstanding debit.

    Raises `InsufficientPointsError` for a total below zero, `PointsOverflowError` for a total or an outstanding debit
    beyond 64 bits.
    """
    changed = Balance(balance.total + points, balance.outstanding_debit + max(0, -points))
    if changed.total < 0:
        raise InsufficientPointsError
    if max(changed) > POINTS_MAX:
        raise PointsOverflowError
    return changed


def allocate(lots: Iterable[Lot], points: int) -> SpendPlan:
    """Returns the plan that takes `points` from `lots`, which are sorted oldest first.

    Each lot first settles its payer's outstanding debit, then pays for the spend. Reading stops at the lot that
    completes the spend. Raises `InsufficientPointsError` if the lots have too few points.
    """
    emptied: list[int] = []
    shares: dict[int, PayerShare] = {}
    due = points
    for lot in lots:
        share = shares.get(lot.payer_id, PayerShare(lot.payer_id, lot.payer, 0, 0))
        settled = min(lot.points_left, lot.outstanding_debit - share.settled)
        paid = min(lot.points_left - settled, due)
        if paid and not share.paid:
            shares.pop(lot.payer_id, None)  # settling a debit does not count for the order of payers
        shares[lot.payer_id] = share._replace(paid=share.paid + paid, settled=share.settled + settled)
        emptied.append(lot.id)
        due -= paid
        if due == 0:
            return SpendPlan(emptied, lot.points_left - settled - paid, list(shares.values()))
    raise InsufficientPointsError


def payments(plan: SpendPlan) -> list[Payment]:
    """Returns the points that each payer paid, in the order in which payers first paid."""
    return [Payment(payer=share.payer, points=-share.paid) for share in plan.shares if share.paid]
