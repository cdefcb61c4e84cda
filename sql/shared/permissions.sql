SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- The role of the app, and its permissions on what all services share. Idempotent.
-- An identity becomes a member with: python -m admin grant-access NAME CLIENT_ID. By hand, once:
--     CREATE USER [name-of-the-identity] FROM EXTERNAL PROVIDER;
--     ALTER ROLE rollbook_app ADD MEMBER [name-of-the-identity];

IF DATABASE_PRINCIPAL_ID(N'rollbook_app') IS NULL
CREATE ROLE rollbook_app;
GO

-- The health check compares the schema's version with that of the app.
GRANT SELECT ON dbo.alembic_version TO rollbook_app;
GO

GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.idempotency_keys TO rollbook_app;
GO

GRANT SELECT, INSERT, DELETE ON dbo.stored_response_users TO rollbook_app;
GO
