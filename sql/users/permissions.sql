SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Permissions of the users service. Idempotent. Every other reader sees mob_num and pan_num masked. The app must not: a
-- later version of a user is copied from the one before, and a masked value would be stored for ever.

IF DATABASE_PRINCIPAL_ID(N'rollbook_app') IS NULL
CREATE ROLE rollbook_app;
GO

-- One statement a batch: the driver reports an error in a later one only when it is asked for further results.
GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.managers TO rollbook_app;
GO

GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.users TO rollbook_app;
GO

-- What the log says of changes is never altered; what it has of a user's data goes with the user.
GRANT SELECT, INSERT ON dbo.user_changes TO rollbook_app;
GO

GRANT SELECT, INSERT, DELETE ON dbo.user_change_values TO rollbook_app;
GO

GRANT SELECT ON dbo.user_logs TO rollbook_app;
GO

GRANT UNMASK TO rollbook_app;
GO
