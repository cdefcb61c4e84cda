"""Accounts, sessions, signing keys and failed sign-ins; in an embedded database with accounts to try them with.

Names are ASCII in lower case. They, hashes and roles are compared by code point, whatever the database's collation. An
id is never used again: it is in tokens, and owns stored responses. Sessions go with their account. Failed sign-ins
refer to none, because they are counted for names without an account, too.

A reader of account_keys can sign tokens, but a token is accepted only with a row in account_sessions.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from persistence.database.types import Blob, RowId, UtcText, UuidText, case_sensitive_text

revision = "accounts_0001"
down_revision = None
branch_labels = ("accounts",)

_SEEDED_AT = "2026-01-01T00:00:00.000000Z"
# Of the public password 123qweasd: argon2id with 19 MiB, 2 passes and 1 lane. sql/accounts/samples.sql has the same.
_PARAMETERS = "$argon2id$v=19$m=19456,t=2,p=1$"
_SAMPLES = (
    ("testuser", "USER", "3k3UKaVw33Qxy26aIRR1NQ$w+HUyJmqwpQI/Kaly07TEFqMZ11ZS0QJNWM5AHrVPRo"),
    ("testuser2", "USER", "AmnuT5IMOL/DM+8u3frjFg$hp4wNNaIHH4F+OePwKPfB4pQ+yLz8d3JxaTqops8Uwk"),
    ("user", "USER", "Lpyyr5kEixW8sKMe2RpmkQ$nRwIono2TzikyTQyamGUyKG05Nuy7V6azoNcZbNirxU"),
    ("user2", "USER", "SyjfNnykQWKolPmKwXWBRw$QeXox1CH8b8XKWOrxIzJzIEEqJr7Mdi+aeidI5qcnBI"),
    ("admin", "ADMIN", "i21SCH8cswDHRSI1bur/2A$5aCDGQI5lNGTFcDl2t5qzGc+fFFxEOgzp+85q8qItvU"),
)


def upgrade() -> None:
    accounts = _create_accounts()
    _create_sessions()
    _create_failures()
    _create_keys()
    context = op.get_context()
    # On SQL Server: sql/accounts/samples.sql, which no command applies.
    if context.dialect.name == "sqlite" and context.config and context.config.attributes.get("samples"):
        op.bulk_insert(accounts, _samples())


def _create_accounts() -> sa.Table:
    accounts = op.create_table(
        "accounts",
        sa.Column("id", RowId, nullable=False),
        sa.Column("username", case_sensitive_text(64), nullable=False),
        sa.Column("password_hash", case_sensitive_text(200), nullable=False),
        sa.Column("role", case_sensitive_text(10), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("is_sample", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcText, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("role IN ('USER', 'ADMIN')", name="ck_accounts_role"),
        sqlite_autoincrement=True,
    )
    op.create_index("ux_accounts_username", "accounts", ["username"], unique=True)
    _create_filtered_index("ix_accounts_admins", "accounts", "id", "role = 'ADMIN' AND is_active = 1")
    _create_filtered_index("ix_accounts_samples", "accounts", "id", "is_sample = 1")
    return accounts


def _create_filtered_index(name: str, table: str, column: str, where: str, *, unique: bool = False) -> None:
    op.create_index(name, table, [column], unique=unique, sqlite_where=sa.text(where), mssql_where=sa.text(where))


def _create_sessions() -> None:
    op.create_table(
        "account_sessions",
        sa.Column("jti", UuidText, nullable=False),
        sa.Column("account_id", RowId, nullable=False),
        sa.Column("expires_at", UtcText, nullable=False),
        sa.PrimaryKeyConstraint("jti"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_account_sessions_account_id", "account_sessions", ["account_id"])
    op.create_index("ix_account_sessions_expires_at", "account_sessions", ["expires_at"])


def _create_failures() -> None:
    op.create_table(
        "account_failures",
        sa.Column("id", RowId, nullable=False),
        sa.Column("username", case_sensitive_text(64), nullable=False),
        sa.Column("failed_at", UtcText, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_account_failures_username", "account_failures", ["username", "failed_at"])
    op.create_index("ix_account_failures_failed_at", "account_failures", ["failed_at"])


def _create_keys() -> None:
    op.create_table(
        "account_keys",
        sa.Column("kid", UuidText, nullable=False),
        sa.Column("secret", Blob, nullable=False),
        sa.Column("created_at", UtcText, nullable=False),
        sa.Column("replaced_at", UtcText, nullable=True),
        sa.PrimaryKeyConstraint("kid"),
    )
    # SQL Server's unique indexes have one NULL: one current key. SQLite has one writer, who looks before it inserts.
    _create_filtered_index("ux_account_keys_current", "account_keys", "replaced_at", "replaced_at IS NULL", unique=True)


def _samples() -> list[dict[str, Any]]:
    return [
        {
            "username": username,
            "password_hash": _PARAMETERS + salt_and_hash,
            "role": role,
            "is_active": True,
            "is_sample": True,
            "created_at": _SEEDED_AT,
        }
        for username, role, salt_and_hash in _SAMPLES
    ]
