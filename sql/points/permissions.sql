SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Permissions of the points service. Idempotent.
-- DELETE is for flushDB. Where the ledger is never to be emptied, whatever the settings say, revoke it:
--     REVOKE DELETE ON dbo.points_transactions TO rollbook_app;

IF DATABASE_PRINCIPAL_ID(N'rollbook_app') IS NULL
CREATE ROLE rollbook_app;
GO

GRANT SELECT, UPDATE ON dbo.points_ledger TO rollbook_app;
GO

GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.points_balances TO rollbook_app;
GO

GRANT SELECT, INSERT, DELETE ON dbo.points_transactions TO rollbook_app;
GO

GRANT UPDATE (points_left) ON dbo.points_transactions TO rollbook_app;
GO

GRANT SELECT, INSERT, DELETE ON dbo.points_spends TO rollbook_app;
GO
