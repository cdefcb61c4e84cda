SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Permissions of the ecgs service. Idempotent.
-- The app changes no row: an ECG is as it was uploaded until it is deleted.

IF DATABASE_PRINCIPAL_ID(N'rollbook_app') IS NULL
CREATE ROLE rollbook_app;
GO

GRANT SELECT, INSERT, DELETE ON dbo.ecgs TO rollbook_app;
GO
