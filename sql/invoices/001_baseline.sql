SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET XACT_ABORT ON;
GO
-- Generated from persistence/migrations/invoices/invoices_0001_baseline.py by: python -m persistence.migrations
-- Run it with: sqlcmd -b -i 001_baseline.sql. Where it ran before, it does nothing.
--
-- Stock, customers, invoices, the counter of their numbers, the list of low stock, and the outbox to the other site.
--
-- Money is integers of paise. Descriptions of items are unique by their SHA-256, because an index of 500 characters does
-- not fit SQL Server. Customers and invoices are kept for ever; a row of the outbox goes when it is delivered. The counter
-- and the list of low stock have one row each.

IF SCHEMA_NAME() <> N'dbo'
THROW 50000, N'The default schema of this login is not dbo, where the app finds its tables.', 1;
GO

IF OBJECT_ID(N'dbo.alembic_version', N'U') IS NULL
CREATE TABLE dbo.alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
GO

IF SCHEMA_NAME() = N'dbo' AND NOT EXISTS (SELECT 1 FROM alembic_version WHERE version_num LIKE 'invoices[_][0-9][0-9][0-9][0-9]')
BEGIN TRANSACTION;
GO

IF @@TRANCOUNT > 0
CREATE TABLE invoices_items (
    id BIGINT NOT NULL IDENTITY,
    name NVARCHAR(400) NOT NULL,
    description NVARCHAR(1000) NOT NULL,
    description_hash CHAR(64) NOT NULL,
    price BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    expiry_date CHAR(10) NULL,
    low_stock_threshold INTEGER NULL,
    CONSTRAINT pk_invoices_items PRIMARY KEY (id),
    CONSTRAINT ck_invoices_items_quantity CHECK (quantity >= 0)
);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_invoices_items_description_hash ON invoices_items (description_hash);
GO

IF @@TRANCOUNT > 0
CREATE TABLE invoices_customers (
    id BIGINT NOT NULL IDENTITY,
    customer_uid UNIQUEIDENTIFIER NOT NULL,
    name NVARCHAR(400) NOT NULL,
    phone NVARCHAR(16) NOT NULL,
    address NVARCHAR(1000) NOT NULL,
    is_from_peer BIT NOT NULL,
    created_at DATETIME2(6) NOT NULL,
    CONSTRAINT pk_invoices_customers PRIMARY KEY (id)
);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_invoices_customers_customer_uid ON invoices_customers (customer_uid);
GO

IF @@TRANCOUNT > 0
CREATE TABLE invoices_invoices (
    id BIGINT NOT NULL IDENTITY,
    number BIGINT NOT NULL,
    customer_id BIGINT NOT NULL,
    CONSTRAINT pk_invoices_invoices PRIMARY KEY (id),
    CONSTRAINT fk_invoices_invoices_customer_id FOREIGN KEY(customer_id) REFERENCES invoices_customers (id)
);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_invoices_invoices_number ON invoices_invoices (number);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_invoices_invoices_customer_id ON invoices_invoices (customer_id);
GO

IF @@TRANCOUNT > 0
CREATE TABLE invoices_lines (
    invoice_id BIGINT NOT NULL,
    item_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    name NVARCHAR(400) NOT NULL,
    description NVARCHAR(1000) NOT NULL,
    unit_price BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    CONSTRAINT pk_invoices_lines PRIMARY KEY (invoice_id, item_id),
    CONSTRAINT ck_invoices_lines_quantity CHECK (quantity >= 1),
    CONSTRAINT fk_invoices_lines_invoice_id FOREIGN KEY(invoice_id) REFERENCES invoices_invoices (id),
    CONSTRAINT fk_invoices_lines_item_id FOREIGN KEY(item_id) REFERENCES invoices_items (id)
);
GO

IF @@TRANCOUNT > 0
CREATE TABLE invoices_counters (
    id SMALLINT NOT NULL,
    last_number BIGINT NOT NULL,
    CONSTRAINT pk_invoices_counters PRIMARY KEY (id),
    CONSTRAINT ck_invoices_counters_one_row CHECK (id = 1)
);
GO

IF @@TRANCOUNT > 0
EXEC (N'INSERT INTO invoices_counters (id, last_number) VALUES (1, 0)');
GO

IF @@TRANCOUNT > 0
CREATE TABLE invoices_low_stock_lists (
    id SMALLINT NOT NULL,
    day CHAR(10) NULL,
    made_at DATETIME2(6) NULL,
    content NVARCHAR(max) NULL,
    CONSTRAINT pk_invoices_low_stock_lists PRIMARY KEY (id),
    CONSTRAINT ck_invoices_low_stock_lists_one_row CHECK (id = 1)
);
GO

IF @@TRANCOUNT > 0
EXEC (N'INSERT INTO invoices_low_stock_lists (id) VALUES (1)');
GO

IF @@TRANCOUNT > 0
CREATE TABLE invoices_outbox (
    id BIGINT NOT NULL IDENTITY,
    customer_id BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    first_queued_at DATETIME2(6) NOT NULL,
    next_attempt_at DATETIME2(6) NOT NULL,
    claimed_until DATETIME2(6) NULL,
    claim UNIQUEIDENTIFIER NULL,
    set_aside_reason NVARCHAR(200) NULL,
    last_error NVARCHAR(200) NULL,
    CONSTRAINT pk_invoices_outbox PRIMARY KEY (id),
    CONSTRAINT fk_invoices_outbox_customer_id FOREIGN KEY(customer_id) REFERENCES invoices_customers (id)
);
GO

IF @@TRANCOUNT > 0
CREATE UNIQUE INDEX ux_invoices_outbox_customer_id ON invoices_outbox (customer_id);
GO

IF @@TRANCOUNT > 0
CREATE INDEX ix_invoices_outbox_next_attempt_at ON invoices_outbox (next_attempt_at) WHERE set_aside_reason IS NULL;
GO

IF @@TRANCOUNT > 0
INSERT INTO alembic_version (version_num) VALUES ('invoices_0001');
GO

IF @@TRANCOUNT > 0
COMMIT TRANSACTION;
GO
