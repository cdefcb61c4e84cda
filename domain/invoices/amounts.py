"""Amounts as a reader sees them: the currency's sign, grouped digits and two places. JSON never carries this text."""

from __future__ import annotations

import re
from typing import Final

RUPEE: Final = "₹"
"""The sign whose amounts are grouped as in India: by two digits above the thousand."""

_INDIAN_GROUP: Final = re.compile(r"(?<=\d)(?=(?:\d\d)*\d{3}$)")


def format_amount(paise: int, currency: str) -> str:
    """Returns an amount as text, from minor units: `₹1,23,456.78`, with another sign than ₹ `$123,456.78`.

    No amount of an invoice is negative. The text of the currency is used as it is set.
    """
    whole, cents = divmod(paise, 100)
    digits = _INDIAN_GROUP.sub(",", str(whole)) if currency == RUPEE else f"{whole:,}"
    return f"{currency}{digits}.{cents:02}"
