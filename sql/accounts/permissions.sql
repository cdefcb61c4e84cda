SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Permissions of accounts, which calculator requires. Idempotent.
-- Only the app needs to read password_hash and account_keys: grant no other role SELECT on the whole schema.

IF DATABASE_PRINCIPAL_ID(N'rollbook_app') IS NULL
CREATE ROLE rollbook_app;
GO

GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.accounts TO rollbook_app;
GO

GRANT SELECT, INSERT, DELETE ON dbo.account_sessions TO rollbook_app;
GO

GRANT SELECT, INSERT, DELETE ON dbo.account_failures TO rollbook_app;
GO

GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.account_keys TO rollbook_app;
GO
