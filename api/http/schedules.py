"""The schedules of timers, checked at start: the host would reject a wrong one only when it indexes the functions."""

from __future__ import annotations

import calendar
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
_PART: Final = re.compile(r"(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([1-9][0-9]?))?")
_LEAP_YEAR: Final = 2000


def parse_schedule(text: str) -> str:
    """Returns an NCRONTAB expression as it is. Raises `ValueError` with what a schedule must be.

    A TimeSpan, which the host accepts on App Service plans only, is none.
    learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
    """
    fields = text.split()
    values = [*map(_values, range(len(_BOUNDS)), fields)]
    if len(fields) != len(_BOUNDS) or not all(values):
        raise ValueError("six fields of NCRONTAB (second, minute, hour, day, month, day of the week), in UTC")
    # NCrontab parses a date that never comes, and then finds no occurrence: github.com/atifaziz/NCrontab/issues/106
    days, months = values[3:5]
    if min(days) > max(calendar.monthrange(_LEAP_YEAR, month)[1] for month in months):
        raise ValueError("a schedule with a day that one of its months has")
    return text


def _values(position: int, field: str) -> set[int]:
    """Returns the values that a field matches; none if it is not valid."""
    names = _NAMES.get(position, {})
    numbers = re.sub(r"[a-z]+", lambda name: names.get(name[0], name[0]), field.lower())
    least, most = _BOUNDS[position]
    values: set[int] = set()
    for part in map(_PART.fullmatch, numbers.split(",")):
        if part is None or not all(least <= int(bound) <= most for bound in part.group(1, 2) if bound):
            return set()
        first, last, step = part.groups()
        low = int(first or least)
        high = int(last or (low if first and not step else most))
        low, high = sorted((low, high))  # NCrontab swaps the bounds of a reversed range
        values.update(range(low, high + 1, int(step or 1)))
    return values
