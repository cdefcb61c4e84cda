"""Lists of records: pages and counts of the live records of one account."""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple, TypedDict

import orjson
from sqlalchemy import Connection, Integer, SmallInteger, case, func, literal_column, select
from sqlalchemy.sql import ColumnElement, Select

from domain.calculator import OPERATIONS
from persistence.calculator.tables import BALANCES, LIVE, OWN_BALANCE, RECORDS
from persistence.database.clauses import in_json_array, page_rows


class Record(TypedDict):
    """A live record as lists return it. `user_id` is the account's; `user_balance` is the balance after the charge."""

    id: int
    operation_id: int
    operation_type: str
    user_id: int
    amount: int
    user_balance: int
    operation_response: str
    created_at: str


class Page(NamedTuple):
    """A page of records: at most `limit` after the first `offset`, in the order of the key `sort_by` of `Record`.

    Ties are ordered by id in the same direction. `search` is a part of the operation's name or type; empty finds all.
    """

    search: str = ""
    sort_by: str = "id"
    descending: bool = True
    offset: int = 0
    limit: int = 100


_NAMES: Final = {operation.id: operation.name for operation in OPERATIONS}
_COLUMNS = [RECORDS.c[name] for name in Record.__annotations__ if name in RECORDS.c]
# Names are ordered by their place in the order of code points; a database would compare them by its collation.
_NAME_ORDER = case(
    *(
        (RECORDS.c.operation_id == literal_column(str(operation.id), SmallInteger), literal_column(str(place), Integer))
        for place, operation in enumerate(sorted(OPERATIONS, key=lambda operation: operation.name))
    )
)
_IS_FOUND = in_json_array(RECORDS.c.operation_id, "operation_ids")
# All records of a list have the same user_id: the id decides.
_ORDER: Final[dict[str, ColumnElement[Any]]] = {
    **{column.name: column for column in _COLUMNS},
    "operation_type": _NAME_ORDER,
    "user_id": RECORDS.c.id,
}


def list_records(connection: Connection, account_id: int, page: Page) -> list[Record]:
    """Returns a page of an account's live records."""
    given = {"of_account": account_id, "row_offset": page.offset, "row_limit": page.limit, **_found(page.search)}
    rows = connection.execute(_list_statement(page.sort_by, page.descending, bool(page.search)), given)
    return [
        {
            "id": id_,
            "operation_id": operation_id,
            "operation_type": _NAMES[operation_id],
            "user_id": account_id,
            "amount": amount,
            "user_balance": user_balance,
            "operation_response": operation_response,
            "created_at": created_at,
        }
        for id_, operation_id, amount, user_balance, operation_response, created_at in rows
    ]


@functools.cache
def _list_statement(sort_by: str, descending: bool, has_search: bool) -> Select[Any]:
    keys = dict.fromkeys((_ORDER[sort_by], RECORDS.c.id))  # SQL Server rejects a column that ORDER BY has twice
    order = [key.desc() if descending else key for key in keys]
    return page_rows(select(*_COLUMNS).where(*LIVE, *[_IS_FOUND] * has_search).order_by(*order))


_COUNT = select(BALANCES.c.records).where(OWN_BALANCE)
_COUNT_FOUND = select(func.count()).select_from(RECORDS).where(*LIVE, _IS_FOUND)


def count_records(connection: Connection, account_id: int, search: str = "") -> int:
    """Returns the number of an account's live records that `search` finds. Without it no record is read."""
    given = {"of_account": account_id, **_found(search)}
    return int(connection.execute(_COUNT_FOUND if search else _COUNT, given).scalar_one_or_none() or 0)


def _found(search: str) -> dict[str, str]:
    """Returns the parameter of `_IS_FOUND`. Without LIKE no character of `search` has a special meaning."""
    part = search.lower()
    found = [each.id for each in OPERATIONS if part in each.name.lower() or part in each.type.lower()]
    return {"operation_ids": orjson.dumps(found).decode()} if search else {}
