SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Schema of the points service: the same tables and indexes as the models in persistence/points.py.
-- Idempotent: creates what is missing and changes nothing else. Run it with: sqlcmd -b -i 001_schema.sql

-- The grand total, and the ledger's lock: every writer updates this row first. It is one row, put in below.
IF OBJECT_ID(N'dbo.points_ledger', N'U') IS NULL
CREATE TABLE dbo.points_ledger (
    id SMALLINT NOT NULL,
    total BIGINT NOT NULL,
    CONSTRAINT pk_points_ledger PRIMARY KEY CLUSTERED (id),
    CONSTRAINT ck_points_ledger_one_row CHECK (id = 1),
    CONSTRAINT ck_points_ledger_total CHECK (total >= 0)
);
GO

IF NOT EXISTS (SELECT 1 FROM dbo.points_ledger WHERE id = 1)
INSERT INTO dbo.points_ledger (id, total) VALUES (1, 0);
GO

-- One row per payer. Names are compared by their code points, whatever the database's collation: Dannon is not DANNON.
-- NVARCHAR(400): 200 characters of two UTF-16 units each.
IF OBJECT_ID(N'dbo.points_balances', N'U') IS NULL
CREATE TABLE dbo.points_balances (
    id BIGINT NOT NULL IDENTITY(1, 1),
    payer NVARCHAR(400) COLLATE Latin1_General_100_BIN2 NOT NULL,
    total BIGINT NOT NULL,
    outstanding_debit BIGINT NOT NULL,
    CONSTRAINT pk_points_balances PRIMARY KEY CLUSTERED (id),
    CONSTRAINT ck_points_balances_not_below_zero CHECK (total >= 0 AND outstanding_debit >= 0)
);
GO

-- Every transaction, for ever, in the order of arrival. One with points left is a lot.
IF OBJECT_ID(N'dbo.points_transactions', N'U') IS NULL
CREATE TABLE dbo.points_transactions (
    id BIGINT NOT NULL IDENTITY(1, 1),
    transaction_id UNIQUEIDENTIFIER NOT NULL,
    payer_id BIGINT NOT NULL,
    points BIGINT NOT NULL,
    points_left BIGINT NOT NULL,
    occurred_at DATETIME2(6) NOT NULL,
    recorded_at DATETIME2(6) NOT NULL,
    CONSTRAINT pk_points_transactions PRIMARY KEY CLUSTERED (id),
    CONSTRAINT ck_points_transactions_not_below_zero CHECK (points_left >= 0),
    CONSTRAINT fk_points_transactions_payer_id FOREIGN KEY (payer_id) REFERENCES dbo.points_balances (id)
);
GO

-- Who paid what, when: one row per payer and spend, for ever.
IF OBJECT_ID(N'dbo.points_spends', N'U') IS NULL
CREATE TABLE dbo.points_spends (
    id BIGINT NOT NULL IDENTITY(1, 1),
    spend_id UNIQUEIDENTIFIER NOT NULL,
    payer_id BIGINT NOT NULL,
    points BIGINT NOT NULL,
    recorded_at DATETIME2(6) NOT NULL,
    CONSTRAINT pk_points_spends PRIMARY KEY CLUSTERED (id),
    CONSTRAINT fk_points_spends_payer_id FOREIGN KEY (payer_id) REFERENCES dbo.points_balances (id)
);
GO

IF NOT EXISTS (SELECT 1 FROM sys.indexes
               WHERE object_id = OBJECT_ID(N'dbo.points_balances') AND name = N'ux_points_balances_payer')
CREATE UNIQUE INDEX ux_points_balances_payer ON dbo.points_balances (payer);
GO

-- The lots in the order in which spends take them: the server appends the clustered key, the order of arrival.
-- A query must name the predicate as it stands here (points_left > 0), or the server does not use the index.
IF NOT EXISTS (SELECT 1 FROM sys.indexes
               WHERE object_id = OBJECT_ID(N'dbo.points_transactions') AND name = N'ix_points_transactions_lots')
CREATE INDEX ix_points_transactions_lots ON dbo.points_transactions (occurred_at)
INCLUDE (payer_id, points_left) WHERE points_left > 0;
GO
