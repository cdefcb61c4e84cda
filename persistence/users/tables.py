"""The tables of the users service: managers, the versions of users, and the log of changes."""

from __future__ import annotations

from typing import ClassVar, Final

from sqlalchemy import (
    CHAR,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Unicode,
    text,
)
from sqlmodel import Field, SQLModel

from persistence.database.types import RowId, RowVersion, UtcText, UuidText


class ManagerRow(SQLModel, table=True):
    """A manager that users can be assigned to."""

    __tablename__: ClassVar[str] = "managers"

    manager_id: str = Field(primary_key=True, sa_type=UuidText)
    full_name: str = Field(sa_type=Unicode(400))  # UTF-16 units: twice the limit in code points
    is_active: bool
    created_at: str = Field(sa_type=UtcText)
    updated_at: str | None = Field(default=None, sa_type=UtcText)


class UserRow(SQLModel, table=True):
    """One version of a user."""

    __tablename__: ClassVar[str] = "users"
    # SQL Server returns such masks to users without the permission UNMASK: a masked value must never be stored.
    __table_args__: ClassVar[tuple[CheckConstraint]] = (
        CheckConstraint("mob_num NOT LIKE 'X%' AND pan_num NOT LIKE 'XXXXXX%'", name="ck_users_whole_values"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    user_id: str = Field(sa_type=UuidText)
    version: int
    manager_id: str | None = Field(default=None, foreign_key="managers.manager_id", sa_type=UuidText)
    full_name: str = Field(sa_type=Unicode(400))
    mob_num: str = Field(sa_type=CHAR(10))
    pan_num: str = Field(sa_type=CHAR(10))
    created_at: str = Field(sa_type=UtcText)
    updated_at: str | None = Field(default=None, sa_type=UtcText)
    is_active: bool


USERS: Final[Table] = SQLModel.metadata.tables["users"]
MANAGERS: Final[Table] = SQLModel.metadata.tables["managers"]


def _filtered_index(name: str, column: str, where: str, *, unique: bool) -> None:
    Index(name, USERS.c[column], unique=unique, sqlite_where=text(where), mssql_where=text(where))


# Every index makes writes slower, so each holds only the rows that queries seek in it.
_filtered_index("ux_users_current_user_id", "user_id", "is_active = 1", unique=True)
_filtered_index("ux_users_current_mob_num", "mob_num", "is_active = 1", unique=True)
_filtered_index("ix_users_superseded_user_id", "user_id", "is_active = 0", unique=False)
# Both engines append the row's key, so these indexes have the order of a list: created_at, then id.
Index("ix_users_manager_id", USERS.c.manager_id, USERS.c.created_at)
Index("ix_users_created_at", USERS.c.created_at)


CHANGES: Final = Table(
    "user_changes",
    SQLModel.metadata,
    Column("change_id", RowId, primary_key=True),
    Column("user_id", UuidText, nullable=False),
    Column("version", Integer, nullable=False),
    Column("operation", Unicode(10), nullable=False),
    Column("changed", Unicode(60), nullable=False),
    Column("manager_id", UuidText),
    Column("changed_by", Unicode(400)),  # UTF-16 units: twice the limit
    Column("changed_at", UtcText, nullable=False),
    Column("feed_position", RowVersion, system=True, nullable=False),
    sqlite_autoincrement=True,
)
"""The log of changes, which outlasts users and has none of their data. Rows are only inserted: an UPDATE would move a
row to the end of the feed.

`changed` has the names of columns, joined by commas. `feed_position` exists on SQL Server alone, which generates it.
"""
Index("ux_user_changes_user_id", CHANGES.c.user_id, CHANGES.c.changed_at, unique=True)
Index("ux_user_changes_feed_position", CHANGES.c.feed_position, unique=True).ddl_if(dialect="mssql")

VALUES: Final = Table(
    "user_change_values",
    SQLModel.metadata,
    Column("change_id", RowId, ForeignKey("user_changes.change_id"), primary_key=True, autoincrement=False),
    Column("full_name", Unicode(400)),
    Column("mob_num", CHAR(10)),
    Column("pan_num", CHAR(10)),
    Column("created_at", UtcText),
    Column("updated_at", UtcText),
    Column("reason", Unicode(1000)),
    CheckConstraint("mob_num NOT LIKE 'X%' AND pan_num NOT LIKE 'XXXXXX%'", name="ck_user_change_values_whole_values"),
)
"""What a user was after a change, and the reason of the change. These rows go with their user; only the reason of the
deletion stays.
"""
Index("ix_user_change_values_mob_num", VALUES.c.mob_num)

USER_VALUES: Final = ("full_name", "mob_num", "pan_num", "created_at", "updated_at")
"""The columns that the log copies from the current version of a user."""

LOGS: Final = Table(
    "user_logs",
    SQLModel.metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("began_at", UtcText, nullable=False),
    CheckConstraint("id = 1", name="ck_user_logs_one_row"),
)
"""When the log of changes began: one row, which the schema creates."""
