"""Customers and their entries in the outbox, stored directly."""

from __future__ import annotations

import uuid
from typing import Any, Final

from sqlalchemy import insert, select

from domain.timestamps import shift_timestamp
from persistence.database.connections import reading, transaction
from persistence.invoices import outbox
from persistence.invoices.tables import CUSTOMERS, OUTBOX

NOW: Final = "2026-11-21T12:00:00.000000Z"
_NEW = insert(CUSTOMERS).returning(CUSTOMERS.c.id)


def later(seconds: int) -> str:
    """Returns the timestamp so many seconds after `NOW`."""
    return shift_timestamp(NOW, seconds)


def new_customer(name: str, *, is_from_peer: bool = False, queued_at: str | None = NOW) -> int:
    """Stores a customer, queues it unless `queued_at` is None, in one transaction, and returns its id."""
    values = {"name": name, "phone": "+919876543210", "address": "1 Street", "created_at": NOW}
    uid = str(uuid.uuid4())
    with transaction() as connection:
        row = connection.execute(_NEW, {**values, "customer_uid": uid, "is_from_peer": is_from_peer})
        customer_id: int = row.scalar_one()
        if queued_at is not None:
            outbox.queue(connection, customer_id, now=queued_at)
    return customer_id


def next_entry(now: str = NOW) -> outbox.Entry | None:
    """Returns the oldest entry that is due."""
    with reading() as connection:
        return outbox.find_next(connection, now=now)


def change(statement: Any, *arguments: Any, **options: Any) -> Any:
    """Returns the result of a statement of the outbox in a transaction of its own."""
    with transaction() as connection:
        return statement(connection, *arguments, **options)


def entries() -> list[dict[str, Any]]:
    """Returns all columns of all entries, in the order of queueing."""
    with reading() as connection:
        return [dict(row) for row in connection.execute(select(OUTBOX).order_by(OUTBOX.c.id)).mappings()]


def queued_names() -> list[str]:
    """Returns the names of all customers in the outbox, in the order of queueing."""
    statement = select(CUSTOMERS.c.name).join_from(OUTBOX, CUSTOMERS).order_by(OUTBOX.c.id)
    with reading() as connection:
        return [*connection.execute(statement).scalars()]
