"""The responses of the invoices service. Amounts become JSON numbers here and nowhere else."""

from __future__ import annotations

from typing import Annotated, TypedDict

from domain.invoices.numbers import format_invoice_number
from domain.invoices.purchases import Customer, Invoice, Line
from domain.invoices.stock import Item


class StockItem(TypedDict):
    """An item in stock."""

    id: int
    name: str
    description: str
    price: float
    quantity: int
    expiry_date: Annotated[str, "date"] | None
    low_stock_threshold: int | None


class RegisteredCustomer(TypedDict):
    """A customer."""

    id: int
    name: str
    phone: str
    address: str


class PurchasedLine(TypedDict):
    """A line of an invoice: what the item was when the line was added. `price` is unit price times quantity."""

    item: int
    name: str
    description: str
    unit_price: float
    quantity: int
    price: float


class CustomerInvoice(TypedDict):
    """The invoice of a customer, with its lines in the order in which they were first added."""

    invoice_number: str
    customer: RegisteredCustomer
    lines: list[PurchasedLine]
    total: float


def _amount(paise: int) -> float:
    """Returns an amount as a JSON number: the double that is nearest to it, which prints its two decimals."""
    return paise / 100


def item_response(item: Item) -> StockItem:
    """Returns an item as JSON."""
    return StockItem(**{**item._asdict(), "price": _amount(item.price)})  # type: ignore[typeddict-item]


def customer_response(customer: Customer) -> RegisteredCustomer:
    """Returns a customer as JSON."""
    return RegisteredCustomer(id=customer.id, name=customer.name, phone=customer.phone, address=customer.address)


def _line_response(line: Line) -> PurchasedLine:
    return PurchasedLine(
        item=line.item,
        name=line.name,
        description=line.description,
        unit_price=_amount(line.unit_price),
        quantity=line.quantity,
        price=_amount(line.price),
    )


def invoice_response(invoice: Invoice) -> CustomerInvoice:
    """Returns an invoice as JSON."""
    return CustomerInvoice(
        invoice_number=format_invoice_number(invoice.number),
        customer=customer_response(invoice.customer),
        lines=[_line_response(line) for line in invoice.lines],
        total=_amount(invoice.total),
    )
