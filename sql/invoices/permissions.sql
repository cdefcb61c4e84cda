SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Permissions of the invoices service. Idempotent.
-- The app removes no item, no customer and no invoice: only lines, and rows of the outbox that are delivered.

IF DATABASE_PRINCIPAL_ID(N'rollbook_app') IS NULL
CREATE ROLE rollbook_app;
GO

GRANT SELECT, INSERT, UPDATE ON dbo.invoices_items TO rollbook_app;
GO

GRANT SELECT, INSERT ON dbo.invoices_customers TO rollbook_app;
GO

GRANT SELECT, INSERT ON dbo.invoices_invoices TO rollbook_app;
GO

GRANT SELECT, INSERT, DELETE ON dbo.invoices_lines TO rollbook_app;
GO

GRANT UPDATE (quantity) ON dbo.invoices_lines TO rollbook_app;
GO

GRANT SELECT, UPDATE ON dbo.invoices_counters TO rollbook_app;
GO

GRANT SELECT, UPDATE ON dbo.invoices_low_stock_lists TO rollbook_app;
GO

GRANT SELECT, INSERT, UPDATE, DELETE ON dbo.invoices_outbox TO rollbook_app;
GO
