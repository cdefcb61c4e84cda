SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Rights of the users service: what its app may do, and that it sees whole values.
-- Idempotent. The app's identity becomes a member with its own name, once:
--     CREATE USER [name-of-the-identity] FROM EXTERNAL PROVIDER;
--     ALTER ROLE rollbook_app ADD MEMBER [name-of-the-identity];
-- Every other reader sees pan_num and mob_num masked (001_schema.sql). The app must not: a later version of a user
-- is copied from the one before, and a masked value would be stored for ever.

IF DATABASE_PRINCIPAL_ID(N'rollbook_app') IS NULL
CREATE ROLE rollbook_app;
GO

-- One statement a batch: the driver tells of an error in a later one only to those who ask on.
GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.managers TO rollbook_app;
GO

GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.users TO rollbook_app;
GO

GRANT UNMASK TO rollbook_app;
GO
