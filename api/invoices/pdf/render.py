"""Renders an invoice by typst: template.typ is the layout, the fonts beside it are the only ones.

Names reach the template as data, a JSON text in its inputs, and never as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Company(NamedTuple):
    """The issuer of the invoice, as the settings `INVOICE_COMPANY_…` describe it."""

    name: str
    phone: str
    email: str
    address: str


class DocumentLine(NamedTuple):
    """A row of the table. `unit_price` is in minor units; its price is `unit_price` times `quantity`."""

    name: str
    description: str
    unit_price: int
    quantity: int


class InvoiceDocument(NamedTuple):
    """Everything that stands on an invoice. `number` is the formatted one, `#00001-AAA`."""

    number: str
    customer_name: str
    customer_phone: str
    customer_address: str
    lines: Sequence[DocumentLine]
    company: Company
    currency: str


def render_pdf(document: InvoiceDocument) -> bytes:
    """Returns the invoice as PDF. The same document has the same bytes in every process of the same version."""
    raise NotImplementedError
