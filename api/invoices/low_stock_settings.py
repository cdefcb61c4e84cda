"""The settings of the list of low stock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from api.http.schedules import parse_schedule
from settings import number, parsed


def parse_zone(name: str) -> ZoneInfo:
    """Returns a zone of the IANA database. Raises `ValueError` with what a zone must be."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as Asia
        raise ValueError("a time zone of the IANA database, such as Asia/Kolkata") from None


@dataclass
class LastDay:
    """What this process knows about the last list: nothing before its first tick."""

    day: date | None = None


@dataclass(frozen=True, kw_only=True)
class LowStockSettings:
    """When the list of low stock is made, and what it covers. `last_list` is the memory of the timer."""

    time_zone: ZoneInfo = parsed("TIME_ZONE", default="Asia/Kolkata", parse=parse_zone)  # noqa: RUF009 - a field
    low_stock_expiry_days: int = number("LOW_STOCK_EXPIRY_DAYS", default=7, least=0, most=36_500)
    low_stock_schedule: str = parsed("LOW_STOCK_SCHEDULE", default="0 */15 * * * *", parse=parse_schedule)
    last_list: LastDay = field(default_factory=LastDay, repr=False, compare=False)
