"""Properties of every parse function of the users service, for any value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.users.attribution import parse_changed_by, parse_reason
from domain.users.errors import PAN_HOLDER_TYPES
from domain.users.fields import (
    FULL_NAME_MAX,
    parse_full_name,
    parse_mob_num,
    parse_pan_num,
    parse_user_ids,
    parse_uuid,
)
from tests.support.parsing import (
    accepted,
    any_text,
    error_of,
    has_no_control_character,
    near_valid_texts,
    texts_of,
)
from tests.support.users import ASHA, BALA, CHAN, DEVANAGARI_ZERO, FULL_WIDTH_ZERO, parse_pan_num_of_any_holder

LONE_SURROGATES = [chr(0xD800), chr(0xDBFF), chr(0xDC00), chr(0xDFFF), "Asha " + chr(0xD83D)]
WRONG_TYPES: list[Any] = [None, True, False, 0, 9876543210, 10**5000, 1.5, float("nan"), [], ["9876543210"], {}]

TEXT_PARSERS: list[Callable[[object], str]] = [
    parse_full_name,
    parse_mob_num,
    parse_pan_num,
    parse_pan_num_of_any_holder,
    parse_uuid,
    parse_changed_by,
    parse_reason,
]
PARSERS: list[Callable[[object], object]] = [*TEXT_PARSERS, parse_user_ids]


@pytest.mark.parametrize("parse", TEXT_PARSERS)
@pytest.mark.parametrize("value", WRONG_TYPES, ids=lambda value: type(value).__name__)
def test_a_wrong_json_type_is_rejected_and_never_coerced(parse: Callable[[object], str], value: object) -> None:
    assert error_of(parse, value).code == "wrong-type"


@pytest.mark.parametrize("parse", TEXT_PARSERS)
@pytest.mark.parametrize("value", LONE_SURROGATES, ids=ascii)
def test_a_lone_surrogate_is_rejected_because_no_database_can_store_it(
    parse: Callable[[object], str], value: str
) -> None:
    assert error_of(parse, value).code != "wrong-type"


def test_no_error_contains_the_sent_value() -> None:
    sent: list[tuple[Callable[[object], object], str]] = [
        (parse_full_name, "Zebulon\n"),
        (parse_mob_num, "5550123456"),
        (parse_pan_num, "QQQQQ9999Q"),
        (parse_pan_num, "QQQQQ9999"),
        (parse_uuid, "Zebulon"),
        (parse_changed_by, "Zebulon\n"),
        (parse_reason, "Zebulon" * 100),
    ]
    for parse, value in sent:
        assert value.strip() not in texts_of(error_of(parse, value))
    assert "Zebulon" not in texts_of(error_of(parse_user_ids, [ASHA, "Zebulon"]))


VALID = [
    *("Asha Rao", "आशा राव", "9876543210", "+91 98765-43210", "09123456789", "ABCPE1234F", "abcpe1234f", "ABCDE1234F"),
    *(ASHA, BALA.upper()),
]
AWKWARD = [
    *" -+0917aAfFZ",
    *"\n\r\t\x00\x1f\x7f\x85\u00a0\u2028\u200b\ufeff",
    "\r\n",
    *(DEVANAGARI_ZERO, "\u096f", FULL_WIDTH_ZERO, "\uff19", "\uff21"),  # digits 0 and 9, A
    *"\u00df\u0131\u017f\ufb00\u0130\u212a",  # letters whose other case is ASCII, or longer
    *("\u0301", "\U0001f600", chr(0xD800)),
]
texts = near_valid_texts(VALID, AWKWARD) | any_text(40)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**64, -(10**400), 10**4000])
    | st.floats()
    | texts
    | st.sampled_from([ASHA, BALA.upper()]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text(40), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("parse", PARSERS)
@given(value=texts | json_values)
@example(value="\udfff")
@example(value=[[[ASHA]]])
@example(value=[ASHA, BALA.upper(), ASHA])
@settings(max_examples=75)
def test_parsing_is_total_and_idempotent(parse: Callable[[object], object], value: object) -> None:
    stored = accepted(parse, value)
    if stored is not None:
        assert type(stored) in (str, list)
        assert parse(stored) == stored


def assert_accepted_values_have_the_stored_form(text: str) -> None:
    full_name = accepted(parse_full_name, text)
    if full_name is not None:
        assert full_name == text.strip()
        assert 1 <= len(full_name) <= FULL_NAME_MAX
        assert has_no_control_character(full_name)
    mob_num = accepted(parse_mob_num, text)
    if mob_num is not None:
        assert re.match(r"^[6-9][0-9]{9}\Z", mob_num, re.ASCII)
        assert re.match(r"^[+0-9 -]+\Z", text, re.ASCII)
        assert mob_num == "".join(re.findall("[0-9]", text))[-10:]
    pan_num = accepted(parse_pan_num_of_any_holder, text)
    if pan_num is not None:
        assert re.match(r"^[A-Z]{5}[0-9]{4}[A-Z]\Z", pan_num, re.ASCII)
        assert text.isascii()
        assert pan_num == text.strip().upper()
    of_a_holder = accepted(parse_pan_num, text)
    assert of_a_holder == (pan_num if pan_num is not None and pan_num[3] in PAN_HOLDER_TYPES else None)
    user_id = accepted(parse_uuid, text)
    if user_id is not None:
        assert re.match(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", user_id, re.ASCII)
        assert user_id == text.lower()


def test_one_awkward_character_anywhere_is_rejected_or_stored_in_form() -> None:
    for text in VALID:
        for position in range(len(text) + 1):
            for piece in ["", *AWKWARD]:
                assert_accepted_values_have_the_stored_form(text[:position] + piece + text[position:])
                assert_accepted_values_have_the_stored_form(text[:position] + piece + text[position + 1 :])


@given(texts)
@settings(max_examples=200)
def test_an_accepted_value_has_the_stored_form(text: str) -> None:
    assert_accepted_values_have_the_stored_form(text)


@given(st.lists(st.sampled_from([ASHA, ASHA.upper(), BALA, CHAN.title(), "no", None, 1]), max_size=8))
@settings(max_examples=100)
def test_user_ids_are_each_id_once_or_an_error_that_names_each_other(entries: list[Any]) -> None:
    bad = [(position,) for position, entry in enumerate(entries) if accepted(parse_uuid, entry) is None]
    if bad or not entries:
        error = error_of(parse_user_ids, entries)
        assert [violation.path for violation in error.violations] == bad
    else:
        lowered = [entry.lower() for entry in entries]
        assert parse_user_ids(entries) == sorted(set(lowered), key=lowered.index)
