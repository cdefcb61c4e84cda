"""The list of low stock: when it is due, which items are on it and why, and its text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Final, NamedTuple

THRESHOLD: Final = 5
"""The threshold of an item without one."""

HEADER: Final = ("Item ID", "Description", "Quantity", "Expiry Date", "Reason")

FIRST_LIST_WINDOW: Final = timedelta(minutes=30)
"""How long after the beginning of a day the first list of a database is made: the two ticks of the template's schedule,
each up to a quarter of an hour late."""

_ONE_DAY: Final = timedelta(days=1)
_QUARTER: Final = timedelta(minutes=15)


class Item(NamedTuple):
    """What the list says about an item."""

    id: int
    description: str
    quantity: int
    expiry_date: str | None
    """As `YYYY-MM-DD`."""
    low_stock_threshold: int | None


def local_day(now: datetime, zone: tzinfo) -> date:
    """Returns the day of an aware time in a zone."""
    return now.astimezone(zone).date()


def last_day_or_first(now: datetime, zone: tzinfo, last_day: date | None) -> date:
    """Returns the day of the last list, or the day up to which a database that never had a list has missed nothing.

    That is today, or yesterday if today has just begun.
    """
    return last_day or local_day(now - FIRST_LIST_WINDOW, zone)


def due_day(now: datetime, zone: tzinfo, last_day: date | None) -> date | None:
    """Returns the day whose list is due, or None. `last_day` is the day of the last list, None if there never was one.

    A day is due from its beginning on until its list is made. A list of tomorrow stays: the clock was set back a
    little, or the zone was changed. A list of a later day was made by a wrong clock, and is replaced.
    """
    today = local_day(now, zone)
    return None if today <= last_day_or_first(now, zone, last_day) <= today + _ONE_DAY else today


def day_schedule(now: datetime, zone: tzinfo) -> str:
    """Returns the quarter-hours at which a day of a zone begins, and the one after each, as NCRONTAB in UTC.

    They are those of a year from now, with both of its offsets where there are two.
    """
    start = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    quarters = [start + _QUARTER * number for number in range(366 * 96)]
    begins = [time for before, time in pairwise(quarters) if local_day(before, zone) < local_day(time, zone)]
    ticks = [*begins, *(time + _QUARTER for time in begins)]
    minutes, hours = sorted({time.minute for time in ticks}), sorted({time.hour for time in ticks})
    return f"0 {','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"


def last_listed_expiry(day: date, days: int) -> str:
    """Returns the last expiry date that is on the list of a day, as `YYYY-MM-DD`."""
    return (day + timedelta(days=days)).isoformat()


def find_reasons(item: Item, day: date, days: int) -> list[str]:
    """Returns why an item is on the list of a day: `low stock`, `expires` (within so many days) or `expired`."""
    threshold = THRESHOLD if item.low_stock_threshold is None else item.low_stock_threshold
    reasons = ["low stock"] if item.quantity <= threshold else []
    if item.expiry_date is None or item.expiry_date > last_listed_expiry(day, days):
        return reasons
    return [*reasons, "expired" if item.expiry_date < day.isoformat() else "expires"]


def format_list(items: Iterable[Item], day: date, days: int) -> str:
    """Returns the list of a day as CSV (RFC 4180, with LF): a header, and a line for each item that has a reason.

    Descriptions that a spreadsheet takes for formulas stay as they are: the list is data, which programs read too.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for item in items:
        if reasons := find_reasons(item, day, days):
            writer.writerow(
                (item.id, item.description, item.quantity, item.expiry_date or "", "; ".join(reasons)),
            )
    return text.getvalue()


EMPTY_LIST: Final = format_list((), date.min, 0)
"""The list before the first one is made: the header alone."""
