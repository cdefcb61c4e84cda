"""What a parse function makes of a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from domain.errors import InvalidError

T = TypeVar("T")


def error_of(parse: Callable[[object], object], value: object) -> InvalidError:
    """The `InvalidError` that `parse` raises for `value`: of a subclass with a code of its own, and with a detail."""
    with pytest.raises(InvalidError) as caught:
        parse(value)
    assert "code" in vars(type(caught.value))
    assert caught.value.detail
    return caught.value


def accepted(parse: Callable[[object], T], value: object) -> T | None:
    """The stored form, or None where it is rejected; any other exception fails the test."""
    try:
        return parse(value)
    except InvalidError:
        return None
