"""The outbox: customers to deliver to the other site.

A row is inserted in the transaction of its customer, and deleted when the customer is delivered. A sender claims the
oldest row that is due before it sends; a claim expires, so that a row outlives a sender that was killed. While another
sender holds the oldest row, nothing is sent: one sender works at a time, and the order is kept.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    case,
    delete,
    exists,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from persistence.database.clauses import limit_rows, lock_rows
from persistence.database.types import UtcText
from persistence.invoices.tables import CUSTOMERS, OUTBOX

_NOW: Final = bindparam("now", type_=UtcText)
_ENTRY: Final = OUTBOX.c.id == bindparam("of_entry", type_=OUTBOX.c.id.type)
_WAITS: Final = OUTBOX.c.set_aside_reason.is_(None)  # the condition of the index
_ZERO: Final = literal_column("0", OUTBOX.c.attempts.type)


class Entry(NamedTuple):
    """A customer to deliver."""

    id: int
    customer_uid: str
    name: str
    phone: str
    address: str
    attempts: int
    first_queued_at: str


# ---- queue

_QUEUE = insert(OUTBOX).inline()
_QUEUE_EARLIER = insert(OUTBOX).from_select(
    ["customer_id", "attempts", "first_queued_at", "next_attempt_at"],
    select(CUSTOMERS.c.id, _ZERO, _NOW, _NOW).where(
        ~CUSTOMERS.c.is_from_peer, ~exists(OUTBOX.c.id).where(OUTBOX.c.customer_id == CUSTOMERS.c.id)
    ),
)
# A claim stays: its sender may be at work. A claimed entry stays the oldest, so that no other sender begins.
_DUE_NOW = {
    "attempts": _ZERO,
    "first_queued_at": case((OUTBOX.c.claimed_until > _NOW, OUTBOX.c.first_queued_at), else_=_NOW),
    "next_attempt_at": _NOW,
    "set_aside_reason": null(),
}
_REQUEUE_ALL = update(OUTBOX).values(_DUE_NOW)
_REQUEUE = lock_rows(_REQUEUE_ALL.where(_ENTRY))


def queue(connection: Connection, customer_id: int, *, now: str) -> None:
    """Queues a customer that was inserted in the same transaction."""
    connection.execute(
        _QUEUE, {"customer_id": customer_id, "attempts": 0, "first_queued_at": now, "next_attempt_at": now}
    )


def queue_earlier(connection: Connection, *, now: str) -> int:
    """Queues every customer that is not queued and did not come from the peer. Returns their number."""
    return connection.execute(_QUEUE_EARLIER, {"now": now}).rowcount


def requeue(connection: Connection, entry_id: int | None, *, now: str) -> int:
    """Makes one entry, or all with None, due at `now` as if it was queued then. Returns the number of entries.

    An entry that a sender has claimed at `now` keeps its claim and its place.
    """
    if entry_id is None:
        return connection.execute(_REQUEUE_ALL, {"now": now}).rowcount
    return connection.execute(_REQUEUE, {"of_entry": entry_id, "now": now}).rowcount


# ---- send

_NEXT = limit_rows(
    select(
        OUTBOX.c.id,
        CUSTOMERS.c.customer_uid,
        CUSTOMERS.c.name,
        CUSTOMERS.c.phone,
        CUSTOMERS.c.address,
        OUTBOX.c.attempts,
        OUTBOX.c.first_queued_at,
    )
    .join_from(OUTBOX, CUSTOMERS)
    .where(_WAITS, OUTBOX.c.next_attempt_at <= _NOW)
    # After an outage a new entry does not overtake those that waited. Equal times are those of `queue_earlier` and
    # `requeue`. Their ids say nothing: SQLAlchemy drops the ORDER BY of an INSERT … SELECT on mssql, without which SQL
    # Server gives ids in any order (learn.microsoft.com/archive/blogs/sqltips/ordering-guarantees-in-sql-server, 4).
    .order_by(OUTBOX.c.first_queued_at, OUTBOX.c.customer_id)
)
_CLAIM = lock_rows(
    update(OUTBOX)
    .where(
        _ENTRY,
        _WAITS,
        OUTBOX.c.next_attempt_at <= _NOW,
        or_(OUTBOX.c.claimed_until.is_(None), OUTBOX.c.claimed_until <= _NOW),
    )
    .values(claim=bindparam("new_claim"), claimed_until=bindparam("until"))
)
_CLAIMED = and_(_ENTRY, OUTBOX.c.claim == bindparam("own_claim", type_=OUTBOX.c.claim.type))
_DELETE = delete(OUTBOX).where(_CLAIMED)
_RELEASE = lock_rows(
    update(OUTBOX)
    .where(_CLAIMED)
    .values(
        attempts=OUTBOX.c.attempts + literal_column("1", OUTBOX.c.attempts.type),
        next_attempt_at=bindparam("next_at"),
        last_error=bindparam("error"),
        set_aside_reason=bindparam("reason"),
        claim=null(),
        claimed_until=null(),
    )
)


def find_next(connection: Connection, *, now: str) -> Entry | None:
    """Returns the oldest entry that is due, also if another sender has claimed it; None if nothing is due."""
    row = connection.execute(_NEXT, {"now": now, "row_limit": 1}).one_or_none()
    return None if row is None else Entry._make(row)


def claim(connection: Connection, entry_id: int, own_claim: str, *, now: str, until: str) -> bool:
    """Claims an entry until a time. Returns whether it is due, and no other claim on it is alive."""
    values = {"of_entry": entry_id, "new_claim": own_claim, "now": now, "until": until}
    return connection.execute(_CLAIM, values).rowcount == 1


def delete_delivered(connection: Connection, entry_id: int, own_claim: str) -> None:
    """Deletes an entry. Nothing happens if the claim has expired and another sender has the entry."""
    connection.execute(_DELETE, {"of_entry": entry_id, "own_claim": own_claim})


def release(
    connection: Connection, entry_id: int, own_claim: str, *, next_at: str, error: str, reason: str | None = None
) -> None:
    """Gives an entry back after a failed attempt: due at `next_at`, or set aside for a `reason`.

    Nothing happens if the claim has expired and another sender has the entry.
    """
    values = {"of_entry": entry_id, "own_claim": own_claim, "next_at": next_at, "error": error, "reason": reason}
    connection.execute(_RELEASE, values)


# ---- list

_LIST = select(
    OUTBOX.c.id,
    OUTBOX.c.customer_id.label("customer"),
    OUTBOX.c.attempts,
    OUTBOX.c.first_queued_at.label("queued_at"),
    OUTBOX.c.next_attempt_at,
    OUTBOX.c.last_error,
    OUTBOX.c.set_aside_reason.label("set_aside"),
).order_by(OUTBOX.c.first_queued_at, OUTBOX.c.customer_id)


def list_entries(connection: Connection) -> list[dict[str, Any]]:
    """Returns all entries in the order in which they are delivered, once they are due."""
    return [dict(row) for row in connection.execute(_LIST).mappings()]
