"""The errors of the invoices service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.errors import ConflictError, InvalidError, NotFoundError

# ---- fields


class NameInvalidError(InvalidError):
    """The name is empty, too long, or has control characters."""

    code = "name-invalid"


class DescriptionInvalidError(InvalidError):
    """The description is empty, too long, or has control characters."""

    code = "description-invalid"


class AddressInvalidError(InvalidError):
    """The address is empty, too long, or has control characters."""

    code = "address-invalid"


class PhoneInvalidError(InvalidError):
    """The text is not a phone number."""

    code = "phone-invalid"
    detail = "phone must have 10 to 15 digits, optionally after +; spaces and hyphens are dropped."


class PriceInvalidError(InvalidError):
    """The price has more than two decimal places, or is not written in digits."""

    code = "price-invalid"
    detail = (
        "A price has at most 2 decimal places; as a string it has only digits, optionally a point and 1 or 2 digits."
    )


class DateInvalidError(InvalidError):
    """The text is not a date of the calendar."""

    code = "date-invalid"
    detail = "This must be a date, YYYY-MM-DD."


class DuplicateItemError(InvalidError):
    """An earlier entry of the request has the same item."""

    code = "duplicate-item"
    detail = "An earlier entry has this item."


class EntriesCountError(InvalidError):
    """The request has too few or too many entries."""

    code = "entries-count"


class EntriesInvalidError(InvalidError):
    """Entries of a purchase are invalid, in `violations`."""

    code = "entries-invalid"
    detail = "Entries of the purchase are invalid."


class ChangeEmptyError(InvalidError):
    """The change of an item has no keys."""

    code = "change-empty"
    detail = "At least one key is required."


class QuantityTwiceError(InvalidError):
    """A change both sets the quantity and adds to it."""

    code = "quantity-twice"
    detail = "Give quantity, which sets, or quantity_change, which adds, not both."
    fields = ("quantity_change",)


# ---- not found


class ItemNotFoundError(NotFoundError):
    """No item has this id."""

    code = "item-not-found"
    detail = "No item has this id."


class CustomerNotFoundError(NotFoundError):
    """No customer has this id."""

    code = "customer-not-found"
    detail = "No customer has this id."


class InvoiceNotFoundError(NotFoundError):
    """The customer has no invoice."""

    code = "invoice-not-found"
    detail = "The customer has no invoice yet."


class ItemsNotFoundError(NotFoundError):
    """Entries name items that do not exist."""

    code = "items-not-found"
    detail = "No item has these ids."
    members: ClassVar[Mapping[str, Any]] = {"items": list[int]}


# ---- conflicts


class DescriptionTakenError(ConflictError):
    """Another item has this description."""

    code = "description-taken"
    detail = "Another item has this description."
    fields = ("description",)


class ItemOnInvoiceError(ConflictError):
    """Items are on the invoice already."""

    code = "item-on-invoice"
    detail = "This item is on the invoice already; PUT changes its quantity."


class InsufficientStockError(ConflictError):
    """There is less of an item than is wanted."""

    code = "insufficient-stock"
    detail = "There is not enough of this item."
    members: ClassVar[Mapping[str, Any]] = {"item": int, "available": int}


class QuantityTooLargeError(ConflictError):
    """The stock of an item would be above its maximum."""

    code = "quantity-too-large"
    detail = "The quantity would be above 1,000,000,000."
    fields = ("quantity_change",)


class TotalTooLargeError(ConflictError):
    """A line or the total of an invoice would be above 9,999,999,999,999.99."""

    code = "total-too-large"
    detail = "A line or the total would be above 9,999,999,999,999.99."
