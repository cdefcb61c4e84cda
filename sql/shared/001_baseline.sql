SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Generated from persistence/migrations/shared/shared_0001_baseline.py by: python -m persistence.migrations
-- Run it with: sqlcmd -b -i 001_baseline.sql. Where it ran before, it does nothing.
--
-- Idempotency keys, as release 0.1.0 had them.
--
-- Names and keys are compared by code point, whatever the database's collation. SQL Server's clustered key increases:
-- callers' keys are random and would fragment the table.

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
IF NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'shared[_][0-9][0-9][0-9][0-9]')
AND 1 = (SELECT COUNT(*) FROM sys.tables WHERE object_id IN (OBJECT_ID(N'dbo.idempotency_keys', N'U')))
AND 2 = (SELECT COUNT(*) FROM sys.indexes WHERE object_id IN (OBJECT_ID(N'dbo.idempotency_keys', N'U'))
         AND name IN (N'ux_idempotency_keys_key', N'ix_idempotency_keys_created_at'))
INSERT INTO alembic_version (version_num) VALUES ('shared_0001');
GO

IF SCHEMA_NAME() = N'dbo' AND NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'shared[_][0-9][0-9][0-9][0-9]')
BEGIN TRANSACTION;
GO

IF @@TRANCOUNT > 0
CREATE TABLE idempotency_keys (
    id BIGINT NOT NULL IDENTITY,
    trigger_name NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NOT NULL,
    idempotency_key NVARCHAR(255) COLLATE Latin1_General_100_BIN2 NOT NULL,
    request_hash CHAR(64) NOT NULL,
    status INTEGER NULL,
    body VARBINARY(max) NULL,
    created_at DATETIME2(6) NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (id)
);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_idempotency_keys_key ON idempotency_keys (trigger_name, idempotency_key);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at);
GO

IF @@TRANCOUNT > 0
INSERT INTO alembic_version (version_num) VALUES ('shared_0001');
GO

IF @@TRANCOUNT > 0
COMMIT TRANSACTION;
GO
