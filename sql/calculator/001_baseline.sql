SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Generated from persistence/migrations/calculator/calculator_0001_baseline.py by: python -m persistence.migrations
-- Run it with: sqlcmd -b -i 001_baseline.sql. Where it ran before, it does nothing.
--
-- Balances and records of the calculator; in an embedded database with records of the sample accounts.
--
-- An account's records go with its balance, and its balance with the account. Responses are compared by code point. On SQL
-- Server the records are clustered by account, deletion and id: a change of all later records of an account is a range
-- that has no row of another one. Its locks are never escalated to the whole table, which would block other accounts:
-- 100,000 of them are 10 MB (learn.microsoft.com/sql/t-sql/statements/alter-table-transact-sql, LOCK_ESCALATION).

IF SCHEMA_NAME() <> N'dbo'
THROW 50000, N'The default schema of this login is not dbo, where the app finds its tables.', 1;
GO

IF OBJECT_ID(N'dbo.alembic_version', N'U') IS NULL
CREATE TABLE dbo.alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
GO

IF SCHEMA_NAME() = N'dbo' AND NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'calculator[_][0-9][0-9][0-9][0-9]')
BEGIN TRANSACTION;
GO

IF @@TRANCOUNT > 0
CREATE TABLE calculator_balances (
    account_id BIGINT NOT NULL,
    balance BIGINT NOT NULL,
    granted BIGINT NOT NULL,
    records BIGINT NOT NULL,
    CONSTRAINT pk_calculator_balances PRIMARY KEY (account_id),
    CONSTRAINT ck_calculator_balances_balance CHECK (balance >= 0),
    CONSTRAINT fk_calculator_balances_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);
GO

IF @@TRANCOUNT > 0
CREATE TABLE calculator_records (
    id BIGINT NOT NULL IDENTITY,
    account_id BIGINT NOT NULL,
    operation_id SMALLINT NOT NULL,
    amount INTEGER NOT NULL,
    user_balance BIGINT NOT NULL,
    operation_response NVARCHAR(230) COLLATE Latin1_General_100_BIN2 NOT NULL,
    created_at DATETIME2(6) NOT NULL,
    deleted_at DATETIME2(6) NULL,
    CONSTRAINT pk_calculator_records PRIMARY KEY NONCLUSTERED (id),
    CONSTRAINT fk_calculator_records_account_id FOREIGN KEY(account_id) REFERENCES calculator_balances (account_id) ON DELETE CASCADE
);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE CLUSTERED INDEX ux_calculator_records_account ON calculator_records (account_id, deleted_at, id);
GO

IF @@TRANCOUNT > 0
ALTER TABLE calculator_records SET (LOCK_ESCALATION = DISABLE);
GO

IF @@TRANCOUNT > 0
INSERT INTO alembic_version (version_num) VALUES ('calculator_0001');
GO

IF @@TRANCOUNT > 0
COMMIT TRANSACTION;
GO
