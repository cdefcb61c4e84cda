"""Instants as every service writes them."""

from datetime import UTC, datetime


def timestamp(instant: datetime) -> str:
    """An aware datetime as UTC in RFC 3339 with microseconds and `Z`: 27 characters, which sort as time does."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
