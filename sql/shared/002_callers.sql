SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Generated from persistence/migrations/shared/shared_0002_callers.py by: python -m persistence.migrations
-- Run it with: sqlcmd -b -i 002_callers.sql. Where it ran before, it does nothing.
--
-- Idempotency keys belong to a caller, and a stored response keeps its media type and headers.
--
-- All columns are nullable: the previous release inserts rows without them. Its keys stay unique on SQL Server, where a
-- unique index has one NULL; SQLite has one writer at a time, who looks before it inserts.

IF SCHEMA_NAME() <> N'dbo'
THROW 50000, N'The default schema of this login is not dbo, where the app finds its tables.', 1;
GO

IF NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'shared[_][0-9][0-9][0-9][0-9]' AND version_num >= 'shared_0001')
THROW 50000, N'shared_0001 comes before shared_0002.', 1;
GO

IF SCHEMA_NAME() = N'dbo' AND EXISTS (SELECT 1 FROM alembic_version WHERE version_num = 'shared_0001')
BEGIN TRANSACTION;
GO

IF @@TRANCOUNT > 0
ALTER TABLE idempotency_keys ADD caller NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL;
GO

IF @@TRANCOUNT > 0
ALTER TABLE idempotency_keys ADD call_hash CHAR(64) NULL;
GO

IF @@TRANCOUNT > 0
ALTER TABLE idempotency_keys ADD media_type NVARCHAR(100) NULL;
GO

IF @@TRANCOUNT > 0
ALTER TABLE idempotency_keys ADD headers NVARCHAR(max) NULL;
GO

IF @@TRANCOUNT > 0
DROP INDEX ux_idempotency_keys_key ON idempotency_keys;
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_idempotency_keys_key ON idempotency_keys (trigger_name, idempotency_key, caller);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_idempotency_keys_caller ON idempotency_keys (caller);
GO

IF @@TRANCOUNT > 0
UPDATE alembic_version SET version_num='shared_0002' WHERE alembic_version.version_num = 'shared_0001';
GO

IF @@TRANCOUNT > 0
COMMIT TRANSACTION;
GO
