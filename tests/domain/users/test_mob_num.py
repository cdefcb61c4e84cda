"""The values that mob_num accepts."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.users.fields import parse_mob_num
from tests.support.parsing import error_of
from tests.support.users import ARABIC_INDIC_ZERO, DEVANAGARI_ZERO, FULL_WIDTH_ZERO, in_digits_of


@pytest.mark.parametrize(
    ("spelling", "stored"),
    [
        ("9876543210", "9876543210"),
        ("6000000000", "6000000000"),
        ("7000000000", "7000000000"),
        ("8999999999", "8999999999"),
        ("+919876543210", "9876543210"),
        ("09876543210", "9876543210"),
        ("  9876543210 ", "9876543210"),
        (" +91 98765 43210 ", "9876543210"),
        ("+91-98765-43210", "9876543210"),
        ("0 98765-43210", "9876543210"),
        ("98765  43210", "9876543210"),
        ("98765 - 43210", "9876543210"),
        ("98765--43210", "9876543210"),
        ("9-8-7-6-5-4-3-2-1-0", "9876543210"),
        # 91 is part of the number, not a prefix
        ("9123456789", "9123456789"),
        ("+919123456789", "9123456789"),
        ("09123456789", "9123456789"),
        ("91 2345 6789", "9123456789"),
    ],
)
def test_a_mob_num_is_stored_as_ten_digits_without_prefix_and_separators(spelling: str, stored: str) -> None:
    assert parse_mob_num(spelling) == stored


REJECTED = [
    # a prefix that is not removed, or one after another
    "919876543210", "91 98765 43210", "00919876543210", "0091 98765 43210", "009876543210", "+91+919876543210",
    "+91919876543210", "+9109876543210", "+91 0 98765 43210", "0+919876543210", "0919876543210", "+9876543210",
    "+929876543210", "+19876543210",
    # a first digit below 6
    "0876543210", "1876543210", "2876543210", "3876543210", "4876543210", "5876543210", "+915876543210",
    # fewer or more than ten digits
    "", "   ", "+", "-", "0", "+91", "987654321", "98765432101", "+91987654321", "0987654321",
    # another character, or a hyphen at an end
    "98765O3210", "9876543210x", "x9876543210", "98765.43210", "(98765) 43210", "98765/43210", "9.87654321e9",
    "9_876_543_210", "9876543210;", "-9876543210", "9876543210-", " -9876543210", "9876543210- ",
    # a character beyond ASCII
    in_digits_of(DEVANAGARI_ZERO, "9876543210"), in_digits_of(FULL_WIDTH_ZERO, "9876543210"),
    in_digits_of(ARABIC_INDIC_ZERO, "9876543210"), "987654321\uff10", "987654321\u0966", "\uff0b919876543210",
    "98765\u00a043210", "\u00a09876543210", "9876543210\u3000", "98765\u201343210", "98765\u201143210",
    "\u200e9876543210", "\ufeff9876543210",
    # a control character
    "9876543210\n", "\n9876543210", "9876543210\r\n", "98765\n43210", "9876543210\t", "98765\t43210", "9876543210\x00",
]  # fmt: skip


@pytest.mark.parametrize("spelling", REJECTED, ids=ascii)
def test_a_mob_num_of_another_form_is_rejected(spelling: str) -> None:
    assert error_of(parse_mob_num, spelling).code == "mob-num-invalid"


@given(
    st.from_regex(r"[6-9][0-9]{9}", fullmatch=True, alphabet=string.digits),
    st.sampled_from(["", "0", "+91"]),
    st.lists(st.sampled_from(["", "", " ", "-", " - "]), min_size=12, max_size=12),
    st.integers(0, 3),
)
@settings(max_examples=100)
def test_every_spelling_of_a_number_is_stored_alike(
    digits: str, prefix: str, separators: list[str], blanks: int
) -> None:
    characters = prefix + digits
    spelling = characters[0] + "".join(map(str.__add__, separators, characters[1:]))
    assert parse_mob_num(" " * blanks + spelling + " " * blanks) == digits
