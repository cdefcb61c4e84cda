SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Lets an identity of Entra into the database as the app: python -m persistence --member NAME=CLIENT-ID fills it in.
-- Idempotent. With the SID (the client id's bytes) the server need not look the identity up, for which it would need
-- rights in the directory.

-- An identity that was made anew has the name of the old one, and another client id.
IF EXISTS (SELECT 1 FROM sys.database_principals WHERE name = N'{name}' AND sid <> {sid})
DROP USER [{name}];
GO

IF DATABASE_PRINCIPAL_ID(N'{name}') IS NULL
CREATE USER [{name}] WITH SID = {sid}, TYPE = E;
GO

ALTER ROLE rollbook_app ADD MEMBER [{name}];
GO
