SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Generated from persistence/migrations/users/users_0001_baseline.py by: python -m persistence.migrations
-- Run it with: sqlcmd -b -i 001_baseline.sql. Where it ran before, it does nothing.
--
-- Managers and the versions of users, as release 0.1.0 had them; in an embedded database with managers to try it with.
--
-- NVARCHAR counts UTF-16 units, the rule for names (at most 200) counts code points: hence twice the limit. DATETIME2
-- holds UTC without a time zone. The clustered key of users increases, because random GUIDs (user_id) would fragment the
-- table, and is narrow, because every other index contains it. That of managers may be a GUID: they are few, and found by
-- it alone.
--
-- Readers without the permission UNMASK see mob_num and pan_num masked, from the beginning: a mask cannot be added to a
-- column that an index or a CHECK depends on. The CHECK keeps what such a reader sees from being written back.

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
IF NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'users[_][0-9][0-9][0-9][0-9]')
AND 2 = (SELECT COUNT(*) FROM sys.tables WHERE object_id IN (OBJECT_ID(N'dbo.managers', N'U'), OBJECT_ID(N'dbo.users', N'U')))
AND 5 = (SELECT COUNT(*) FROM sys.indexes WHERE object_id IN (OBJECT_ID(N'dbo.managers', N'U'), OBJECT_ID(N'dbo.users', N'U'))
         AND name IN (N'ux_users_current_user_id', N'ux_users_current_mob_num', N'ix_users_superseded_user_id', N'ix_users_manager_id', N'ix_users_created_at'))
INSERT INTO alembic_version (version_num) VALUES ('users_0001');
GO

IF SCHEMA_NAME() = N'dbo' AND NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'users[_][0-9][0-9][0-9][0-9]')
BEGIN TRANSACTION;
GO

IF @@TRANCOUNT > 0
CREATE TABLE managers (
    manager_id UNIQUEIDENTIFIER NOT NULL,
    full_name NVARCHAR(400) NOT NULL,
    is_active BIT NOT NULL,
    created_at DATETIME2(6) NOT NULL,
    updated_at DATETIME2(6) NULL,
    CONSTRAINT pk_managers PRIMARY KEY (manager_id)
);
GO

IF @@TRANCOUNT > 0
CREATE TABLE users (
    id BIGINT NOT NULL IDENTITY,
    user_id UNIQUEIDENTIFIER NOT NULL,
    version INTEGER NOT NULL,
    manager_id UNIQUEIDENTIFIER NULL,
    full_name NVARCHAR(400) NOT NULL,
    mob_num CHAR(10) MASKED WITH (FUNCTION = 'partial(0, "XXXXXX", 4)') NOT NULL,
    pan_num CHAR(10) MASKED WITH (FUNCTION = 'partial(0, "XXXXXX", 4)') NOT NULL,
    created_at DATETIME2(6) NOT NULL,
    updated_at DATETIME2(6) NULL,
    is_active BIT NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT ck_users_whole_values CHECK (mob_num NOT LIKE 'X%' AND pan_num NOT LIKE 'XXXXXX%'),
    CONSTRAINT fk_users_manager_id FOREIGN KEY(manager_id) REFERENCES managers (manager_id)
);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_users_current_user_id ON users (user_id) WHERE is_active = 1;
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_users_current_mob_num ON users (mob_num) WHERE is_active = 1;
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_users_superseded_user_id ON users (user_id) WHERE is_active = 0;
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_users_manager_id ON users (manager_id, created_at);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_users_created_at ON users (created_at);
GO

IF @@TRANCOUNT > 0
INSERT INTO alembic_version (version_num) VALUES ('users_0001');
GO

IF @@TRANCOUNT > 0
COMMIT TRANSACTION;
GO
