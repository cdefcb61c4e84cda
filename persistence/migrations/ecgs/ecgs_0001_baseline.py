"""ECGs, one row each.

They go with their account. `leads` and `insights` are JSON that no statement looks into. The signals, of megabytes, are
the last column: SQLite reads a row only as far as it has to. An id is never used again: it is in cursors.
"""

import sqlalchemy as sa
from alembic import op

from persistence.database.types import Blob, RowId, UtcText, UuidText

revision = "ecgs_0001"
down_revision = None
branch_labels = ("ecgs",)


def upgrade() -> None:
    op.create_table(
        "ecgs",
        sa.Column("id", RowId, nullable=False),
        sa.Column("ecg_id", UuidText, nullable=False),
        sa.Column("account_id", RowId, nullable=False),
        sa.Column("recorded_at", UtcText, nullable=False),
        sa.Column("leads", sa.Unicode(), nullable=False),
        sa.Column("insights", sa.Unicode(), nullable=False),
        sa.Column("signals", Blob, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ux_ecgs_ecg_id", "ecgs", ["ecg_id"], unique=True)
    op.create_index("ix_ecgs_account_id", "ecgs", ["account_id", "id"])
