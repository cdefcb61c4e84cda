"""Timestamps in the text form that every service stores and returns."""

from datetime import UTC, datetime


def format_timestamp(moment: datetime) -> str:
    """Returns an aware datetime as UTC in RFC 3339 with microseconds and `Z`: 27 characters, which sort by time."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
