SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Generated from persistence/migrations/users/users_0002_change_log.py by: python -m persistence.migrations
-- Run it with: sqlcmd -b -i 002_change_log.sql. Where it ran before, it does nothing.
--
-- The log of changes: who changed which user, when and why, and what the users were after each change.
--
-- user_changes outlasts users, and has none of their data: that is in user_change_values, whose rows go with their user.
-- Every version that is there already is adopted. The log begins now; what was true before is not known for every time,
-- because a change in place overwrites it. The adopted row of a current version has the timestamp of the record, so that
-- every later change comes after it, whatever a clock does; those of superseded versions come before it, a microsecond
-- apart.
--
-- Readers without the permission UNMASK see mob_num and pan_num masked, as in users. On SQL Server each entry gets the
-- next number of the database when it is written. The feed is in this order, which is that of no transaction's end: see
-- persistence/database/feed.py.

IF SCHEMA_NAME() <> N'dbo'
THROW 50000, N'The default schema of this login is not dbo, where the app finds its tables.', 1;
GO

IF NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'users[_][0-9][0-9][0-9][0-9]' AND version_num >= 'users_0001')
THROW 50000, N'users_0001 comes before users_0002.', 1;
GO

IF SCHEMA_NAME() = N'dbo' AND EXISTS (SELECT 1 FROM alembic_version WHERE version_num = 'users_0001')
BEGIN TRANSACTION;
GO

IF @@TRANCOUNT > 0
CREATE TABLE user_changes (
    change_id BIGINT NOT NULL IDENTITY,
    user_id UNIQUEIDENTIFIER NOT NULL,
    version INTEGER NOT NULL,
    operation NVARCHAR(10) NOT NULL,
    changed NVARCHAR(60) NOT NULL,
    manager_id UNIQUEIDENTIFIER NULL,
    changed_by NVARCHAR(400) NULL,
    changed_at DATETIME2(6) NOT NULL,
    CONSTRAINT pk_user_changes PRIMARY KEY (change_id)
);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_user_changes_user_id ON user_changes (user_id, changed_at);
GO

IF @@TRANCOUNT > 0
ALTER TABLE user_changes ADD feed_position ROWVERSION NOT NULL;
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_user_changes_feed_position ON user_changes (feed_position);
GO

IF @@TRANCOUNT > 0
CREATE TABLE user_change_values (
    change_id BIGINT NOT NULL,
    full_name NVARCHAR(400) NULL,
    mob_num CHAR(10) MASKED WITH (FUNCTION = 'partial(0, "XXXXXX", 4)') NULL,
    pan_num CHAR(10) MASKED WITH (FUNCTION = 'partial(0, "XXXXXX", 4)') NULL,
    created_at DATETIME2(6) NULL,
    updated_at DATETIME2(6) NULL,
    reason NVARCHAR(1000) NULL,
    CONSTRAINT pk_user_change_values PRIMARY KEY (change_id),
    CONSTRAINT fk_user_change_values_change_id FOREIGN KEY(change_id) REFERENCES user_changes (change_id),
    CONSTRAINT ck_user_change_values_whole_values CHECK (mob_num NOT LIKE 'X%' AND pan_num NOT LIKE 'XXXXXX%')
);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_user_change_values_mob_num ON user_change_values (mob_num);
GO

IF @@TRANCOUNT > 0
CREATE TABLE user_logs (
    id SMALLINT NOT NULL,
    began_at DATETIME2(6) NOT NULL,
    CONSTRAINT pk_user_logs PRIMARY KEY (id),
    CONSTRAINT ck_user_logs_one_row CHECK (id = 1)
);
GO

IF @@TRANCOUNT > 0
EXEC (N'INSERT INTO user_logs (id, began_at) VALUES (1, SYSUTCDATETIME())');
GO

IF @@TRANCOUNT > 0
EXEC (N'INSERT INTO user_changes (user_id, version, operation, changed, manager_id, changed_at)
SELECT users.user_id, users.version, ''adopted'', '''', users.manager_id, DATEADD(MICROSECOND, users.version - latest.version, COALESCE(latest.updated_at, latest.created_at))
FROM users
INNER JOIN users AS latest ON latest.user_id = users.user_id AND latest.is_active = 1
ORDER BY users.id');
GO

IF @@TRANCOUNT > 0
EXEC (N'INSERT INTO user_change_values (change_id, full_name, mob_num, pan_num, created_at, updated_at)
SELECT user_changes.change_id, users.full_name, users.mob_num, users.pan_num, users.created_at, users.updated_at
FROM user_changes
INNER JOIN users ON users.user_id = user_changes.user_id AND users.version = user_changes.version');
GO

IF @@TRANCOUNT > 0
UPDATE alembic_version SET version_num='users_0002' WHERE alembic_version.version_num = 'users_0001';
GO

IF @@TRANCOUNT > 0
COMMIT TRANSACTION;
GO
