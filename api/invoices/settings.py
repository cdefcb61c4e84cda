"""The settings of the invoices service."""

from __future__ import annotations

from dataclasses import dataclass

from api.invoices.low_stock_settings import LowStockSettings
from api.invoices.peer_settings import PeerSettings
from settings import number, text


@dataclass(frozen=True, kw_only=True)
class InvoicesSettings(LowStockSettings, PeerSettings):
    """The settings of items, customers and purchases, and those of the list of low stock and of the other site."""

    list_rows_max: int = number("LIST_ROWS_MAX", default=0, least=0, most=999_999_999)  # 0: no maximum
    company_name: str = text("INVOICE_COMPANY_NAME", default="Virtual Company Ltd.")
    company_phone: str = text("INVOICE_COMPANY_PHONE", default="+91-XXXX-XX-XXXX")
    company_email: str = text("INVOICE_COMPANY_EMAIL", default="abc@xompany.com")
    company_address: str = text("INVOICE_COMPANY_ADDRESS", default="23th Street, Zbcxyz")
    currency: str = text("INVOICE_CURRENCY", default="₹")
