SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Tables and indexes of the users service: SQL Server 2019 and later, Azure SQL.
-- Idempotent: whatever exists is left as it is. Run it with: sqlcmd -b -i 001_schema.sql
-- persistence/users.py describes the same tables; tests/persistence/test_schema.py compares the two.
-- sqlcmd turns QUOTED_IDENTIFIER off, and without it no filtered index can be created: hence the first line.

-- NVARCHAR counts UTF-16 units, the rule for names (at most 200) counts code points: hence twice the limit.
-- DATETIME2 holds UTC: it has no time zone, the app puts it back.
-- A GUID may be the clustered key here: managers are few, and are only ever sought by it.
IF OBJECT_ID(N'dbo.managers', N'U') IS NULL
CREATE TABLE dbo.managers (
    manager_id UNIQUEIDENTIFIER NOT NULL,
    full_name NVARCHAR(400) NOT NULL,
    is_active BIT NOT NULL,
    created_at DATETIME2(6) NOT NULL,
    updated_at DATETIME2(6) NULL,
    CONSTRAINT pk_managers PRIMARY KEY CLUSTERED (manager_id)
);
GO

-- One row per version of a user. The clustered key increases, because random GUIDs (user_id) would fragment the
-- table; it is also narrow, because every other index carries it.
-- CHAR, half as wide as NCHAR: numbers and PANs are ASCII and always ten characters long. They are masked for readers
-- without the right UNMASK, from the beginning: a mask cannot be added to a column that an index depends on.
IF OBJECT_ID(N'dbo.users', N'U') IS NULL
CREATE TABLE dbo.users (
    id BIGINT NOT NULL IDENTITY(1, 1),
    user_id UNIQUEIDENTIFIER NOT NULL,
    version INT NOT NULL,
    manager_id UNIQUEIDENTIFIER NULL,
    full_name NVARCHAR(400) NOT NULL,
    mob_num CHAR(10) MASKED WITH (FUNCTION = 'partial(0, "XXXXXX", 4)') NOT NULL,
    pan_num CHAR(10) MASKED WITH (FUNCTION = 'partial(0, "XXXXXX", 4)') NOT NULL,
    created_at DATETIME2(6) NOT NULL,
    updated_at DATETIME2(6) NULL,
    is_active BIT NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY CLUSTERED (id),
    -- What a reader without UNMASK sees must never be written back.
    CONSTRAINT ck_users_whole_values CHECK (mob_num NOT LIKE 'X%' AND pan_num NOT LIKE 'XXXXXX%'),
    CONSTRAINT fk_users_manager_id FOREIGN KEY (manager_id) REFERENCES dbo.managers (manager_id)
);
GO

-- Unique among current versions only: superseded ones keep the user's id, and numbers that others may have now.
-- A query must name the predicate as it stands here (is_active = 1), or the server does not use the index.
IF NOT EXISTS (SELECT 1 FROM sys.indexes
               WHERE object_id = OBJECT_ID(N'dbo.users') AND name = N'ux_users_current_user_id')
CREATE UNIQUE INDEX ux_users_current_user_id ON dbo.users (user_id) WHERE is_active = 1;
GO

IF NOT EXISTS (SELECT 1 FROM sys.indexes
               WHERE object_id = OBJECT_ID(N'dbo.users') AND name = N'ux_users_current_mob_num')
CREATE UNIQUE INDEX ux_users_current_mob_num ON dbo.users (mob_num) WHERE is_active = 1;
GO

-- A user's history. Every write pays for each index: no row is both here and in ux_users_current_user_id.
IF NOT EXISTS (SELECT 1 FROM sys.indexes
               WHERE object_id = OBJECT_ID(N'dbo.users') AND name = N'ix_users_superseded_user_id')
CREATE INDEX ix_users_superseded_user_id ON dbo.users (user_id) WHERE is_active = 0;
GO

-- The server appends the clustered key to both, so that they give the order of a listing: created_at, then id.
-- The first also serves the foreign key.
IF NOT EXISTS (SELECT 1 FROM sys.indexes
               WHERE object_id = OBJECT_ID(N'dbo.users') AND name = N'ix_users_manager_id')
CREATE INDEX ix_users_manager_id ON dbo.users (manager_id, created_at);
GO

IF NOT EXISTS (SELECT 1 FROM sys.indexes
               WHERE object_id = OBJECT_ID(N'dbo.users') AND name = N'ix_users_created_at')
CREATE INDEX ix_users_created_at ON dbo.users (created_at);
GO
