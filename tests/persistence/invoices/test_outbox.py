"""The outbox: order, claims, what a sender that was killed leaves, and what an operator requeues."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from domain.timestamps import shift_timestamp
from persistence.invoices import outbox
from tests.support.outbox import NOW, change, entries, later, new_customer, next_entry, queued_names
from tests.support.threads import at_once

pytestmark = pytest.mark.usefixtures("app_database")

DUE = "SEARCH invoices_outbox USING INDEX ix_invoices_outbox_next_attempt_at (next_attempt_at<?)"
CUSTOMER = "SEARCH invoices_customers USING INTEGER PRIMARY KEY (rowid=?)"


def claim(entry_id: int, *, now: str = NOW, seconds: int = 30) -> str:
    """Claims an entry for so many seconds and returns the claim; empty if another sender has it."""
    own = str(uuid.uuid4())
    claimed = change(outbox.claim, entry_id, own, now=now, until=shift_timestamp(now, seconds))
    return own if claimed else ""


def taken() -> list[str]:
    """The names of all due customers, each delivered, in the order in which a sender takes them."""
    names = []
    while (entry := next_entry(later(10**6))) is not None:
        change(outbox.delete_delivered, entry.id, claim(entry.id, now=later(10**6)))
        names.append(entry.name)
    return names


def test_a_customer_that_is_rolled_back_is_not_queued() -> None:
    def fail(connection: Any) -> None:
        outbox.queue(connection, new, now=NOW)
        raise ZeroDivisionError

    new = new_customer("Asha", queued_at=None)
    with pytest.raises(ZeroDivisionError):
        change(fail)
    assert entries() == []


def test_the_oldest_is_first_and_ties_go_in_the_order_of_customers() -> None:
    for name, seconds in (("c", 0), ("b", -5), ("d", 0), ("a", -9)):
        new_customer(name, queued_at=later(seconds))
    assert taken() == ["a", "b", "c", "d"]
    assert entries() == []


def test_the_order_of_equal_times_does_not_depend_on_ids_of_entries() -> None:
    customers = [new_customer(name, queued_at=None) for name in ("a", "b", "c")]
    for customer_id in reversed(customers):  # as SQL Server may queue them by one statement
        change(outbox.queue, customer_id, now=NOW)
    assert [row["customer"] for row in change(outbox.list_entries)] == customers
    assert taken() == ["a", "b", "c"]


def test_an_entry_that_failed_is_not_overtaken_when_it_is_due() -> None:
    new_customer("failed", queued_at=later(-9))
    entry = next_entry()
    assert entry is not None
    change(outbox.release, entry.id, claim(entry.id), next_at=later(60), error="down")
    new_customer("new", queued_at=later(30))
    at_40, at_60 = next_entry(later(40)), next_entry(later(60))
    assert (at_40 and at_40.name, at_60 and at_60.name) == ("new", "failed")


def test_nothing_is_due_before_its_time() -> None:
    new_customer("Asha", queued_at=later(1))
    assert next_entry() is None
    assert not claim(entries()[0]["id"])
    entry = next_entry(later(1))
    assert entry is not None
    assert (entry.name, entry.attempts, entry.first_queued_at) == ("Asha", 0, later(1))


def test_one_of_many_senders_gets_a_claim() -> None:
    new_customer("Asha")
    entry_id = entries()[0]["id"]
    assert sum(1 for own in at_once(16, lambda _: claim(entry_id)) if own) == 1


def test_a_claim_of_a_killed_sender_expires_and_the_order_stays() -> None:
    for name in ("first", "second"):
        new_customer(name)
    first = next_entry()
    assert first is not None
    assert claim(first.id)
    for seconds in (0, 29):  # the other sender waits: it does not take the second one
        assert next_entry(later(seconds)) == first
        assert not claim(first.id, now=later(seconds))
    assert claim(first.id, now=later(30))


def test_a_sender_whose_claim_expired_changes_nothing() -> None:
    new_customer("Asha")
    entry_id = entries()[0]["id"]
    late = claim(entry_id)
    own = claim(entry_id, now=later(30))
    before = entries()
    change(outbox.delete_delivered, entry_id, late)
    change(outbox.release, entry_id, late, next_at=later(99), error="status 503")
    change(outbox.release, entry_id, late, next_at=later(99), error="status 400", reason="status 400")
    assert entries() == before
    change(outbox.delete_delivered, entry_id, own)
    assert entries() == []


def test_a_failed_attempt_is_counted_and_waits() -> None:
    new_customer("Asha")
    entry_id = entries()[0]["id"]
    change(outbox.release, entry_id, claim(entry_id), next_at=later(10), error="ConnectError")
    assert next_entry(later(9)) is None
    entry = next_entry(later(10))
    assert entry is not None
    assert (entry.attempts, entry.first_queued_at) == (1, NOW)
    assert (entries()[0]["last_error"], entries()[0]["claim"]) == ("ConnectError", None)


def test_what_is_set_aside_stays_with_its_reason_until_requeued() -> None:
    for name in ("Asha", "Ravi"):
        new_customer(name)
    for row in entries():
        own = claim(row["id"])
        change(outbox.release, row["id"], own, next_at=NOW, error="status 400", reason="status 400")
    assert next_entry(later(10**6)) is None
    assert not claim(entries()[0]["id"], now=later(10**6))
    assert [row["set_aside_reason"] for row in entries()] == ["status 400"] * 2
    assert change(outbox.requeue, entries()[1]["id"], now=later(50)) == 1
    assert change(outbox.requeue, 999, now=later(50)) == 0
    asha, ravi = entries()
    assert asha["set_aside_reason"] == "status 400"
    assert (ravi["set_aside_reason"], ravi["attempts"], ravi["claim"]) == (None, 0, None)
    assert (ravi["first_queued_at"], ravi["next_attempt_at"]) == (later(50), later(50))
    assert change(outbox.requeue, None, now=later(60)) == 2
    assert taken() == ["Asha", "Ravi"]


def test_a_requeued_entry_keeps_a_live_claim_and_its_place() -> None:
    for name in ("first", "second"):
        new_customer(name)
    first = next_entry()
    assert first is not None
    own = claim(first.id)
    for entry_id in (first.id, None):
        assert change(outbox.requeue, entry_id, now=later(29)) == (1 if entry_id else 2)
        assert next_entry(later(29)) == first  # no other sender takes it, or the second one
        assert not claim(first.id, now=later(29))
    change(outbox.release, first.id, own, next_at=later(40), error="status 503")
    assert [(row["attempts"], row["next_attempt_at"]) for row in entries()] == [(1, later(40)), (0, later(29))]


def test_a_requeued_entry_whose_claim_expired_is_as_if_queued_then() -> None:
    new_customer("Asha")
    entry_id = entries()[0]["id"]
    assert claim(entry_id)
    change(outbox.requeue, entry_id, now=later(30))
    (row,) = entries()
    assert (row["first_queued_at"], row["next_attempt_at"]) == (later(30), later(30))
    assert claim(entry_id, now=later(30))


def test_earlier_customers_are_queued_once_and_none_of_the_peer() -> None:
    new_customer("before", queued_at=None)
    new_customer("theirs", queued_at=None, is_from_peer=True)
    new_customer("queued")
    assert change(outbox.queue_earlier, now=later(5)) == 1
    assert change(outbox.queue_earlier, now=later(5)) == 0
    assert queued_names() == ["queued", "before"]


def test_the_list_has_every_entry_and_no_personal_data() -> None:
    customer_id = new_customer("Asha")
    entry_id = entries()[0]["id"]
    listed = change(outbox.list_entries)
    assert listed == [
        {
            "id": entry_id,
            "customer": customer_id,
            "attempts": 0,
            "queued_at": NOW,
            "next_attempt_at": NOW,
            "last_error": None,
            "set_aside": None,
        }
    ]


def test_the_next_entry_is_read_by_the_index(
    plans: Callable[[Callable[[], Any]], list[str]], count_statements: Callable[[], int]
) -> None:
    new_customer("Asha")
    assert plans(next_entry) == [DUE, CUSTOMER, "USE TEMP B-TREE FOR ORDER BY"]
    count_statements()
    assert next_entry(later(-1)) is None
    assert count_statements() == 1
