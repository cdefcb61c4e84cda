"""Cursors: opaque texts in which a response says where the next page begins. A service checks what is in its own."""

from __future__ import annotations

import base64
from typing import Any

import orjson


def encode_cursor(*parts: object) -> str:
    """Returns a cursor with these parts."""
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


def decode_cursor(cursor: str) -> Any:
    """Returns what is in a cursor, with or without its padding. Raises `ValueError` for another text.

    Other texts may decode to the same parts: the caller compares with `encode_cursor` of what it has read.
    """
    padding = "=" * (-len(cursor) % 4)
    return orjson.loads(base64.b64decode(cursor + padding, altchars=b"-_", validate=True))
