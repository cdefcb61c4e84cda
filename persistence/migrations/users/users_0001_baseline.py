"""Managers and the versions of users, as release 0.1.0 had them; in an embedded database with managers to try it with.

NVARCHAR counts UTF-16 units, the rule for names (at most 200) counts code points: hence twice the limit. DATETIME2
holds UTC without a time zone. The clustered key of users increases, because random GUIDs (user_id) would fragment the
table, and is narrow, because every other index contains it. That of managers may be a GUID: they are few, and found by
it alone.

Readers without the permission UNMASK see mob_num and pan_num masked, from the beginning: a mask cannot be added to a
column that an index or a CHECK depends on. The CHECK keeps what such a reader sees from being written back.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import UserDefinedType

from persistence.database.types import RowId, UtcText, UuidText

revision = "users_0001"
down_revision = None
branch_labels = ("users",)

_SEEDED_AT = "2026-01-01T00:00:00.000000Z"
_MANAGERS = ("Asha Rao", "Vikram Shah", "Meera Iyer", "Rohan Das", "Farah Khan")
_RETIRED = "Farah Khan"


class _MaskedText(UserDefinedType[str]):
    def get_col_spec(self, **_: Any) -> str:
        return "CHAR(10) MASKED WITH (FUNCTION = 'partial(0, \"XXXXXX\", 4)')"


# CHAR, half as wide as NCHAR: numbers and PANs are ASCII and always ten characters long.
_MASKED = sa.CHAR(10).with_variant(_MaskedText(), "mssql")


def upgrade() -> None:
    managers = _create_managers()
    _create_users()
    # Unique among current versions only: superseded ones keep the user's id, and numbers that others may have now.
    _create_filtered_index("ux_users_current_user_id", "user_id", "is_active = 1", unique=True)
    _create_filtered_index("ux_users_current_mob_num", "mob_num", "is_active = 1", unique=True)
    _create_filtered_index("ix_users_superseded_user_id", "user_id", "is_active = 0", unique=False)
    # Both engines append the row's key, so that these give the order of a listing: created_at, then id.
    op.create_index("ix_users_manager_id", "users", ["manager_id", "created_at"])
    op.create_index("ix_users_created_at", "users", ["created_at"])
    if op.get_context().dialect.name == "sqlite":  # on SQL Server: sql/users/seed.sql
        op.bulk_insert(managers, _seed())


def _create_managers() -> sa.Table:
    return op.create_table(
        "managers",
        sa.Column("manager_id", UuidText, nullable=False),
        sa.Column("full_name", sa.Unicode(400), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcText, nullable=False),
        sa.Column("updated_at", UtcText, nullable=True),
        sa.PrimaryKeyConstraint("manager_id"),
    )


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", RowId, nullable=False),
        sa.Column("user_id", UuidText, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("manager_id", UuidText, nullable=True),
        sa.Column("full_name", sa.Unicode(400), nullable=False),
        sa.Column("mob_num", _MASKED, nullable=False),
        sa.Column("pan_num", _MASKED, nullable=False),
        sa.Column("created_at", UtcText, nullable=False),
        sa.Column("updated_at", UtcText, nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("mob_num NOT LIKE 'X%' AND pan_num NOT LIKE 'XXXXXX%'", name="ck_users_whole_values"),
        sa.ForeignKeyConstraint(["manager_id"], ["managers.manager_id"]),
    )


def _create_filtered_index(name: str, column: str, where: str, *, unique: bool) -> None:
    op.create_index(name, "users", [column], unique=unique, sqlite_where=sa.text(where), mssql_where=sa.text(where))


def _seed() -> list[dict[str, Any]]:
    return [
        {
            "manager_id": f"11111111-1111-4111-8111-11111111111{digit}",
            "full_name": full_name,
            "is_active": full_name != _RETIRED,
            "created_at": _SEEDED_AT,
            "updated_at": _SEEDED_AT if full_name == _RETIRED else None,
        }
        for digit, full_name in enumerate(_MANAGERS, start=1)
    ]
