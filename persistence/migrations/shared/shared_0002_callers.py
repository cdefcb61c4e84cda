"""Idempotency keys belong to a caller, and a stored response keeps its media type and headers.

All columns are nullable: the previous release inserts rows without them. Its keys stay unique on SQL Server, where a
unique index has one NULL; SQLite has one writer at a time, who looks before it inserts.
"""

import sqlalchemy as sa
from alembic import op

from persistence.database.types import case_sensitive_text

revision = "shared_0002"
down_revision = "shared_0001"


def upgrade() -> None:
    op.add_column("idempotency_keys", sa.Column("caller", case_sensitive_text(100), nullable=True))
    op.add_column("idempotency_keys", sa.Column("call_hash", sa.CHAR(64), nullable=True))
    op.add_column("idempotency_keys", sa.Column("media_type", sa.Unicode(100), nullable=True))
    op.add_column("idempotency_keys", sa.Column("headers", sa.Unicode(), nullable=True))
    op.drop_index("ux_idempotency_keys_key", "idempotency_keys")
    op.create_index(
        "ux_idempotency_keys_key", "idempotency_keys", ["trigger_name", "idempotency_key", "caller"], unique=True
    )
    op.create_index("ix_idempotency_keys_caller", "idempotency_keys", ["caller"])  # an account's keys go with it
