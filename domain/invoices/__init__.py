"""The rules of the invoices service. Everything here is pure."""
