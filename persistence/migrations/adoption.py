"""Recognizes the schema of release 0.1.0, which had no migrations: the first of each branch would make the same.

That release is closed: nothing is added here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import Connection, text


class Schema(NamedTuple):
    """The names of the tables and of the indexes of a branch."""

    tables: tuple[str, ...]
    indexes: tuple[str, ...]


RELEASE_0_1_0: Final = {
    "shared": Schema(("idempotency_keys",), ("ux_idempotency_keys_key", "ix_idempotency_keys_created_at")),
    "users": Schema(
        ("managers", "users"),
        (
            "ux_users_current_user_id",
            "ux_users_current_mob_num",
            "ix_users_superseded_user_id",
            "ix_users_manager_id",
            "ix_users_created_at",
        ),
    ),
    "points": Schema(
        ("points_ledger", "points_balances", "points_transactions", "points_spends"),
        ("ux_points_balances_payer", "ix_points_transactions_lots"),
    ),
}


_NAMES: Final = {
    "sqlite": text("SELECT name FROM sqlite_master"),
    "mssql": text(
        "SELECT name FROM sys.tables WHERE schema_id = SCHEMA_ID(N'dbo') "
        "UNION ALL SELECT name FROM sys.indexes WHERE name IS NOT NULL"
    ),
}


def find_release_0_1_0(connection: Connection, branch: str) -> tuple[bool, list[str]]:
    """Whether the database has a table of this branch as release 0.1.0 made it, and what it lacks of that schema."""
    schema = RELEASE_0_1_0.get(branch, Schema((), ()))
    names = {*connection.execute(_NAMES[connection.dialect.name]).scalars()}
    missing = [name for name in (*schema.tables, *schema.indexes) if name not in names]
    return not names.isdisjoint(schema.tables), missing
