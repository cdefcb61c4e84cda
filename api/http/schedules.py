"""The schedules of timers, checked at start: the host would reject a wrong one only when it indexes the functions."""

from __future__ import annotations

import re
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES: Final[dict[int, dict[str, str]]] = {
    4: {name: str(number) for number, name in enumerate(_MONTHS, 1)},
    5: {name: str(number) for number, name in enumerate(_DAYS)},
}
"""The names that the fields of the month and of the day of the week accept."""

_BOUNDS: Final = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_PART: Final = re.compile(r"(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/[1-9][0-9]?)?")


def parse_schedule(text: str) -> str:
    """Returns an NCRONTAB expression as it is. Raises `ValueError` with what a schedule must be.

    A TimeSpan, which the host accepts on App Service plans only, is none.
    learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
    """
    fields = text.split()
    if len(fields) != len(_BOUNDS) or not all(map(_is_valid, range(len(fields)), fields)):
        raise ValueError("six fields of NCRONTAB (second, minute, hour, day, month, day of the week), in UTC")
    return text


def _is_valid(position: int, field: str) -> bool:
    names = _NAMES.get(position, {})
    numbers = re.sub(r"[a-z]+", lambda name: names.get(name[0], name[0]), field.lower())
    least, most = _BOUNDS[position]
    parts = [_PART.fullmatch(part) for part in numbers.split(",")]
    return all(part and all(least <= int(value) <= most for value in part.groups() if value) for part in parts)
