"""The tables of the calculator, and their statements by subject: balances with what changes them, lists of records."""

from persistence.calculator.balances import charge, delete_record, find_balance, grant
from persistence.calculator.records import Page, Record, count_records, list_records

__all__ = ["Page", "Record", "charge", "count_records", "delete_record", "find_balance", "grant", "list_records"]
