"""The rules of the other site: the names of a customer's keys in a message, and what follows a failed delivery.

A message is a JSON object with the customer's global id and the mapped keys. Signatures belong to the edge, the queue
to persistence.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from domain.errors import InvalidError, WrongTypeError
from domain.timestamps import shift_timestamp
from domain.uuids import UUID

UID_KEY: Final = "id"
"""The key of the global id in a message. It is never mapped: both sites recognise a repeated message by it."""

FIRST_WAIT_SECONDS: Final = 10
LONGEST_WAIT_SECONDS: Final = 3600
KEPT_SECONDS: Final = 14 * 24 * 3600
"""How long deliveries are attempted, from the time at which the customer was queued."""

CLAIM_SECONDS: Final = 30
"""After so many seconds the claim of a sender that was killed expires: longer than a delivery may take."""

SKEW_SECONDS: Final = 300
"""How far the time of a message may be from the time of this site, in both directions."""


class UuidInvalidError(InvalidError):
    """The text is not a UUID with hyphens."""

    code = "customer-id-invalid"
    detail = "This must be a UUID with hyphens."


def parse_customer_uid(value: object) -> str:
    """Returns a global id in lower case. Raises `WrongTypeError`, `UuidInvalidError`."""
    if not isinstance(value, str):
        raise WrongTypeError("This must be a JSON string.")
    if not UUID.fullmatch(value):
        raise UuidInvalidError
    return value.lower()


# ---- keys


class PeerFields(NamedTuple):
    """The keys of a message, by our keys."""

    name: str
    phone: str
    address: str


SAME_FIELDS: Final = PeerFields(*PeerFields._fields)
"""Our own keys."""


def parse_peer_fields(value: object) -> PeerFields:
    """Returns the keys of a message. `value` is parsed JSON.

    Raises `ValueError`, with a text that says what the value must be, unless it is an object that maps exactly the
    fields of `PeerFields` to different texts other than `UID_KEY`.
    """
    if not isinstance(value, dict) or set(value) != set(PeerFields._fields):
        raise ValueError(f"a JSON object with the keys {', '.join(PeerFields._fields)}")
    names = [*value.values()]
    if not all(isinstance(name, str) and 0 < len(name) <= 100 and name.isprintable() for name in names):
        raise ValueError("a JSON object whose values are texts of 1 to 100 printable characters")
    if len({UID_KEY, *names}) != len(names) + 1:
        raise ValueError(f"a JSON object whose values differ, from each other and from {UID_KEY}")
    return PeerFields(**value)


def to_message(uid: str, customer: Mapping[str, object], fields: PeerFields) -> dict[str, object]:
    """Returns the message on a customer: its global id, and its mapped keys under their names in a message."""
    return {UID_KEY: uid, **{name: customer[key] for key, name in fields._asdict().items()}}


# ---- what follows a delivery


class Result(Enum):
    """How an attempt ended."""

    ACCEPTED = "accepted"  # the peer has the customer
    REJECTED = "rejected"  # the peer rejects the customer itself: another attempt would end like this one
    FAILED = "failed"  # anything else, an unknown end included: a repeat is harmless


class Attempt(NamedTuple):
    """A delivery that was attempted. `error` says why the customer was not accepted.

    `attempts` is the number of earlier attempts, `queued_at` the time since which the customer waits.
    """

    result: Result
    error: str
    attempts: int
    queued_at: str


class Delivered(NamedTuple):
    """The peer has the customer."""


class Retry(NamedTuple):
    """The delivery is attempted again at `at`."""

    at: str
    error: str


class SetAside(NamedTuple):
    """The delivery is not attempted again, unless an operator requeues it."""

    reason: str


def decide(attempt: Attempt, *, now: str) -> Delivered | Retry | SetAside:
    """Returns what follows an attempt that ended at `now`. Failed attempts are repeated for 14 days."""
    if attempt.result is Result.ACCEPTED:
        return Delivered()
    if attempt.result is Result.REJECTED:
        return SetAside(attempt.error)
    if now >= shift_timestamp(attempt.queued_at, KEPT_SECONDS):
        return SetAside(f"{attempt.error}, for 14 days")
    return Retry(shift_timestamp(now, back_off(attempt.attempts)), attempt.error)


def back_off(attempts: int) -> int:
    """Returns the seconds to wait after a failed attempt: 10, 20, 40 … 3600. `attempts` is the number before it."""
    # The exponent is bounded, because 14 days have hundreds of attempts.
    return min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS << min(attempts, 9))


def is_current(sent_at: int, now: int) -> bool:
    """Returns whether a message that claims to be sent at `sent_at` is current; both are in seconds since 1970."""
    return abs(now - sent_at) <= SKEW_SECONDS
