"""The settings, queries and responses of the calculator service. The body of `POST /records` is in numbers.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, Literal, TypedDict
from urllib.parse import urlsplit

from pydantic import BeforeValidator

from api.http.requests import Request, field
from domain.calculator import Operation, RecordNotFoundError
from domain.errors import InvalidError, OutOfRangeError
from persistence.calculator import Page, Record
from settings import Settings, SettingsError, text, thread_count


@dataclass(frozen=True)
class CalculatorSettings:
    """The settings of the calculator service."""

    random_org_api_key: str = text("RANDOM_ORG_API_KEY", secret=True)  # empty: random strings are made locally
    random_org_url: str = text("RANDOM_ORG_URL", default="https://api.random.org/json-rpc/4/invoke")
    threads: int = thread_count()


def check_settings(settings: Settings) -> bool:
    """Returns that the service is enabled. Raises `SettingsError`: on Azure the key must not travel in plain text."""
    schemes = ("https",) if settings.on_azure else ("https", "http")
    if not _is_url(settings.section(CalculatorSettings).random_org_url, schemes):
        raise SettingsError(f"RANDOM_ORG_URL must be an absolute URL that begins with {' or '.join(schemes)}.")
    return True


def _is_url(url: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # raised by `port`, too
        return False


# ---- parameters

PAGE_MAX: Final = 1_000_000_000
PER_PAGE_MAX: Final = 100
DIRECTIONS: Final = ("asc", "desc")
OPERATION_KEYS: Final = Operation._fields
RECORD_KEYS: Final = tuple(Record.__annotations__)
RECORD_ID_MAX: Final = 2**63 - 1

_NUMBER: Final = re.compile(r"0*([0-9]{1,10})")  # [0-9] and not \d, which matches the digits of every script
_RECORD_ID: Final = re.compile(r"[1-9][0-9]{0,18}")


class UnknownValueError(InvalidError):
    """The parameter has another value than those that it accepts."""

    code = "unknown-value"


def _parse_number(value: str, *, most: int) -> int:
    match = _NUMBER.fullmatch(value)
    if match is None or not 1 <= int(match[1]) <= most:
        raise OutOfRangeError(f"This must be a whole number from 1 to {most:,}, in the digits 0 to 9.")
    return int(match[1])


def _parse_record_id(value: str) -> int:
    if not _RECORD_ID.fullmatch(value) or int(value) > RECORD_ID_MAX:
        raise OutOfRangeError("This is not an id.")
    return int(value)


def _parse_choice(value: str, *, choices: Sequence[str]) -> str:
    if value not in choices:
        raise UnknownValueError(f"This must be one of: {', '.join(choices)}.")
    return value


_PageNumber = Annotated[
    int,
    BeforeValidator(partial(_parse_number, most=PAGE_MAX)),
    field("The number of the page", OutOfRangeError, minimum=1, maximum=PAGE_MAX),
]
_PerPage = Annotated[
    int,
    BeforeValidator(partial(_parse_number, most=PER_PAGE_MAX)),
    field("The number of elements per page", OutOfRangeError, minimum=1, maximum=PER_PAGE_MAX),
]
_Direction = Annotated[
    str,
    BeforeValidator(partial(_parse_choice, choices=DIRECTIONS)),
    field("The direction of the order, also of ties", UnknownValueError, enum=[*DIRECTIONS]),
]
_SORT_BY: Final = "The key that orders the list; ties are in the order of `id`"


class OperationsQuery(Request):
    """The page of operations to list."""

    page: _PageNumber = 1
    per_page: _PerPage = 10
    sort_by: Annotated[
        str,
        BeforeValidator(partial(_parse_choice, choices=OPERATION_KEYS)),
        field(_SORT_BY, UnknownValueError, enum=[*OPERATION_KEYS]),
    ] = "id"
    direction: _Direction = "desc"


class RecordsQuery(Request):
    """The page of records to list."""

    page: _PageNumber = 1
    per_page: _PerPage = 100
    search: Annotated[str, field("A part of the operation's name or type; case is ignored")] = ""
    sort_by: Annotated[
        str,
        BeforeValidator(partial(_parse_choice, choices=RECORD_KEYS)),
        field(_SORT_BY, UnknownValueError, enum=[*RECORD_KEYS]),
    ] = "id"
    direction: _Direction = "desc"

    @property
    def rows(self) -> Page:
        """The rows of this page."""
        offset = (self.page - 1) * self.per_page
        return Page(self.search, self.sort_by, self.direction == "desc", offset, self.per_page)


class RecordPath(Request):
    """The record in a path. No record has a malformed id."""

    not_found = RecordNotFoundError

    record_id: Annotated[int, BeforeValidator(_parse_record_id), field("The id of a record")]


# ---- responses


class Pagination(TypedDict):
    """The position of a page in its list. A page after the last one is empty."""

    page: int
    per_page: int
    total_pages: int
    total_items: int


def paginate(query: OperationsQuery | RecordsQuery, total_items: int) -> Pagination:
    """Returns the position of a page in a list of so many elements."""
    total_pages = -(-total_items // query.per_page)
    return Pagination(page=query.page, per_page=query.per_page, total_pages=total_pages, total_items=total_items)


class OperationPage(TypedDict):
    """A page of the operations."""

    success: Literal[True]
    operations: list[Operation]
    pagination: Pagination


class RecordPage(TypedDict):
    """A page of the account's records."""

    success: Literal[True]
    pagination: Pagination
    records: list[Record]


class AddedRecord(TypedDict):
    """The id of the new record, and the balance of the account after its charge."""

    success: Literal[True]
    record_id: int
    user_balance: int


class DeletedRecord(TypedDict):
    """The record is deleted, and its amount is back in the balance."""

    success: Literal[True]
    message: str


class AccountBalance(TypedDict):
    """The balance of the account, in credits."""

    balance: int
