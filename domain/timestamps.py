"""The text form of timestamps, the same in every service."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

# RFC 3339, section 5.6. [0-9] and not \d, which matches the digits of every script.
_RFC_3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(\.[0-9]+)?"
    r"([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)


def format_timestamp(moment: datetime) -> str:
    """Returns an aware datetime as UTC in RFC 3339 with microseconds and `Z`: 27 characters, sortable as text."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def shift_timestamp(timestamp: str, seconds: int = 0, *, microseconds: int = 0) -> str:
    """Returns the timestamp that is so much later, or earlier for negative numbers."""
    moved = datetime.fromisoformat(timestamp) + timedelta(seconds=seconds, microseconds=microseconds)
    return format_timestamp(moved)


def parse_rfc3339(text: str) -> str | None:
    """Returns an RFC 3339 timestamp with a zone in UTC, with microseconds (finer digits are cut off) and `Z`.

    Returns None for another text, and for what the calendar does not have in the years 1 to 9999 UTC, leap seconds
    (`:60`) included.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return None
    day, time, fraction, zone = match.groups(default="")
    try:
        return format_timestamp(datetime.fromisoformat(f"{day}T{time}.{fraction[1:7]:0<6}{zone.upper()}"))
    except (ValueError, OverflowError):
        return None
