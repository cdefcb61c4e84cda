"""The log of changes: what a change of a user is, who made it and why, and when it happened."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from domain.timestamps import format_timestamp, shift_timestamp


class Operation(StrEnum):
    """The kinds of changes. The database stores these texts."""

    CREATED = "created"
    UPDATED = "updated"
    """The current version was changed in place."""
    REASSIGNED = "reassigned"
    """A new manager: a new version."""
    DELETED = "deleted"
    ADOPTED = "adopted"
    """The version was there before the log."""


class Attribution(NamedTuple):
    """Who makes a change, and why; None if the caller does not say. Neither may name users: both outlast them."""

    changed_by: str | None = None
    reason: str | None = None


class Change(NamedTuple):
    """One entry of the log: the version and the manager of a user after the change, and the names of what changed.

    A deletion has the last version and its manager.
    """

    user_id: str
    version: int
    operation: Operation
    changed: tuple[str, ...]
    manager_id: str | None


def next_timestamp(now: datetime, previous: Iterable[str]) -> str:
    """Returns the timestamp of a change: `now`, or a microsecond after the last of the users' `previous` changes.

    The log of a user is read by time, so its timestamps increase strictly, whatever a clock does.
    """
    last = max(previous, default="")
    timestamp = format_timestamp(now)
    return timestamp if timestamp > last else shift_timestamp(last, microseconds=1)
