"""What a parse function makes of a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from domain.errors import InvalidError

T = TypeVar("T")


def refusal_of(parse: Callable[[object], object], value: object) -> InvalidError:
    """The refusal of `value`, which must come."""
    with pytest.raises(InvalidError) as caught:
        parse(value)
    assert type(caught.value) is InvalidError
    assert caught.value.detail
    return caught.value


def accepted(parse: Callable[[object], T], value: object) -> T | None:
    """The stored form, or None for a refusal; any other exception fails the test."""
    try:
        return parse(value)
    except InvalidError:
        return None
