"""The log of changes: who changed which user, when and why, and what the users were after each change.

user_changes outlasts users, and has none of their data: that is in user_change_values, whose rows go with their user.
Every version that is there already is adopted. The log begins now; what was true before is not known for every time,
because a change in place overwrites it. The adopted row of a current version has the timestamp of the record, so that
every later change comes after it, whatever a clock does; those of superseded versions come before it, a microsecond
apart.

Readers without the permission UNMASK see mob_num and pan_num masked, as in users. On SQL Server each entry gets the
next number of the database when it is written. The feed is in this order, which is that of no transaction's end: see
persistence/database/feed.py.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement, Executable
from sqlalchemy.types import UserDefinedType

from persistence.database.types import RowId, RowVersion, UtcText, UuidText

revision = "users_0002"
down_revision = "users_0001"


class _MaskedText(UserDefinedType[str]):
    def get_col_spec(self, **_: Any) -> str:
        return "CHAR(10) MASKED WITH (FUNCTION = 'partial(0, \"XXXXXX\", 4)')"


_MASKED = sa.CHAR(10).with_variant(_MaskedText(), "mssql")

_ADOPT = """\
INSERT INTO user_changes (user_id, version, operation, changed, manager_id, changed_at)
SELECT users.user_id, users.version, 'adopted', '', users.manager_id, {adopted_at}
FROM users
INNER JOIN users AS latest ON latest.user_id = users.user_id AND latest.is_active = 1
ORDER BY users.id"""
_COPY_VALUES = """\
INSERT INTO user_change_values (change_id, full_name, mob_num, pan_num, created_at, updated_at)
SELECT user_changes.change_id, users.full_name, users.mob_num, users.pan_num, users.created_at, users.updated_at
FROM user_changes
INNER JOIN users ON users.user_id = user_changes.user_id AND users.version = user_changes.version"""


class _Begin(Executable, ClauseElement):
    """Stores when the log begins."""

    inherit_cache = False


class _Adopt(Executable, ClauseElement):
    """Logs the versions that are there, in the order of their rows."""

    inherit_cache = False


@compiles(_Begin, "sqlite")
def _begin_sqlite(*_: Any, **__: Any) -> str:
    return "INSERT INTO user_logs (id, began_at) VALUES (1, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))"


@compiles(_Begin, "mssql")
def _begin_sql_server(*_: Any, **__: Any) -> str:
    return "INSERT INTO user_logs (id, began_at) VALUES (1, SYSUTCDATETIME())"


@compiles(_Adopt, "sqlite")
def _adopt_sqlite(*_: Any, **__: Any) -> str:
    last = "COALESCE(latest.updated_at, latest.created_at)"  # '2026-01-02T03:04:05.678901Z'
    seconds, micros = f"strftime('%s', substr({last}, 1, 19))", f"substr({last}, 21, 6)"
    adopted = f"({seconds} * 1000000 + {micros} + users.version - latest.version)"
    whole = f"strftime('%Y-%m-%dT%H:%M:%S', {adopted} / 1000000, 'unixepoch')"
    return _ADOPT.format(adopted_at=f"{whole} || printf('.%06dZ', {adopted} % 1000000)")


@compiles(_Adopt, "mssql")
def _adopt_sql_server(*_: Any, **__: Any) -> str:
    last = "COALESCE(latest.updated_at, latest.created_at)"
    return _ADOPT.format(adopted_at=f"DATEADD(MICROSECOND, users.version - latest.version, {last})")


def upgrade() -> None:
    engine = op.get_context().dialect.name
    _create_changes(engine)
    _create_values()
    _create_logs()
    for statement in (_Begin(), _Adopt(), sa.text(_COPY_VALUES)):
        op.execute(statement)


def _create_changes(engine: str) -> None:
    op.create_table(
        "user_changes",
        sa.Column("change_id", RowId, nullable=False),
        sa.Column("user_id", UuidText, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("operation", sa.Unicode(10), nullable=False),
        sa.Column("changed", sa.Unicode(60), nullable=False),
        sa.Column("manager_id", UuidText, nullable=True),
        sa.Column("changed_by", sa.Unicode(400), nullable=True),  # 200 characters of two UTF-16 units each
        sa.Column("changed_at", UtcText, nullable=False),
        sa.PrimaryKeyConstraint("change_id"),
        sqlite_autoincrement=True,
    )
    # Two changes of a user at the same time would be in no order.
    op.create_index("ux_user_changes_user_id", "user_changes", ["user_id", "changed_at"], unique=True)
    if engine == "mssql":
        op.add_column("user_changes", sa.Column("feed_position", RowVersion, nullable=False))
        op.create_index("ux_user_changes_feed_position", "user_changes", ["feed_position"], unique=True)


def _create_values() -> None:
    op.create_table(
        "user_change_values",
        sa.Column("change_id", RowId, nullable=False, autoincrement=False),
        sa.Column("full_name", sa.Unicode(400), nullable=True),
        sa.Column("mob_num", _MASKED, nullable=True),
        sa.Column("pan_num", _MASKED, nullable=True),
        sa.Column("created_at", UtcText, nullable=True),
        sa.Column("updated_at", UtcText, nullable=True),
        sa.Column("reason", sa.Unicode(1000), nullable=True),
        sa.PrimaryKeyConstraint("change_id"),
        sa.ForeignKeyConstraint(["change_id"], ["user_changes.change_id"]),
        sa.CheckConstraint(
            "mob_num NOT LIKE 'X%' AND pan_num NOT LIKE 'XXXXXX%'", name="ck_user_change_values_whole_values"
        ),
    )
    op.create_index("ix_user_change_values_mob_num", "user_change_values", ["mob_num"])  # who held a number


def _create_logs() -> None:
    op.create_table(
        "user_logs",
        sa.Column("id", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("began_at", UtcText, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("id = 1", name="ck_user_logs_one_row"),
    )
