SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Checks that readers without the permission UNMASK see mob_num and pan_num masked, as 001_baseline.sql and
-- 002_change_log.sql create them.
-- A check and no repair: a mask cannot be added to a column that an index or a CHECK depends on. To mask them again,
-- drop ux_users_current_mob_num and ck_users_whole_values, then for both columns
--     ALTER TABLE dbo.users ALTER COLUMN mob_num ADD MASKED WITH (FUNCTION = 'partial(0, "XXXXXX", 4)');
-- and create the two again as 001_baseline.sql does; likewise ix_user_change_values_mob_num and
-- ck_user_change_values_whole_values of dbo.user_change_values, as 002_change_log.sql does.

IF 2 <> (SELECT COUNT(*) FROM sys.masked_columns
         WHERE object_id = OBJECT_ID(N'dbo.users') AND name IN (N'mob_num', N'pan_num') AND is_masked = 1)
THROW 50000, N'dbo.users: mob_num or pan_num is not masked. sql/users/masks.sql says how to mask it again.', 1;
GO

IF 2 <> (SELECT COUNT(*) FROM sys.masked_columns
         WHERE object_id = OBJECT_ID(N'dbo.user_change_values') AND name IN (N'mob_num', N'pan_num') AND is_masked = 1)
THROW 50000, N'dbo.user_change_values: mob_num or pan_num is not masked. sql/users/masks.sql says how to mask it again.', 1;
GO
