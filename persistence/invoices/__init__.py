"""The tables of the invoices service, and their statements by subject."""

from persistence.invoices.customers import insert_customer, list_customers
from persistence.invoices.items import insert_item, list_items, load_item, update_item
from persistence.invoices.purchases import find_invoice, load_purchase, save_purchase

__all__ = [
    "find_invoice",
    "insert_customer",
    "insert_item",
    "list_customers",
    "list_items",
    "load_item",
    "load_purchase",
    "save_purchase",
    "update_item",
]
