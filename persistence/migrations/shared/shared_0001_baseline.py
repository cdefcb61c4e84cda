"""Idempotency keys, as release 0.1.0 had them.

Names and keys are compared by code point, whatever the database's collation. SQL Server's clustered key increases:
callers' keys are random and would fragment the table.
"""

import sqlalchemy as sa
from alembic import op

from persistence.database.types import Blob, RowId, UtcText, case_sensitive_text

revision = "shared_0001"
down_revision = None
branch_labels = ("shared",)


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("id", RowId, nullable=False),
        sa.Column("trigger_name", case_sensitive_text(100), nullable=False),
        sa.Column("idempotency_key", case_sensitive_text(255), nullable=False),
        sa.Column("request_hash", sa.CHAR(64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", Blob, nullable=True),
        sa.Column("created_at", UtcText, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ux_idempotency_keys_key", "idempotency_keys", ["trigger_name", "idempotency_key"], unique=True)
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])  # of the expired
