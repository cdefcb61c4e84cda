SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Generated from persistence/migrations/points/points_0001_baseline.py by: python -m persistence.migrations
-- Run it with: sqlcmd -b -i 001_baseline.sql. Where it ran before, it does nothing.
--
-- The points ledger, as release 0.1.0 had it.
--
-- points_ledger has one row: the grand total, and the lock that every writer takes first. Payers are compared by code
-- point, whatever the database's collation: Dannon is not DANNON. Transactions and spends are kept for ever.

IF SCHEMA_NAME() <> N'dbo'
THROW 50000, N'The default schema of this login is not dbo, where the app finds its tables.', 1;
GO

IF OBJECT_ID(N'dbo.alembic_version', N'U') IS NULL
CREATE TABLE dbo.alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
GO

-- Release 0.1.0 had no migrations: what it made is recorded.
IF NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'points[_][0-9][0-9][0-9][0-9]')
AND 4 = (SELECT COUNT(*) FROM sys.tables WHERE object_id IN (OBJECT_ID(N'dbo.points_ledger', N'U'), OBJECT_ID(N'dbo.points_balances', N'U'), OBJECT_ID(N'dbo.points_transactions', N'U'), OBJECT_ID(N'dbo.points_spends', N'U')))
AND 2 = (SELECT COUNT(*) FROM sys.indexes WHERE object_id IN (OBJECT_ID(N'dbo.points_ledger', N'U'), OBJECT_ID(N'dbo.points_balances', N'U'), OBJECT_ID(N'dbo.points_transactions', N'U'), OBJECT_ID(N'dbo.points_spends', N'U'))
         AND name IN (N'ux_points_balances_payer', N'ix_points_transactions_lots'))
INSERT INTO alembic_version (version_num) VALUES ('points_0001');
GO

IF SCHEMA_NAME() = N'dbo' AND NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'points[_][0-9][0-9][0-9][0-9]')
BEGIN TRANSACTION;
GO

IF @@TRANCOUNT > 0
CREATE TABLE points_ledger (
    id SMALLINT NOT NULL,
    total BIGINT NOT NULL,
    CONSTRAINT pk_points_ledger PRIMARY KEY (id),
    CONSTRAINT ck_points_ledger_one_row CHECK (id = 1),
    CONSTRAINT ck_points_ledger_total CHECK (total >= 0)
);
GO

IF @@TRANCOUNT > 0
EXEC (N'INSERT INTO points_ledger (id, total) VALUES (1, 0)');
GO

IF @@TRANCOUNT > 0
CREATE TABLE points_balances (
    id BIGINT NOT NULL IDENTITY,
    payer NVARCHAR(400) COLLATE Latin1_General_100_BIN2 NOT NULL,
    total BIGINT NOT NULL,
    outstanding_debit BIGINT NOT NULL,
    CONSTRAINT pk_points_balances PRIMARY KEY (id),
    CONSTRAINT ck_points_balances_not_below_zero CHECK (total >= 0 AND outstanding_debit >= 0)
);
GO

IF @@TRANCOUNT > 0
CREATE TABLE points_transactions (
    id BIGINT NOT NULL IDENTITY,
    transaction_id UNIQUEIDENTIFIER NOT NULL,
    payer_id BIGINT NOT NULL,
    points BIGINT NOT NULL,
    points_left BIGINT NOT NULL,
    occurred_at DATETIME2(6) NOT NULL,
    recorded_at DATETIME2(6) NOT NULL,
    CONSTRAINT pk_points_transactions PRIMARY KEY (id),
    CONSTRAINT ck_points_transactions_not_below_zero CHECK (points_left >= 0),
    CONSTRAINT fk_points_transactions_payer_id FOREIGN KEY(payer_id) REFERENCES points_balances (id)
);
GO

IF @@TRANCOUNT > 0
CREATE TABLE points_spends (
    id BIGINT NOT NULL IDENTITY,
    spend_id UNIQUEIDENTIFIER NOT NULL,
    payer_id BIGINT NOT NULL,
    points BIGINT NOT NULL,
    recorded_at DATETIME2(6) NOT NULL,
    CONSTRAINT pk_points_spends PRIMARY KEY (id),
    CONSTRAINT fk_points_spends_payer_id FOREIGN KEY(payer_id) REFERENCES points_balances (id)
);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_points_balances_payer ON points_balances (payer);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_points_transactions_lots ON points_transactions (occurred_at) INCLUDE (payer_id, points_left) WHERE points_left > 0;
GO

IF @@TRANCOUNT > 0
INSERT INTO alembic_version (version_num) VALUES ('points_0001');
GO

IF @@TRANCOUNT > 0
COMMIT TRANSACTION;
GO
