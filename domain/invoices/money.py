"""Money: integers of paise, the hundredth part of the currency's unit. Nothing computes with floats."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from domain.errors import OutOfRangeError, WrongTypeError
from domain.invoices.errors import PriceInvalidError

PRICE_MAX: Final = 999_999_999_999
"""Maximum price, 9,999,999,999.99, in paise."""

TOTAL_MAX: Final = 999_999_999_999_999
"""Maximum of a line and of a total, 9,999,999,999,999.99, in paise. A double has 15 digits: it returns each exactly."""

# [0-9] and not \d, which matches the digits of every script.
# Possessive: a text of many zeros that is no price would otherwise take quadratic time.
_TEXT: Final = re.compile(r"(?=[0-9])0*+([0-9]*+)(?:\.([0-9]{1,2}))?")
_DIGITS_MAX: Final = 10
"""Digits before the point of the largest price; more are not converted, which would take quadratic time."""


def parse_money(value: object) -> int:
    """Returns a price in paise: 0 to 9,999,999,999.99 with at most two decimal places.

    A JSON number counts as its shortest double. A string has ASCII digits, optionally a point and 1 or 2 digits. Raises
    `WrongTypeError`, `PriceInvalidError`, `OutOfRangeError`.
    """
    if isinstance(value, str):
        paise = _parse_text(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        paise = _parse_number(value)
    else:
        raise WrongTypeError("A price must be a JSON number or string.")
    return paise


def _parse_text(text: str) -> int:
    match = _TEXT.fullmatch(text)
    if match is None:
        raise PriceInvalidError
    units, decimals = match.groups(default="")
    if len(units) > _DIGITS_MAX:
        raise _out_of_range()
    return int(units + decimals.ljust(2, "0"))


def _parse_number(number: float) -> int:
    if not 0 <= number <= PRICE_MAX // 100 + 1:  # also for what is not a number
        raise _out_of_range()
    paise = Decimal(repr(number)).scaleb(2)  # at most 17 digits: exact
    if paise > PRICE_MAX:
        raise _out_of_range()
    if paise != int(paise):
        raise PriceInvalidError
    return int(paise)


def _out_of_range() -> OutOfRangeError:
    return OutOfRangeError("A price must be from 0 to 9,999,999,999.99.")
