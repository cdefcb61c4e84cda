"""Items of the stock: lists, inserts and changes of one item."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, update

from domain.invoices.errors import DescriptionTakenError
from domain.invoices.stock import Item, NewItem
from persistence.database.clauses import for_update, limit_rows
from persistence.database.errors import raise_on_duplicate_key
from persistence.database.types import RowId
from persistence.invoices.tables import ITEMS

COLUMNS: Final = tuple(ITEMS.c[name] for name in Item._fields)
"""The columns of an `Item`, in the order of its fields."""

_AFTER = bindparam("after_id", type_=RowId)
_LIST = select(*COLUMNS).order_by(ITEMS.c.id)
_LIST_PAGE = limit_rows(_LIST.where(ITEMS.c.id > _AFTER))


def list_items(connection: Connection, after: int = 0, limit: int | None = None) -> list[Item]:
    """Returns the items by id: all of them, or with a `limit` at most so many after the id `after`."""
    if limit is None:
        rows = connection.execute(_LIST)
    else:
        rows = connection.execute(_LIST_PAGE, {"after_id": after, "row_limit": limit})
    return [Item._make(row) for row in rows]


_INSERT = insert(ITEMS).returning(ITEMS.c.id)


def insert_item(connection: Connection, item: NewItem) -> Item:
    """Stores an item and returns it with its id. Raises `DescriptionTakenError`."""
    with raise_on_duplicate_key(DescriptionTakenError()):
        item_id = connection.execute(_INSERT, _row(item)).scalar_one()
    return Item(item_id, *item)


_ID = bindparam("of_item", type_=RowId)
_LOAD = for_update(select(*COLUMNS).where(ITEMS.c.id == _ID), ITEMS)


def load_item(connection: Connection, item_id: int) -> Item | None:
    """Returns an item, or None, and locks it until the transaction ends."""
    row = connection.execute(_LOAD, {"of_item": item_id}).one_or_none()
    return None if row is None else Item._make(row)


_NEW: Final = (*NewItem._fields, "description_hash")
_UPDATE = update(ITEMS).where(ITEMS.c.id == _ID).values({name: bindparam(f"new_{name}") for name in _NEW})


def update_item(connection: Connection, item: Item) -> None:
    """Stores the new state of an item that `load_item` locked. Raises `DescriptionTakenError`."""
    new = {f"new_{name}": value for name, value in _row(NewItem(*item[1:])).items()}
    with raise_on_duplicate_key(DescriptionTakenError()):
        connection.execute(_UPDATE, {"of_item": item.id, **new})


def _row(item: NewItem) -> dict[str, Any]:
    return {**item._asdict(), "description_hash": hashlib.sha256(item.description.encode()).hexdigest()}
