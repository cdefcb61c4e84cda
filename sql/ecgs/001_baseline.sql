SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Generated from persistence/migrations/ecgs/ecgs_0001_baseline.py by: python -m persistence.migrations
-- Run it with: sqlcmd -b -i 001_baseline.sql. Where it ran before, it does nothing.
--
-- ECGs, one row each.
--
-- They go with their account. `leads` and `insights` are JSON that no statement looks into. The signals, of megabytes, are
-- the last column: SQLite reads a row only as far as it has to. An id is never used again: it is in cursors.

IF SCHEMA_NAME() <> N'dbo'
THROW 50000, N'The default schema of this login is not dbo, where the app finds its tables.', 1;
GO

IF OBJECT_ID(N'dbo.alembic_version', N'U') IS NULL
CREATE TABLE dbo.alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
GO

IF SCHEMA_NAME() = N'dbo' AND NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'ecgs[_][0-9][0-9][0-9][0-9]')
BEGIN TRANSACTION;
GO

IF @@TRANCOUNT > 0
CREATE TABLE ecgs (
    id BIGINT NOT NULL IDENTITY,
    ecg_id UNIQUEIDENTIFIER NOT NULL,
    account_id BIGINT NOT NULL,
    recorded_at DATETIME2(6) NOT NULL,
    leads NVARCHAR(max) NOT NULL,
    insights NVARCHAR(max) NOT NULL,
    signals VARBINARY(max) NOT NULL,
    CONSTRAINT pk_ecgs PRIMARY KEY (id),
    CONSTRAINT fk_ecgs_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_ecgs_ecg_id ON ecgs (ecg_id);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_ecgs_account_id ON ecgs (account_id, id);
GO

IF @@TRANCOUNT > 0
INSERT INTO alembic_version (version_num) VALUES ('ecgs_0001');
GO

IF @@TRANCOUNT > 0
COMMIT TRANSACTION;
GO
