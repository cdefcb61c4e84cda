"""The text form of timestamps, the same in every service."""

from datetime import UTC, datetime


def format_timestamp(moment: datetime) -> str:
    """Returns an aware datetime as UTC in RFC 3339 with microseconds and `Z`: 27 characters, sortable as text."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
