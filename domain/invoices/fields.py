"""The fields of items, customers and purchases.

Every `parse_*` function is total: it returns the stored form of any Python value or raises a subclass of
`InvalidError`. A stored form parses to itself. `domain/invoices/money.py` has prices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any, Final, NamedTuple

from domain.errors import InvalidError, OutOfRangeError, Violation, WrongTypeError
from domain.invoices.errors import (
    AddressInvalidError,
    DateInvalidError,
    DescriptionInvalidError,
    DuplicateItemError,
    EntriesCountError,
    EntriesInvalidError,
    NameInvalidError,
    PhoneInvalidError,
)

NAME_MAX: Final = 200
DESCRIPTION_MAX: Final = 500
ADDRESS_MAX: Final = 500
"""Maximum lengths in code points."""

QUANTITY_MAX: Final = 1_000_000_000
"""Maximum quantity of an item in stock that a caller can set, and of a threshold, in pieces."""

ENTRY_QUANTITY_MAX: Final = 1_000_000
"""Maximum quantity of a line, in pieces."""

ENTRIES_MAX: Final = 1000
"""Maximum number of entries of a purchase."""

ID_MAX: Final = 2**63 - 1

# Unicode category Cc, whose members never change (Unicode's stability policy), and lone surrogates.
_NOT_IN_A_TEXT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# [0-9] and not \d, which matches the digits of every script.
_PHONE: Final = re.compile(r"\+?[0-9]{10,15}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ID: Final = re.compile(r"[1-9][0-9]{0,18}")


# ---- texts


def _parse_text(value: object, name: str, most: int, error: type[InvalidError]) -> str:
    if not isinstance(value, str):
        raise WrongTypeError(f"{name} must be a JSON string.")
    if _NOT_IN_A_TEXT.search(value):
        raise error(f"{name} must not contain control characters, line breaks included.")
    text = value.strip()
    if not 1 <= len(text) <= most:
        raise error(f"{name} must have 1 to {most} characters after trimming.")
    return text


def parse_name(value: object) -> str:
    """Returns the name of an item or a customer, trimmed. Raises `WrongTypeError`, `NameInvalidError`."""
    return _parse_text(value, "name", NAME_MAX, NameInvalidError)


def parse_description(value: object) -> str:
    """Returns the description of an item, trimmed. Raises `WrongTypeError`, `DescriptionInvalidError`."""
    return _parse_text(value, "description", DESCRIPTION_MAX, DescriptionInvalidError)


def parse_address(value: object) -> str:
    """Returns the address of a customer, trimmed. Raises `WrongTypeError`, `AddressInvalidError`."""
    return _parse_text(value, "address", ADDRESS_MAX, AddressInvalidError)


def parse_phone(value: object) -> str:
    """Returns 10 to 15 digits, after `+` if it was given. Raises `WrongTypeError`, `PhoneInvalidError`."""
    if not isinstance(value, str):
        raise WrongTypeError("phone must be a JSON string.")
    phone = value.replace(" ", "").replace("-", "")
    if not _PHONE.fullmatch(phone):
        raise PhoneInvalidError
    return phone


def parse_date(value: object) -> str:
    """Returns a date of the calendar, `YYYY-MM-DD`. Raises `WrongTypeError`, `DateInvalidError`."""
    if not isinstance(value, str):
        raise WrongTypeError("This must be a JSON string.")
    try:
        if _DATE.fullmatch(value):  # Python also reads other forms of ISO 8601
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise DateInvalidError


# ---- whole numbers


def _parse_integer(value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise WrongTypeError("This must be a whole number.")
    if not least <= value <= most:
        raise OutOfRangeError(f"This must be a whole number from {least:,} to {most:,}.")
    return value


def parse_stock(value: object) -> int:
    """Returns the quantity of an item in stock, or its threshold. Raises `WrongTypeError`, `OutOfRangeError`."""
    return _parse_integer(value, 0, QUANTITY_MAX)


def parse_quantity_change(value: object) -> int:
    """Returns what is added to a stock; it may be negative. Raises `WrongTypeError`, `OutOfRangeError`."""
    return _parse_integer(value, -QUANTITY_MAX, QUANTITY_MAX)


def parse_id(text: str) -> int | None:
    """Returns the id in a path, or None for a text that is no id."""
    row_id = int(text) if _ID.fullmatch(text) else 0
    return row_id if 1 <= row_id <= ID_MAX else None


# ---- purchases


class Entry(NamedTuple):
    """An entry of a purchase: an item and the quantity that is wanted of it."""

    item: int
    quantity: int


def parse_entries(value: object, *, least: int) -> list[Entry]:
    """Returns the entries of a purchase in their order: 1 to 1,000 different items, quantities from `least` on.

    Raises `WrongTypeError`, `EntriesCountError`, or `EntriesInvalidError` with the violations of all entries.
    """
    if not isinstance(value, list):
        raise WrongTypeError("This must be a JSON array.")
    if not 1 <= len(value) <= ENTRIES_MAX:
        raise EntriesCountError(f"A purchase must have 1 to {ENTRIES_MAX:,} entries, not {len(value):,}.")
    violations = [*_violations(value, least)]
    if violations:
        raise EntriesInvalidError(violations=violations)
    return [Entry(entry["item"], entry["quantity"]) for entry in value]


def _violations(entries: list[object], least: int) -> Iterator[Violation]:
    seen: set[int] = set()
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            yield Violation((position,), WrongTypeError.code, "This must be a JSON object.")
            continue
        yield from _of_entry(position, entry, least)
        item = entry.get("item")
        if type(item) is int:
            if item in seen:
                yield Violation((position, "item"), DuplicateItemError.code, DuplicateItemError.detail)
            seen.add(item)


def _of_entry(position: int, entry: dict[str, Any], least: int) -> Iterator[Violation]:
    limits = {"item": (1, ID_MAX), "quantity": (least, ENTRY_QUANTITY_MAX)}
    for key, (lowest, highest) in limits.items():
        if key not in entry:
            yield Violation((position, key), "missing-key", "This key is required.")
            continue
        try:
            _parse_integer(entry[key], lowest, highest)
        except InvalidError as error:
            yield Violation((position, key), error.code, error.detail)
    for key in [key for key in entry if key not in limits]:
        yield Violation((position, key), "unknown-key", "Unknown key.")
