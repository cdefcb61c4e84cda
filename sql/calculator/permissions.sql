SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Permissions of the calculator service. Idempotent.
-- The app deletes no row: records are marked, and an account takes its rows with it by its foreign keys.

IF DATABASE_PRINCIPAL_ID(N'rollbook_app') IS NULL
CREATE ROLE rollbook_app;
GO

GRANT SELECT, INSERT, UPDATE ON dbo.calculator_balances TO rollbook_app;
GO

GRANT SELECT, INSERT ON dbo.calculator_records TO rollbook_app;
GO

GRANT UPDATE (user_balance, deleted_at) ON dbo.calculator_records TO rollbook_app;
GO
