SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Generated from persistence/migrations/shared/shared_0003_stored_users.py by: python -m persistence.migrations
-- Run it with: sqlcmd -b -i 003_stored_users.sql. Where it ran before, it does nothing.
--
-- Stored responses with personal data of users are found by user, and erased when one of them is deleted.
--
-- There are none yet: the endpoints of users took no idempotency keys. A key takes its rows with it, also where the
-- previous release deletes the key.

IF SCHEMA_NAME() <> N'dbo'
THROW 50000, N'The default schema of this login is not dbo, where the app finds its tables.', 1;
GO

IF NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'shared[_][0-9][0-9][0-9][0-9]' AND version_num >= 'shared_0002')
THROW 50000, N'shared_0002 comes before shared_0003.', 1;
GO

IF SCHEMA_NAME() = N'dbo' AND EXISTS (SELECT 1 FROM alembic_version WHERE version_num = 'shared_0002')
BEGIN TRANSACTION;
GO

IF @@TRANCOUNT > 0
CREATE TABLE stored_response_users (
    key_id BIGINT NOT NULL,
    user_id UNIQUEIDENTIFIER NOT NULL,
    CONSTRAINT pk_stored_response_users PRIMARY KEY (key_id, user_id),
    CONSTRAINT fk_stored_response_users_key_id FOREIGN KEY(key_id) REFERENCES idempotency_keys (id) ON DELETE CASCADE
);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_stored_response_users_user_id ON stored_response_users (user_id);
GO

IF @@TRANCOUNT > 0
UPDATE alembic_version SET version_num='shared_0003' WHERE alembic_version.version_num = 'shared_0002';
GO

IF @@TRANCOUNT > 0
COMMIT TRANSACTION;
GO
