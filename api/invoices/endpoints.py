"""The endpoints of items, customers and purchases. A handler is a sequence: read, load, decide, save, respond.

An invoice becomes a PDF after the connection is returned. Low stock and the other site have modules of their own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from api.http.accept import prefers
from api.http.responses import JSON, Body, Response, Returns, encode, encode_array, next_link
from api.http.service import Service
from api.invoices.pdf import Company, DocumentLine, InvoiceDocument, render_pdf
from api.invoices.responses import (
    CustomerInvoice,
    RegisteredCustomer,
    StockItem,
    customer_response,
    invoice_response,
    item_response,
)
from api.invoices.schemas import (
    AcceptHeader,
    ChangedLines,
    ChangeItem,
    CreateCustomer,
    CreateItem,
    CustomerPath,
    CustomersQuery,
    ItemPath,
    ItemsQuery,
    LimitRequiredError,
    NewLines,
    format_cursor,
)
from api.invoices.settings import InvoicesSettings
from domain.invoices import errors
from domain.invoices.fields import Entry
from domain.invoices.numbers import format_invoice_number
from domain.invoices.purchases import Customer, Invoice, plan_addition, plan_update
from domain.invoices.stock import Item, change_item
from domain.timestamps import format_timestamp
from persistence import invoices as store
from persistence.database.connections import Connection
from persistence.invoices import outbox

E = TypeVar("E", Item, Customer)

service = Service("invoices", settings=InvoicesSettings)

PDF: Final = "application/pdf"
_BATCH: Final = 1000
_LINK: Final = {"Link": "The next page, with rel=next; absent on the last page and without `limit`"}


def _list(
    name: str,
    load: Callable[..., list[E]],
    show: Callable[[E], Any],
    query: ItemsQuery | CustomersQuery,
    rows_max: int,
) -> Response:
    """Returns a page of a list with its Link, or the whole list if it has at most `rows_max` elements (0: any)."""
    if query.limit is None:
        found = load(limit=rows_max + 1) if rows_max else load()
        if rows_max and len(found) > rows_max:
            raise LimitRequiredError
        return Response(_encode(found, show))
    found = load(after=query.cursor or 0, limit=query.limit + 1)
    page = found[: query.limit]
    is_last = len(found) <= query.limit
    cursor = "" if is_last else format_cursor(name, page[-1].id)
    link = {} if is_last else next_link(f"/api/{name}/", limit=query.limit, cursor=cursor)
    return Response(_encode(page, show), headers=link)


def _encode(found: Sequence[E], show: Callable[[E], Any]) -> bytes:
    return encode_array([show(each) for each in found[n : n + _BATCH]] for n in range(0, len(found), _BATCH))


# ---- items


@service.endpoint(
    "invoices_items_list",
    route="api/items",
    methods="GET",
    query=ItemsQuery,
    returns={200: Returns(list[StockItem], "The items by id", headers=_LINK)},
    errors=[LimitRequiredError],
)
def invoices_items_list(query: ItemsQuery, settings: InvoicesSettings, connection: Connection) -> Response:
    """Lists the items in stock."""
    return _list("items", partial(store.list_items, connection), item_response, query, settings.list_rows_max)


@service.endpoint(
    "invoices_items_create",
    route="api/items",
    body=CreateItem,
    writes=True,
    idempotent=True,
    returns={201: Returns(StockItem, "The stored item")},
    errors=[errors.DescriptionTakenError],
)
def invoices_items_create(request: CreateItem, connection: Connection) -> Response:
    """Adds an item to the stock."""
    return Response(item_response(store.insert_item(connection, request.item)), 201)


@service.endpoint(
    "invoices_items_change",
    route="api/items/{item_id}",
    methods="PATCH",
    path=ItemPath,
    body=ChangeItem,
    writes=True,
    idempotent=True,
    returns={200: Returns(StockItem, "The changed item")},
    errors=[errors.DescriptionTakenError, errors.InsufficientStockError, errors.QuantityTooLargeError],
)
def invoices_items_change(request: ChangeItem, path: ItemPath, connection: Connection) -> Response:
    """Changes the given keys of an item."""
    item = store.load_item(connection, path.item_id)
    if item is None:
        raise errors.ItemNotFoundError
    changed = change_item(item, request.changes)
    store.update_item(connection, changed)
    return Response(item_response(changed))


# ---- customers


@service.endpoint(
    "invoices_customers_list",
    route="api/customers",
    methods="GET",
    query=CustomersQuery,
    returns={200: Returns(list[RegisteredCustomer], "The customers by id", headers=_LINK)},
    errors=[LimitRequiredError],
)
def invoices_customers_list(query: CustomersQuery, settings: InvoicesSettings, connection: Connection) -> Response:
    """Lists the customers."""
    load = partial(store.list_customers, connection)
    return _list("customers", load, customer_response, query, settings.list_rows_max)


@service.endpoint(
    "invoices_customers_create",
    route="api/customers",
    body=CreateCustomer,
    writes=True,
    idempotent=True,
    returns={201: Returns(RegisteredCustomer, "The stored customer")},
)
def invoices_customers_create(request: CreateCustomer, settings: InvoicesSettings, connection: Connection) -> Response:
    """Adds a customer, and queues it for the other site if there is one."""
    now = format_timestamp(datetime.now(UTC))
    customer = store.insert_customer(connection, request.customer, uid=str(uuid.uuid4()), now=now)
    if settings.peer_site_url:
        outbox.queue(connection, customer.id, now=now)
    return Response(customer_response(customer), 201)


# ---- purchases

_purchase_endpoint = partial(
    service.endpoint,
    route="api/customer-purchase/{customer_id}",
    path=CustomerPath,
    writes=True,
)


@_purchase_endpoint(
    "invoices_purchase_add",
    body=NewLines,
    idempotent=True,
    returns={201: Returns(CustomerInvoice, "The whole invoice, with the new lines")},
    errors=[
        errors.EntriesCountError,
        errors.ItemsNotFoundError,
        errors.ItemOnInvoiceError,
        errors.InsufficientStockError,
        errors.TotalTooLargeError,
    ],
)
def invoices_purchase_add(request: list[Entry], path: CustomerPath, connection: Connection) -> Response:
    """Adds lines to the invoice of a customer, and takes their pieces from the stock."""
    purchase = store.load_purchase(connection, path.customer_id, [entry.item for entry in request])
    change = plan_addition(purchase, request)
    return Response(invoice_response(store.save_purchase(connection, purchase, change)), 201)


@_purchase_endpoint(
    "invoices_purchase_change",
    methods="PUT",
    body=ChangedLines,
    returns={200: Returns(CustomerInvoice, "The whole invoice, with the changed lines")},
    errors=[
        errors.EntriesCountError,
        errors.InvoiceNotFoundError,
        errors.ItemsNotFoundError,
        errors.InsufficientStockError,
        errors.TotalTooLargeError,
    ],
)
def invoices_purchase_change(request: list[Entry], path: CustomerPath, connection: Connection) -> Response:
    """Sets the quantities of lines and adds lines; 0 removes one. The stock moves by the difference."""
    purchase = store.load_purchase(connection, path.customer_id, [entry.item for entry in request])
    change = plan_update(purchase, request)
    return Response(invoice_response(store.save_purchase(connection, purchase, change)))


def _document(invoice: Invoice, settings: InvoicesSettings) -> InvoiceDocument:
    return InvoiceDocument(
        format_invoice_number(invoice.number),
        *invoice.customer[1:],
        [DocumentLine(line.name, line.description, line.unit_price, line.quantity) for line in invoice.lines],
        Company(settings.company_name, settings.company_phone, settings.company_email, settings.company_address),
        settings.currency,
    )


def render_invoice(shown: InvoiceDocument | Body) -> bytes:
    """Returns an invoice as PDF or as JSON."""
    return render_pdf(shown) if isinstance(shown, InvoiceDocument) else encode(shown)


@service.endpoint(
    "invoices_purchase_read",
    route="api/customer-purchase/{customer_id}",
    methods="GET",
    path=CustomerPath,
    headers=AcceptHeader,
    render=render_invoice,
    returns={
        200: Returns(
            CustomerInvoice,
            "The invoice: JSON only if Accept gives it a higher q than PDF",
            media={PDF: bytes},
            headers={"Content-Disposition": "inline with a file name; with a PDF"},
        )
    },
    errors=[errors.InvoiceNotFoundError],
)
def invoices_purchase_read(
    path: CustomerPath, headers: AcceptHeader, settings: InvoicesSettings, connection: Connection
) -> Response:
    """Returns the invoice of a customer."""
    invoice = store.find_invoice(connection, path.customer_id)
    if prefers(headers.accept, JSON, PDF):
        return Response(invoice_response(invoice))
    document = _document(invoice, settings)
    disposition = f'inline; filename="invoice-{document.number[1:]}.pdf"'
    return Response(document, media_type=PDF, headers={"Content-Disposition": disposition})
