"""The text form of timestamps, the same in every service."""

from datetime import UTC, datetime


def format_timestamp(moment: datetime) -> str:
    """An aware datetime as UTC in RFC 3339 with microseconds and `Z`: 27 characters, which sort as time does."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
