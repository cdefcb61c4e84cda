"""The list of low stock: the items that may be on it, and the last list. The schema creates its only row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from sqlalchemy import CHAR, BigInteger, Connection, Select, bindparam, func, or_, select, update

from domain.invoices.low_stock import THRESHOLD, Item
from persistence.database.clauses import for_update
from persistence.invoices.tables import ITEMS, LOW_STOCK_LISTS

_LOW_ITEMS: Final = (
    select(ITEMS.c.id, ITEMS.c.description, ITEMS.c.quantity, ITEMS.c.expiry_date, ITEMS.c.low_stock_threshold)
    .where(
        or_(
            ITEMS.c.quantity <= func.coalesce(ITEMS.c.low_stock_threshold, bindparam("threshold", type_=BigInteger())),
            ITEMS.c.expiry_date <= bindparam("last_expiry", type_=CHAR(10)),
        )
    )
    .order_by(ITEMS.c.id)
)


def list_low_items(connection: Connection, last_expiry: str) -> Iterator[Item]:
    """Yields the items that are low, or expire on or before `last_expiry` (`YYYY-MM-DD`), by id."""
    rows = connection.execute(_LOW_ITEMS, {"threshold": THRESHOLD, "last_expiry": last_expiry})
    return map(Item._make, rows)


_FIND_DAY: Final = select(LOW_STOCK_LISTS.c.day)
_LOCK_DAY: Final = for_update(_FIND_DAY, LOW_STOCK_LISTS)


def find_list_day(connection: Connection) -> date | None:
    """Returns the day of the last list; None before the first one."""
    return _read_day(connection, _FIND_DAY)


def lock_list_day(connection: Connection) -> date | None:
    """Returns the day of the last list, which no other transaction replaces until this one ends."""
    return _read_day(connection, _LOCK_DAY)


def _read_day(connection: Connection, statement: Select[tuple[str | None]]) -> date | None:
    day = connection.execute(statement).scalar_one()
    return None if day is None else date.fromisoformat(day)


_FIND_LIST: Final = select(LOW_STOCK_LISTS.c.content)


def find_list(connection: Connection) -> str | None:
    """Returns the text of the last list; None before the first one."""
    return connection.execute(_FIND_LIST).scalar_one()


_SAVE_LIST: Final = update(LOW_STOCK_LISTS)


def save_list(connection: Connection, day: date, content: str, *, now: str) -> None:
    """Replaces the last list by that of a day."""
    connection.execute(_SAVE_LIST, {"day": day.isoformat(), "content": content, "made_at": now})
