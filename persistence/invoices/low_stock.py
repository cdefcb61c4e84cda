"""The list of low stock: the items that may be on it, and the last list. The schema creates its only row."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from sqlalchemy import CHAR, BigInteger, Connection, Select, and_, bindparam, or_, select, update

from domain.invoices.low_stock import THRESHOLD, Item, format_list, last_listed_expiry
from persistence.database.clauses import for_update
from persistence.invoices.tables import ITEMS, LOW_STOCK_LISTS

_LOW_ITEMS: Final = (
    select(ITEMS.c.id, ITEMS.c.description, ITEMS.c.quantity, ITEMS.c.expiry_date, ITEMS.c.low_stock_threshold)
    .where(
        or_(
            ITEMS.c.quantity <= ITEMS.c.low_stock_threshold,
            and_(ITEMS.c.low_stock_threshold.is_(None), ITEMS.c.quantity <= bindparam("threshold", type_=BigInteger())),
            ITEMS.c.expiry_date <= bindparam("last_expiry", type_=CHAR(10)),
        )
    )
    .order_by(ITEMS.c.id)
)


_FIND_DAY: Final = select(LOW_STOCK_LISTS.c.day)
_LOCK_DAY: Final = for_update(_FIND_DAY, LOW_STOCK_LISTS)


def find_list_day(connection: Connection) -> date | None:
    """Returns the day of the last list, or the one that `save_first_day` stored; None before both."""
    return _read_day(connection, _FIND_DAY)


def lock_list_day(connection: Connection) -> date | None:
    """Returns the day of the last list, which no other transaction replaces until this one ends."""
    return _read_day(connection, _LOCK_DAY)


def _read_day(connection: Connection, statement: Select[Any]) -> date | None:
    day: str | None = connection.execute(statement).scalar_one()
    return None if day is None else date.fromisoformat(day)


_FIND_LIST: Final = select(LOW_STOCK_LISTS.c.content)


def find_list(connection: Connection) -> str | None:
    """Returns the text of the last list; None before the first one."""
    content: str | None = connection.execute(_FIND_LIST).scalar_one()
    return content


_SAVE_DAY: Final = update(LOW_STOCK_LISTS).values(day=bindparam("first_day", type_=CHAR(10)))


def save_first_day(connection: Connection, day: date) -> None:
    """Stores the day on which the database begins to have lists: the next day has the first one."""
    connection.execute(_SAVE_DAY, {"first_day": day.isoformat()})


_SAVE_LIST: Final = update(LOW_STOCK_LISTS)


def make_list(connection: Connection, day: date, expiry_days: int, *, now: str) -> str:
    """Replaces the last list by that of a day, from the items as they are. Returns its text.

    Two statements. An item is listed if it is low, or expires within `expiry_days` or before.
    """
    rows = connection.execute(_LOW_ITEMS, {"threshold": THRESHOLD, "last_expiry": last_listed_expiry(day, expiry_days)})
    content = format_list(map(Item._make, rows), day, expiry_days)
    connection.execute(_SAVE_LIST, {"day": day.isoformat(), "content": content, "made_at": now})
    return content
