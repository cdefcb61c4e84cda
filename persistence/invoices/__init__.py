"""The tables of the invoices service, and their statements by subject."""

from persistence.invoices import tables as tables
