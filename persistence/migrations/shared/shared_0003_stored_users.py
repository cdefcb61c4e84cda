"""Stored responses with personal data of users are found by user, and erased when one of them is deleted.

There are none yet: the endpoints of users took no idempotency keys. A key takes its rows with it, also where the
previous release deletes the key.
"""

import sqlalchemy as sa
from alembic import op

from persistence.database.types import RowId, UuidText

revision = "shared_0003"
down_revision = "shared_0002"


def upgrade() -> None:
    op.create_table(
        "stored_response_users",
        sa.Column("key_id", RowId, nullable=False),
        sa.Column("user_id", UuidText, nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["idempotency_keys.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key_id", "user_id"),
    )
    op.create_index("ix_stored_response_users_user_id", "stored_response_users", ["user_id"])
