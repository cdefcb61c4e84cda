"""What follows a delivery, and which keys a message has."""

from __future__ import annotations

from datetime import datetime

import pytest

from domain.errors import WrongTypeError
from domain.invoices.peers import (
    KEPT_SECONDS,
    SAME_FIELDS,
    Attempt,
    Delivered,
    PeerFields,
    Result,
    Retry,
    SetAside,
    UuidInvalidError,
    back_off,
    decide,
    is_current,
    parse_customer_uid,
    parse_peer_fields,
    to_message,
)
from domain.timestamps import shift_timestamp

NOW = "2026-11-21T12:00:00.000000Z"
UID = "0f8fad5b-d9cb-469f-a165-70867728950e"
WIRE = PeerFields("customer_name", "mobile", "addr")
FIELDS = WIRE._asdict()


def attempt(result: Result, error: str = "", attempts: int = 0, waited: int = 0) -> Attempt:
    """An attempt to deliver a customer that was queued so many seconds before NOW."""
    return Attempt(result, error, attempts, shift_timestamp(NOW, -waited))


def test_an_accepted_customer_is_delivered_however_late() -> None:
    assert decide(attempt(Result.ACCEPTED, waited=KEPT_SECONDS * 2), now=NOW) == Delivered()


def test_a_customer_that_the_peer_rejects_is_set_aside_at_once() -> None:
    assert decide(attempt(Result.REJECTED, "status 400"), now=NOW) == SetAside("status 400")


def test_a_failed_attempt_backs_off_with_its_cause() -> None:
    expected = Retry("2026-11-21T12:00:40.000000Z", "ConnectError")
    assert decide(attempt(Result.FAILED, "ConnectError", 2), now=NOW) == expected


def test_waits_double_from_ten_seconds_to_an_hour() -> None:
    waits = [back_off(attempts) for attempts in range(12)]
    assert waits == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]
    assert back_off(2**62) == 3600


def test_deliveries_are_attempted_for_14_days() -> None:
    days = 14 * 24 * 3600
    assert isinstance(decide(attempt(Result.FAILED, "status 503", 300, days - 1), now=NOW), Retry)
    assert decide(attempt(Result.FAILED, "status 503", 300, days), now=NOW) == SetAside("status 503, for 14 days")


def test_an_unreachable_peer_costs_about_350_attempts_in_14_days() -> None:
    now, attempts = NOW, 0
    while isinstance(outcome := decide(Attempt(Result.FAILED, "", attempts, NOW), now=now), Retry):
        now, attempts = outcome.at, attempts + 1
    waited = datetime.fromisoformat(now) - datetime.fromisoformat(NOW)
    assert 14 * 86400 <= waited.total_seconds() < 14 * 86400 + 3600
    assert 340 <= attempts <= 350


def test_a_message_has_the_id_and_the_mapped_keys_alone() -> None:
    customer = {"id": "7", "name": "A", "phone": "+911234567890", "address": "B", "customer_uid": UID, "attempts": "3"}
    assert to_message(UID, customer, WIRE) == {
        "id": UID,
        "customer_name": "A",
        "mobile": "+911234567890",
        "addr": "B",
    }


def test_a_mapping_may_have_any_order() -> None:
    assert parse_peer_fields(dict(reversed(FIELDS.items()))) == WIRE
    assert parse_peer_fields(SAME_FIELDS._asdict()) == SAME_FIELDS == ("name", "phone", "address")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "with the keys name, phone, address"),
        ("name", "with the keys name, phone, address"),
        ({"name": "a", "phone": "b"}, "with the keys name, phone, address"),
        ({**FIELDS, "email": "e"}, "with the keys name, phone, address"),
        ({**FIELDS, "name": 1}, "1 to 100 printable"),
        ({**FIELDS, "name": None}, "1 to 100 printable"),
        ({**FIELDS, "name": ""}, "1 to 100 printable"),
        ({**FIELDS, "name": "a\n"}, "1 to 100 printable"),
        ({**FIELDS, "name": "a" * 101}, "1 to 100 printable"),
        ({**FIELDS, "name": "\ud800"}, "1 to 100 printable"),
        ({**FIELDS, "name": "addr"}, "values differ"),
        ({**FIELDS, "name": "id"}, "and from id"),
    ],
)
def test_a_mapping_must_be_complete_and_reversible(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_peer_fields(value)


def test_a_global_id_is_a_uuid_in_any_case() -> None:
    assert parse_customer_uid(UID.upper()) == UID
    for value in (1, None, [UID]):
        with pytest.raises(WrongTypeError):
            parse_customer_uid(value)
    for text in ("", UID + "0", UID + "\n", UID.replace("-", ""), f"{{{UID}}}", "ü" + UID[1:], "K" + UID[1:]):
        with pytest.raises(UuidInvalidError):
            parse_customer_uid(text)


@pytest.mark.parametrize(
    ("skew", "expected"), [(0, True), (300, True), (-300, True), (301, False), (-301, False), (-(10**9), False)]
)
def test_a_message_is_current_for_five_minutes_in_both_directions(skew: int, expected: bool) -> None:
    now = 1_800_000_000
    assert is_current(now + skew, now) is expected
