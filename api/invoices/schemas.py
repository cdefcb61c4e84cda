"""The paths, queries and bodies of the invoices service."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator

from api.http.cursors import encode_cursor, read_cursor
from api.http.requests import OPTIONAL, Examples, Request, field
from domain.errors import InvalidError, OutOfRangeError, Violation
from domain.invoices import errors, fields
from domain.invoices.money import PRICE_MAX, parse_money
from domain.invoices.purchases import NewCustomer
from domain.invoices.stock import NewItem, default_name

PAGE_LIMIT_MAX: Final = 1000

_LIMIT: Final = re.compile(r"0*([0-9]{1,4})")  # [0-9] and not \d, which matches the digits of every script


class LimitRequiredError(InvalidError):
    """There are more elements than a response without `limit` may have."""

    code = "limit-required"
    detail = "There are too many elements for one response; request pages with `limit`."
    fields = ("limit",)


class CursorInvalidError(InvalidError):
    """The text is not a cursor of this list."""

    code = "cursor-invalid"
    detail = "Not a valid cursor; use the one in the header `Link` of a previous response of this list."


# ---- paths and queries


def _parse_id(value: str) -> int:
    row_id = fields.parse_id(value)
    if row_id is None:
        raise InvalidError("This is not an id.")
    return row_id


class ItemPath(Request):
    """The item in a path. No item has a malformed id."""

    not_found = errors.ItemNotFoundError

    item_id: Annotated[int, BeforeValidator(_parse_id), field("The id of an item")]


class CustomerPath(Request):
    """The customer in a path. No customer has a malformed id."""

    not_found = errors.CustomerNotFoundError

    customer_id: Annotated[int, BeforeValidator(_parse_id), field("The id of a customer")]


def _parse_limit(value: str) -> int:
    match = _LIMIT.fullmatch(value)
    if match is None or not 1 <= int(match[1]) <= PAGE_LIMIT_MAX:
        raise OutOfRangeError(f"This must be a whole number from 1 to {PAGE_LIMIT_MAX}, in the digits 0 to 9.")
    return int(match[1])


def format_cursor(name: str, last: int) -> str:
    """Returns the cursor that continues the list of this name after the id `last`."""
    return encode_cursor(name, last).rstrip("=")  # it stands in a URL


def _parse_cursor(value: str, name: str) -> int:
    """Returns the id in a cursor. Raises `CursorInvalidError` for what `format_cursor` did not write for this list."""
    last: int | None = read_cursor(value, _last_id, partial(format_cursor, name))
    if last is None:
        raise CursorInvalidError
    return last


def _last_id(_: Any, last: Any) -> int:
    if type(last) is int and 1 <= last <= fields.ID_MAX:
        return last
    raise ValueError("no id")


class ListQuery(Request):
    """The page of a list; without `limit` the whole list."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"cursor": ["limit"]}})

    limit: Annotated[
        int,
        BeforeValidator(_parse_limit),
        field("Maximum number of elements", OutOfRangeError, minimum=1, maximum=PAGE_LIMIT_MAX),
    ] = OPTIONAL

    @classmethod
    def check_content(cls, content: Mapping[str, Any]) -> Iterator[Violation]:
        """Yields a violation for a cursor without a limit: cursors only continue pages."""
        if "cursor" in content and "limit" not in content:
            yield Violation(("limit",), "missing-key", "limit is required with cursor.")


_CURSOR: Final[Any] = field("The cursor in the Link of the previous page, unchanged", CursorInvalidError)


class ItemsQuery(ListQuery):
    """The page of items."""

    cursor: Annotated[
        int, PlainValidator(partial(_parse_cursor, name="items"), json_schema_input_type=str), _CURSOR
    ] = OPTIONAL


class CustomersQuery(ListQuery):
    """The page of customers."""

    cursor: Annotated[
        int, PlainValidator(partial(_parse_cursor, name="customers"), json_schema_input_type=str), _CURSOR
    ] = OPTIONAL


class AcceptHeader(Request):
    """The media types that the caller prefers."""

    accept: str = OPTIONAL


# ---- bodies

_Price = Annotated[
    int,
    PlainValidator(
        parse_money,
        json_schema_input_type=Annotated[float, Field(ge=0, le=PRICE_MAX / 100)]
        | Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]{1,2})?$")],
    ),
    field("At most 2 decimal places", errors.PriceInvalidError, OutOfRangeError),
]
_Name = Annotated[
    str,
    BeforeValidator(fields.parse_name),
    field(f"At most {fields.NAME_MAX} characters after trimming", errors.NameInvalidError, minLength=1),
]
_Description = Annotated[
    str,
    BeforeValidator(fields.parse_description),
    field(
        f"At most {fields.DESCRIPTION_MAX} characters after trimming; no two items have the same",
        errors.DescriptionInvalidError,
        minLength=1,
    ),
]
_Date = Annotated[
    str,
    BeforeValidator(fields.parse_date),
    field("A date of the calendar", errors.DateInvalidError, format="date"),
]


def _stock(description: str) -> Any:
    return field(description, OutOfRangeError, minimum=0, maximum=fields.QUANTITY_MAX)


_Quantity = Annotated[int, BeforeValidator(fields.parse_stock), _stock("Pieces in stock")]
_Threshold = Annotated[int, BeforeValidator(fields.parse_stock), _stock("The stock is low at this quantity and below")]


class CreateItem(Request):
    """The body of `POST /api/items/`."""

    EXAMPLES: ClassVar[Examples] = {
        "An item": {"name": "Kurta", "description": "Cotton kurta, blue", "price": 550, "quantity": 10},
        "An item with all keys": {
            "name": "Ghee",
            "description": "Ghee 500 ml",
            "price": "649.50",
            "quantity": 40,
            "expiry_date": "2027-01-31",
            "low_stock_threshold": 8,
        },
    }

    description: _Description
    price: _Price
    quantity: _Quantity
    name: _Name = OPTIONAL
    expiry_date: _Date | None = None
    low_stock_threshold: _Threshold | None = None

    @property
    def item(self) -> NewItem:
        """The item, with its default name."""
        name = self.name or default_name(self.description)
        return NewItem(name, self.description, self.price, self.quantity, self.expiry_date, self.low_stock_threshold)


class ChangeItem(Request):
    """The body of `PATCH /api/items/{item_id}`: at least one key. Null clears a date or a threshold."""

    EXAMPLES: ClassVar[Examples] = {"A delivery": {"quantity_change": 20}, "Another price": {"price": 599}}
    model_config = ConfigDict(
        json_schema_extra={"minProperties": 1, "not": {"required": ["quantity", "quantity_change"]}}
    )

    name: _Name = OPTIONAL
    description: _Description = OPTIONAL
    price: _Price = OPTIONAL
    quantity: _Quantity = OPTIONAL
    quantity_change: Annotated[
        int,
        BeforeValidator(fields.parse_quantity_change),
        field(
            "Pieces that are added to the stock, or taken from it",
            OutOfRangeError,
            minimum=-fields.QUANTITY_MAX,
            maximum=fields.QUANTITY_MAX,
        ),
    ] = OPTIONAL
    expiry_date: _Date | None = None
    low_stock_threshold: _Threshold | None = None

    @classmethod
    def check_content(cls, content: Mapping[str, Any]) -> Iterator[Violation]:
        """Yields a violation for a change without keys, and for one that both sets the quantity and adds to it."""
        if not content:
            yield Violation((), errors.ChangeEmptyError.code, errors.ChangeEmptyError.detail)
        if "quantity" in content and "quantity_change" in content:
            yield from errors.QuantityTwiceError().violations

    @property
    def changes(self) -> dict[str, Any]:
        """The given keys."""
        return self.model_dump(exclude_unset=True)


class CreateCustomer(Request):
    """The body of `POST /api/customers/`."""

    EXAMPLES: ClassVar[Examples] = {
        "A customer": {"name": "Asha Rao", "phone": "+91 98765-43210", "address": "12 MG Road, Pune"}
    }

    name: _Name
    phone: Annotated[
        str,
        BeforeValidator(fields.parse_phone),
        field("10 to 15 digits, optionally after +; spaces and hyphens are dropped", errors.PhoneInvalidError),
    ]
    address: Annotated[
        str,
        BeforeValidator(fields.parse_address),
        field(f"At most {fields.ADDRESS_MAX} characters after trimming", errors.AddressInvalidError, minLength=1),
    ]

    @property
    def customer(self) -> NewCustomer:
        """The customer."""
        return NewCustomer(self.name, self.phone, self.address)


class NewLine(Request):
    """An entry of a purchase."""

    item: Annotated[int, field("The id of an item", errors.DuplicateItemError, minimum=1, maximum=fields.ID_MAX)]
    quantity: Annotated[int, field("Pieces", OutOfRangeError, minimum=1, maximum=fields.ENTRY_QUANTITY_MAX)]


class ChangedLine(Request):
    """An entry of a changed purchase. Quantity 0 removes the line."""

    item: Annotated[int, field("The id of an item", errors.DuplicateItemError, minimum=1, maximum=fields.ID_MAX)]
    quantity: Annotated[int, field("Pieces in all", OutOfRangeError, minimum=0, maximum=fields.ENTRY_QUANTITY_MAX)]


_COUNT: Final = Field(min_length=1, max_length=fields.ENTRIES_MAX)

NewLines = Annotated[
    list[fields.Entry],
    PlainValidator(partial(fields.parse_entries, least=1), json_schema_input_type=Annotated[list[NewLine], _COUNT]),
]
"""The body of `POST /api/customer-purchase/{customer_id}`."""

ChangedLines = Annotated[
    list[fields.Entry],
    PlainValidator(partial(fields.parse_entries, least=0), json_schema_input_type=Annotated[list[ChangedLine], _COUNT]),
]
"""The body of `PUT /api/customer-purchase/{customer_id}`."""
