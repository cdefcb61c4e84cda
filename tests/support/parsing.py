"""Results of parse functions, and nearly valid values."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest
from hypothesis import strategies as st

from domain.errors import InvalidError

T = TypeVar("T")


def error_of(parse: Callable[[object], object], value: object) -> InvalidError:
    """Returns the `InvalidError` that `parse` raises for `value`, after checking its code and detail."""
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


def texts_of(error: InvalidError) -> str:
    """Every text of an error that a response or a log may show."""
    return f"{error} {error.detail} {error.violations} {error.member_values} {error.header_values}"


def has_no_control_character(text: str) -> bool:
    """Whether a text is of characters alone, none of them a control character or half of a surrogate pair."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def any_text(max_size: int) -> st.SearchStrategy[str]:
    """Texts of the whole range of code points: control characters, unassigned ones, lone surrogates."""
    return st.text(st.characters(exclude_categories=()), max_size=max_size)


@st.composite
def near_valid_texts(draw: st.DrawFn, valid: Sequence[str], awkward: Sequence[str]) -> str:
    """Valid texts after up to three mutations: a character inserted, replaced or removed."""
    text = draw(st.sampled_from(valid))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        position = draw(st.integers(0, len(text)))
        piece = draw(st.sampled_from(awkward))
        rest = text[position + draw(st.integers(0, 1)) :]
        text = text[:position] + draw(st.sampled_from([piece, piece, ""])) + rest
    return draw(st.sampled_from([text, text, text, text.upper(), text.lower(), text + "\n", f" {text} "]))
