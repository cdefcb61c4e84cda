"""The tables of accounts, their sessions, signing keys and failed sign-ins. Their statements are beside this module."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Table, text
from sqlmodel import SQLModel

from persistence.database.types import Blob, RowId, UtcText, UuidText, case_sensitive_text

# Tables and not classes, which nothing here would use: a class costs 3 ms of every cold start, a table 0.2.

ACCOUNTS: Final = Table(
    "accounts",
    SQLModel.metadata,
    Column("id", RowId, primary_key=True),  # never used again: neither a token nor a key belongs to another account
    Column("username", case_sensitive_text(64), nullable=False),
    Column("password_hash", case_sensitive_text(200), nullable=False),
    Column("role", case_sensitive_text(10), nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("is_sample", Boolean, nullable=False),
    Column("created_at", UtcText, nullable=False),
    CheckConstraint("role IN ('USER', 'ADMIN')", name="ck_accounts_role"),
    sqlite_autoincrement=True,
)

SESSIONS: Final = Table(
    "account_sessions",
    SQLModel.metadata,
    Column("jti", UuidText, primary_key=True),
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("expires_at", UtcText, nullable=False),
)
"""The sessions of tokens: a token without its session is rejected."""

FAILURES: Final = Table(
    "account_failures",
    SQLModel.metadata,
    Column("id", RowId, primary_key=True),
    Column("username", case_sensitive_text(64), nullable=False),
    Column("failed_at", UtcText, nullable=False),
)
"""Failed sign-ins, and those that have not succeeded yet. There need not be an account of such a name."""

KEYS: Final = Table(
    "account_keys",
    SQLModel.metadata,
    Column("kid", UuidText, primary_key=True),
    Column("secret", Blob, nullable=False),
    Column("created_at", UtcText, nullable=False),
    Column("replaced_at", UtcText),
)
"""The keys that sign tokens: one is current, the others have been replaced."""

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
