"""The settings of the invoices service."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from api.invoices.low_stock_settings import LowStockSettings
from api.invoices.peer_settings import PeerSettings
from settings import number, parsed


def printed(most: int) -> Callable[[str], str]:
    """Returns the parser of a text of the PDF: it raises `ValueError` with what such a text must be.

    `most` is the maximum in code points.
    """

    def parse(text: str) -> str:
        if len(text) > most or any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
            raise ValueError(f"at most {most} characters of UTF-8, no control characters")
        return text

    return parse


@dataclass(frozen=True, kw_only=True)
class InvoicesSettings(LowStockSettings, PeerSettings):
    """The settings of items, customers and purchases, and those of the list of low stock and of the other site."""

    list_rows_max: int = number("LIST_ROWS_MAX", default=0, least=0, most=999_999_999)  # 0: no maximum
    company_name: str = parsed("INVOICE_COMPANY_NAME", default="Virtual Company Ltd.", parse=printed(200))
    company_phone: str = parsed("INVOICE_COMPANY_PHONE", default="+91-XXXX-XX-XXXX", parse=printed(50))
    company_email: str = parsed("INVOICE_COMPANY_EMAIL", default="abc@xompany.com", parse=printed(254))
    company_address: str = parsed("INVOICE_COMPANY_ADDRESS", default="23th Street, Zbcxyz", parse=printed(500))
    # With more the amounts leave little to the names.
    currency: str = parsed("INVOICE_CURRENCY", default="₹", parse=printed(5))
