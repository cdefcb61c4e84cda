"""Customers: lists and inserts. They are never changed or removed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, insert, select

from domain.invoices.purchases import Customer, NewCustomer
from persistence.database.clauses import limit_rows
from persistence.database.types import RowId
from persistence.invoices.tables import CUSTOMERS

COLUMNS: Final = tuple(CUSTOMERS.c[name] for name in Customer._fields)
"""The columns of a `Customer`, in the order of its fields."""

_LIST = select(*COLUMNS).order_by(CUSTOMERS.c.id)
_LIST_PAGE = limit_rows(_LIST.where(CUSTOMERS.c.id > bindparam("after_id", type_=RowId)))


def list_customers(connection: Connection, after: int = 0, limit: int | None = None) -> list[Customer]:
    """Returns the customers by id: all of them, or with a `limit` at most so many after the id `after`."""
    if limit is None:
        rows = connection.execute(_LIST)
    else:
        rows = connection.execute(_LIST_PAGE, {"after_id": after, "row_limit": limit})
    return [Customer._make(row) for row in rows]


_INSERT = insert(CUSTOMERS).returning(CUSTOMERS.c.id)


def insert_customer(
    connection: Connection, customer: NewCustomer, *, uid: str, now: str, is_from_peer: bool = False
) -> Customer:
    """Stores a customer under its global id `uid` and returns it.

    Raises `LostRaceError` if a customer has this id: the other site sent it twice at the same time.
    """
    row = {**customer._asdict(), "customer_uid": uid, "is_from_peer": is_from_peer, "created_at": now}
    return Customer(connection.execute(_INSERT, row).scalar_one(), *customer)


_FIND_UID = select(CUSTOMERS.c.id).where(CUSTOMERS.c.customer_uid == bindparam("uid"))


def has_customer(connection: Connection, uid: str) -> bool:
    """Returns whether a customer has this global id."""
    return connection.execute(_FIND_UID, {"uid": uid}).one_or_none() is not None
