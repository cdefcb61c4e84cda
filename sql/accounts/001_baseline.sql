SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Generated from persistence/migrations/accounts/accounts_0001_baseline.py by: python -m persistence.migrations
-- Run it with: sqlcmd -b -i 001_baseline.sql. Where it ran before, it does nothing.
--
-- Accounts, sessions, signing keys and failed sign-ins; in an embedded database with accounts to try them with.
--
-- Names are ASCII in lower case. They, hashes and roles are compared by code point, whatever the database's collation. An
-- id is never used again: it is in tokens, and owns stored responses. Sessions go with their account. Failed sign-ins
-- refer to none, because they are counted for names without an account, too.
--
-- A reader of account_keys can sign tokens, but a token is accepted only with a row in account_sessions.

IF SCHEMA_NAME() <> N'dbo'
THROW 50000, N'The default schema of this login is not dbo, where the app finds its tables.', 1;
GO

IF OBJECT_ID(N'dbo.alembic_version', N'U') IS NULL
CREATE TABLE dbo.alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
GO

IF SCHEMA_NAME() = N'dbo' AND NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'accounts[_][0-9][0-9][0-9][0-9]')
BEGIN TRANSACTION;
GO

IF @@TRANCOUNT > 0
CREATE TABLE accounts (
    id BIGINT NOT NULL IDENTITY,
    username NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    password_hash NVARCHAR(200) COLLATE Latin1_General_100_BIN2 NOT NULL,
    role NVARCHAR(10) COLLATE Latin1_General_100_BIN2 NOT NULL,
    is_active BIT NOT NULL,
    is_sample BIT NOT NULL,
    created_at DATETIME2(6) NOT NULL,
    CONSTRAINT pk_accounts PRIMARY KEY (id),
    CONSTRAINT ck_accounts_role CHECK (role IN ('USER', 'ADMIN'))
);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_accounts_username ON accounts (username);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_accounts_admins ON accounts (id) WHERE role = 'ADMIN' AND is_active = 1;
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_accounts_samples ON accounts (id) WHERE is_sample = 1;
GO

IF @@TRANCOUNT > 0
CREATE TABLE account_sessions (
    jti UNIQUEIDENTIFIER NOT NULL,
    account_id BIGINT NOT NULL,
    expires_at DATETIME2(6) NOT NULL,
    CONSTRAINT pk_account_sessions PRIMARY KEY (jti),
    CONSTRAINT fk_account_sessions_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) ON DELETE CASCADE
);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_account_sessions_account_id ON account_sessions (account_id);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_account_sessions_expires_at ON account_sessions (expires_at);
GO

IF @@TRANCOUNT > 0
CREATE TABLE account_failures (
    id BIGINT NOT NULL IDENTITY,
    username NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    failed_at DATETIME2(6) NOT NULL,
    CONSTRAINT pk_account_failures PRIMARY KEY (id)
);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_account_failures_username ON account_failures (username, failed_at);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_account_failures_failed_at ON account_failures (failed_at);
GO

IF @@TRANCOUNT > 0
CREATE TABLE account_keys (
    kid UNIQUEIDENTIFIER NOT NULL,
    secret VARBINARY(max) NOT NULL,
    created_at DATETIME2(6) NOT NULL,
    replaced_at DATETIME2(6) NULL,
    CONSTRAINT pk_account_keys PRIMARY KEY (kid)
);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_account_keys_current ON account_keys (replaced_at) WHERE replaced_at IS NULL;
GO

IF @@TRANCOUNT > 0
INSERT INTO alembic_version (version_num) VALUES ('accounts_0001');
GO

IF @@TRANCOUNT > 0
COMMIT TRANSACTION;
GO
