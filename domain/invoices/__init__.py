"""The rules of the invoices service."""
