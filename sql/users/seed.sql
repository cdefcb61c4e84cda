SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Managers to try the users service with: those that an embedded database begins with.
-- Idempotent: adds those that are missing and changes none, so that a manager who was retired stays retired.
-- Run it with: sqlcmd -b -i seed.sql

-- Times are UTC. With the T in the middle, neither LANGUAGE nor DATEFORMAT can take the day for the month.
IF NOT EXISTS (SELECT 1 FROM dbo.managers WHERE manager_id = N'11111111-1111-4111-8111-111111111111')
INSERT INTO dbo.managers (manager_id, full_name, is_active, created_at, updated_at)
VALUES (N'11111111-1111-4111-8111-111111111111', N'Asha Rao', 1,
        N'2026-01-01T00:00:00.000000', NULL);
GO

IF NOT EXISTS (SELECT 1 FROM dbo.managers WHERE manager_id = N'11111111-1111-4111-8111-111111111112')
INSERT INTO dbo.managers (manager_id, full_name, is_active, created_at, updated_at)
VALUES (N'11111111-1111-4111-8111-111111111112', N'Vikram Shah', 1,
        N'2026-01-01T00:00:00.000000', NULL);
GO

IF NOT EXISTS (SELECT 1 FROM dbo.managers WHERE manager_id = N'11111111-1111-4111-8111-111111111113')
INSERT INTO dbo.managers (manager_id, full_name, is_active, created_at, updated_at)
VALUES (N'11111111-1111-4111-8111-111111111113', N'Meera Iyer', 1,
        N'2026-01-01T00:00:00.000000', NULL);
GO

IF NOT EXISTS (SELECT 1 FROM dbo.managers WHERE manager_id = N'11111111-1111-4111-8111-111111111114')
INSERT INTO dbo.managers (manager_id, full_name, is_active, created_at, updated_at)
VALUES (N'11111111-1111-4111-8111-111111111114', N'Rohan Das', 1,
        N'2026-01-01T00:00:00.000000', NULL);
GO

IF NOT EXISTS (SELECT 1 FROM dbo.managers WHERE manager_id = N'11111111-1111-4111-8111-111111111115')
INSERT INTO dbo.managers (manager_id, full_name, is_active, created_at, updated_at)
VALUES (N'11111111-1111-4111-8111-111111111115', N'Farah Khan', 0,
        N'2026-01-01T00:00:00.000000', N'2026-01-01T00:00:00.000000');
GO
