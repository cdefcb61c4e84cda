"""The tables of accounts, their sessions, signing keys and failed sign-ins. Their statements are beside this module."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from sqlalchemy import CheckConstraint, Index, Table, text
from sqlmodel import Field, SQLModel

from persistence.database.types import Blob, RowId, UtcText, UuidText, case_sensitive_text


class AccountRow(SQLModel, table=True):
    """An account. Its `id` is never used again, so that neither a token nor a key of it belongs to another one."""

    __tablename__: ClassVar[str] = "accounts"
    __table_args__: ClassVar[tuple[Any, ...]] = (
        CheckConstraint("role IN ('USER', 'ADMIN')", name="ck_accounts_role"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    username: str = Field(sa_type=case_sensitive_text(64))
    password_hash: str = Field(sa_type=case_sensitive_text(200))
    role: str = Field(sa_type=case_sensitive_text(10))
    is_active: bool
    is_sample: bool
    created_at: str = Field(sa_type=UtcText)


class SessionRow(SQLModel, table=True):
    """The session of a token: without it the token is rejected."""

    __tablename__: ClassVar[str] = "account_sessions"

    jti: str = Field(primary_key=True, sa_type=UuidText)
    account_id: int = Field(foreign_key="accounts.id", ondelete="CASCADE", sa_type=RowId)
    expires_at: str = Field(sa_type=UtcText)


class FailureRow(SQLModel, table=True):
    """A failed sign-in, or one that has not succeeded yet. There need not be an account of this name."""

    __tablename__: ClassVar[str] = "account_failures"

    id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    username: str = Field(sa_type=case_sensitive_text(64))
    failed_at: str = Field(sa_type=UtcText)


class KeyRow(SQLModel, table=True):
    """A key that signs tokens; one is current, the others have been replaced."""

    __tablename__: ClassVar[str] = "account_keys"

    kid: str = Field(primary_key=True, sa_type=UuidText)
    secret: bytes = Field(sa_type=Blob)
    created_at: str = Field(sa_type=UtcText)
    replaced_at: str | None = Field(default=None, sa_type=UtcText)


ACCOUNTS: Final[Table] = SQLModel.metadata.tables["accounts"]
SESSIONS: Final[Table] = SQLModel.metadata.tables["account_sessions"]
FAILURES: Final[Table] = SQLModel.metadata.tables["account_failures"]
KEYS: Final[Table] = SQLModel.metadata.tables["account_keys"]

Index("ux_accounts_username", ACCOUNTS.c.username, unique=True)
for _name, _where in (
    ("ix_accounts_admins", "role = 'ADMIN' AND is_active = 1"),
    ("ix_accounts_samples", "is_sample = 1"),
):
    Index(_name, ACCOUNTS.c.id, sqlite_where=text(_where), mssql_where=text(_where))
Index("ix_account_sessions_account_id", SESSIONS.c.account_id)
Index("ix_account_sessions_expires_at", SESSIONS.c.expires_at)
Index("ix_account_failures_username", FAILURES.c.username, FAILURES.c.failed_at)
Index("ix_account_failures_failed_at", FAILURES.c.failed_at)
# SQL Server's unique indexes have one NULL: one current key. SQLite has one writer, who looks before it inserts.
Index(
    "ux_account_keys_current",
    KEYS.c.replaced_at,
    unique=True,
    sqlite_where=text("replaced_at IS NULL"),
    mssql_where=text("replaced_at IS NULL"),
)
