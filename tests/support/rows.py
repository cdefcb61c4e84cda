"""Many rows at once, stored directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import orjson
from sqlalchemy import Connection, Table, Unicode, bindparam, delete, insert, select
from sqlalchemy import column as column_clause
from sqlalchemy import table as table_clause
from sqlmodel import SQLModel

from persistence.database.clauses import json_rows
from persistence.invoices.tables import COUNTERS, LOW_STOCK_LISTS
from persistence.migrations.heads import HEADS
from persistence.points import LEDGER
from persistence.users.tables import MANAGERS
from tests.support.seed import SEED_MANAGERS

_VERSIONS: Final = table_clause("alembic_version", column_clause("version_num", Unicode()))


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]], **same: object) -> None:
    """Inserts `rows`, in the order of their first column, with the values that all of them have the `same`.

    It is one statement, with one JSON parameter for the rows, for any number of them: SQL Server accepts at most 2,100
    parameters. A value of None is left out, because the driver needs a request for an untyped NULL.
    """
    own = json_rows("new_rows", *(table.c[name] for name in rows[0]))
    common = {
        name: bindparam(f"same_{name}", value, type_=table.c[name].type)
        for name, value in same.items()
        if value is not None
    }
    selected = select(*own.c, *common.values()).order_by(next(iter(own.c)))
    values = orjson.dumps([[*row.values()] for row in rows]).decode()
    connection.execute(insert(table).from_select([*rows[0], *common], selected), {"new_rows": values})


def reset_database(connection: Connection) -> None:
    """Leaves every table as the migrations and scripts made it: with the seed, and with the recorded migrations."""
    for table in (*reversed(SQLModel.metadata.sorted_tables), _VERSIONS):
        connection.execute(delete(table))
    for manager in SEED_MANAGERS:
        given = {name: value for name, value in manager.items() if value is not None}
        connection.execute(insert(MANAGERS), given)
    connection.execute(insert(LEDGER), {"id": 1, "total": 0})
    connection.execute(insert(COUNTERS), {"id": 1, "last_number": 0})
    connection.execute(insert(LOW_STOCK_LISTS), {"id": 1})
    connection.execute(insert(_VERSIONS), [{"version_num": head} for head in HEADS.values()])
