SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Schema of what all services share: the same as the models in persistence/idempotency.py.
-- Idempotent: creates what is missing and changes nothing else. Run it with: sqlcmd -b -i 001_schema.sql

-- What was answered under an Idempotency-Key. Names and keys are compared exactly, whatever the database's collation.
-- The clustered key increases: callers' keys are random and would fragment the table.
IF OBJECT_ID(N'dbo.idempotency_keys', N'U') IS NULL
CREATE TABLE dbo.idempotency_keys (
    id BIGINT NOT NULL IDENTITY(1, 1),
    trigger_name NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NOT NULL,
    idempotency_key NVARCHAR(255) COLLATE Latin1_General_100_BIN2 NOT NULL,
    request_hash CHAR(64) NOT NULL,
    status INT NULL,
    body VARBINARY(MAX) NULL,
    created_at DATETIME2(6) NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY CLUSTERED (id)
);
GO

IF NOT EXISTS (SELECT 1 FROM sys.indexes
               WHERE object_id = OBJECT_ID(N'dbo.idempotency_keys') AND name = N'ux_idempotency_keys_key')
CREATE UNIQUE INDEX ux_idempotency_keys_key ON dbo.idempotency_keys (trigger_name, idempotency_key);
GO

-- Expired keys are removed oldest first.
IF NOT EXISTS (SELECT 1 FROM sys.indexes
               WHERE object_id = OBJECT_ID(N'dbo.idempotency_keys') AND name = N'ix_idempotency_keys_created_at')
CREATE INDEX ix_idempotency_keys_created_at ON dbo.idempotency_keys (created_at);
GO
