"""The text form of timestamps, the same in every service."""

from datetime import UTC, datetime, timedelta


def format_timestamp(moment: datetime) -> str:
    """Returns an aware datetime as UTC in RFC 3339 with microseconds and `Z`: 27 characters, sortable as text."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def shift_timestamp(timestamp: str, seconds: int) -> str:
    """Returns the timestamp that is so many seconds later, or earlier for a negative number."""
    return format_timestamp(datetime.fromisoformat(timestamp) + timedelta(seconds=seconds))
