SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- The role of the app, and its rights on what all services share. Idempotent.
-- The app's identity becomes a member with its own name, once:
--     CREATE USER [name-of-the-identity] FROM EXTERNAL PROVIDER;
--     ALTER ROLE rollbook_app ADD MEMBER [name-of-the-identity];

IF DATABASE_PRINCIPAL_ID(N'rollbook_app') IS NULL
CREATE ROLE rollbook_app;
GO

GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.idempotency_keys TO rollbook_app;
GO
