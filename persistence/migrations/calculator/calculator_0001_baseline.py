"""Balances and records of the calculator; in an embedded database with records of the sample accounts.

An account's records go with its balance, and its balance with the account. Responses are compared by code point. On SQL
Server the records are clustered by account, deletion and id: a change of all later records of an account is a range
that has no row of another one. Its locks are never escalated to the whole table, which would block other accounts:
100,000 of them are 10 MB (learn.microsoft.com/sql/t-sql/statements/alter-table-transact-sql, LOCK_ESCALATION).
"""

import sqlalchemy as sa
from alembic import op

from persistence.database.types import RowId, UtcText, case_sensitive_text

revision = "calculator_0001"
down_revision = None
branch_labels = ("calculator",)


def upgrade() -> None:
    _create_balances()
    _create_records()
    op.create_index(
        "ux_calculator_records_account",
        "calculator_records",
        ["account_id", "deleted_at", "id"],
        unique=True,
        mssql_clustered=True,
    )
    context = op.get_context()
    if context.dialect.name == "sqlite" and context.config and context.config.attributes.get("samples"):
        for statement in _SAMPLES:  # sql/calculator/samples.sql has the same
            op.execute(statement)
    if context.dialect.name == "mssql":
        op.execute("ALTER TABLE calculator_records SET (LOCK_ESCALATION = DISABLE)")


def _create_balances() -> None:
    op.create_table(
        "calculator_balances",
        sa.Column("account_id", RowId, autoincrement=False, nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id"),
        sa.CheckConstraint("balance >= 0", name="ck_calculator_balances_balance"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
    )


def _create_records() -> None:
    op.create_table(
        "calculator_records",
        sa.Column("id", RowId, nullable=False),
        sa.Column("account_id", RowId, nullable=False),
        sa.Column("operation_id", sa.SmallInteger(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("user_balance", sa.BigInteger(), nullable=False),
        sa.Column("operation_response", case_sensitive_text(230), nullable=False),
        sa.Column("created_at", UtcText, nullable=False),
        sa.Column("deleted_at", UtcText, nullable=True),
        sa.PrimaryKeyConstraint("id", mssql_clustered=False),
        sa.ForeignKeyConstraint(["account_id"], ["calculator_balances.account_id"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )


# testuser: granted 10,000, and 1,100 records of the six operations in turn, 28 credits for all six. testuser2: 833
# additions. A balance with records, of which there are none yet, is one that the statement before inserted.
_SAMPLES = (
    """\
INSERT INTO calculator_balances (account_id, balance, granted, records)
SELECT accounts.id, 7370, 10000, 1100 FROM accounts
WHERE accounts.username = 'testuser' AND accounts.is_sample = 1
AND NOT EXISTS (SELECT 1 FROM calculator_balances AS present WHERE present.account_id = accounts.id)""",
    """\
WITH digits AS (
    SELECT 0 AS digit UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
), rounds AS (
    SELECT 100 * hundreds.digit + 10 * tens.digit + units.digit AS number
    FROM digits AS hundreds JOIN digits AS tens ON 1 = 1 JOIN digits AS units ON 1 = 1
), operations AS (
    SELECT 1 AS id, 3 AS amount, 3 AS spent, '0.3' AS response
    UNION ALL SELECT 2, 3, 6, '-1'
    UNION ALL SELECT 3, 5, 11, '42'
    UNION ALL SELECT 4, 5, 16, '0.3333333333333333333333333333'
    UNION ALL SELECT 5, 4, 20, '1.414213562373095048801688724'
    UNION ALL SELECT 6, 8, 28, 'k3Pz9QxA'
)
INSERT INTO calculator_records (account_id, operation_id, amount, user_balance, operation_response, created_at)
SELECT accounts.id, operations.id, operations.amount, 12500 - 28 * rounds.number - operations.spent,
       operations.response, accounts.created_at
FROM accounts
JOIN calculator_balances ON calculator_balances.account_id = accounts.id AND calculator_balances.records = 1100
JOIN rounds ON 1 = 1
JOIN operations ON 6 * rounds.number + operations.id <= 1100
WHERE accounts.username = 'testuser'
AND NOT EXISTS (SELECT 1 FROM calculator_records AS present WHERE present.account_id = accounts.id)
ORDER BY rounds.number, operations.id""",
    """\
INSERT INTO calculator_balances (account_id, balance, granted, records)
SELECT accounts.id, 1, 0, 833 FROM accounts
WHERE accounts.username = 'testuser2' AND accounts.is_sample = 1
AND NOT EXISTS (SELECT 1 FROM calculator_balances AS present WHERE present.account_id = accounts.id)""",
    """\
WITH digits AS (
    SELECT 0 AS digit UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
), numbers AS (
    SELECT 100 * hundreds.digit + 10 * tens.digit + units.digit + 1 AS number
    FROM digits AS hundreds JOIN digits AS tens ON 1 = 1 JOIN digits AS units ON 1 = 1
)
INSERT INTO calculator_records (account_id, operation_id, amount, user_balance, operation_response, created_at)
SELECT accounts.id, 1, 3, 2500 - 3 * numbers.number, CAST(numbers.number AS NVARCHAR(10)), accounts.created_at
FROM accounts
JOIN calculator_balances ON calculator_balances.account_id = accounts.id AND calculator_balances.records = 833
JOIN numbers ON numbers.number <= 833
WHERE accounts.username = 'testuser2'
AND NOT EXISTS (SELECT 1 FROM calculator_records AS present WHERE present.account_id = accounts.id)
ORDER BY numbers.number""",
)
