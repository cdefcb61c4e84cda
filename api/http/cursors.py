"""Cursors: opaque texts in which a response says where the next page begins. A service checks what is in its own."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, TypeVar

import orjson

T = TypeVar("T")


def encode_cursor(*parts: object) -> str:
    """Returns a cursor with these parts."""
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


def decode_cursor(cursor: str) -> Any:
    """Returns what is in a cursor, with or without its padding. Raises `ValueError` for another text.

    Other texts may decode to the same parts: `read_cursor` compares.
    """
    padding = "=" * (-len(cursor) % 4)
    return orjson.loads(base64.b64decode(cursor + padding, altchars=b"-_", validate=True))


def read_cursor(cursor: object, parse: Callable[..., T], write: Callable[[T], str | None]) -> T | None:
    """Returns what `parse` makes of the parts of a cursor; None for a text that `write` would not write for it.

    `parse` may raise `ValueError`, `TypeError` and `OverflowError` for other parts.
    """
    try:
        read = parse(*decode_cursor(str(cursor)))
        return read if write(read) == cursor else None
    except (ValueError, TypeError, OverflowError):
        return None
