"""The rules of the fields and of an update, sentence by sentence of the users contract."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.errors import ConflictError, InvalidError, NotFoundError, Violation
from domain.timestamps import format_timestamp
from domain.users import (
    FULL_NAME_MAX,
    PAN_HOLDER_TYPES,
    USER_IDS_MAX,
    Changes,
    CurrentUser,
    UpdatePlan,
    manager_refusal,
    mob_num_taken,
    new_user,
    parse_full_name,
    parse_mob_num,
    parse_pan_num,
    parse_user_ids,
    parse_uuid,
    plan_update,
    require_bulk_keys,
    user_not_found,
)
from tests.support.parsing import accepted, error_of

T = TypeVar("T")

DEVANAGARI_ZERO = "\u0966"
ARABIC_INDIC_ZERO = "\u0660"
FULL_WIDTH_ZERO = "\uff10"

ASHA = "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"
BALA = "0b9e6a52-6a0f-4a47-9d0e-5f9d5b1f2a10"
CHAN = "c4c1f7f2-1d2e-4f3a-b5c6-d7e8f9a0b1c2"
NORTH = "11111111-1111-4111-8111-111111111111"
SOUTH = "11111111-1111-4111-8111-111111111112"

LONE_SURROGATES = [chr(0xD800), chr(0xDBFF), chr(0xDC00), chr(0xDFFF), "Asha " + chr(0xD83D)]
WRONG_TYPES: list[Any] = [None, True, False, 0, 9876543210, 10**5000, 1.5, float("nan"), [], ["9876543210"], {}]


def parse_pan_num_of_any_holder(value: object) -> str:
    return parse_pan_num(value, holder_check=False)


TEXT_PARSERS: list[Callable[[object], str]] = [
    parse_full_name,
    parse_mob_num,
    parse_pan_num,
    parse_pan_num_of_any_holder,
    parse_uuid,
]
PARSERS: list[Callable[[object], object]] = [*TEXT_PARSERS, parse_user_ids]


def in_digits_of(zero: str, text: str) -> str:
    """`text` with its digits in another script, whose zero is `zero`."""
    return "".join(chr(ord(zero) + int(character)) if character.isdigit() else character for character in text)


# ---- full_name


@pytest.mark.parametrize(
    ("given_name", "stored"),
    [
        ("Asha Rao", "Asha Rao"),
        ("  Asha Rao ", "Asha Rao"),
        ("\u00a0\u3000Asha Rao\u2003", "Asha Rao"),
        ("asha  RAO", "asha  RAO"),
        ("आशा राव", "आशा राव"),
        ("李小龍", "李小龍"),
        ("عائشة", "عائشة"),
        ("Jose\u0301", "Jose\u0301"),
        ("Jos\u00e9", "Jos\u00e9"),
        ("श्री\u200dराम", "श्री\u200dराम"),
        ("O'Brien-Smith, Jr.", "O'Brien-Smith, Jr."),
        ("'; DROP TABLE users; --", "'; DROP TABLE users; --"),
        ("X", "X"),
        ("a" * FULL_NAME_MAX, "a" * FULL_NAME_MAX),
        ("\U0001d49c" * FULL_NAME_MAX, "\U0001d49c" * FULL_NAME_MAX),
        (" " * 300 + "a" * FULL_NAME_MAX + " " * 300, "a" * FULL_NAME_MAX),
    ],
)
def test_a_full_name_is_stored_trimmed_and_otherwise_unchanged(given_name: str, stored: str) -> None:
    assert parse_full_name(given_name) == stored


@pytest.mark.parametrize("given_name", ["", " ", "   ", "\u00a0", "\u3000\u2003"])
def test_a_full_name_that_is_empty_after_trimming_is_refused(given_name: str) -> None:
    refusal = error_of(parse_full_name, given_name)
    assert refusal.code == "full-name-invalid"
    assert "empty" in refusal.detail


def test_a_full_name_has_at_most_200_code_points() -> None:
    assert FULL_NAME_MAX == 200
    for letter in ("a", "\U0001d49c"):
        refusal = error_of(parse_full_name, letter * 201)
        assert refusal.code == "full-name-invalid"
        assert "200" in refusal.detail


@pytest.mark.parametrize("given_name", ["Asha\nRao", "Asha Rao\n", "\r\nAsha Rao", "Asha\tRao", "\x00", "Asha\x85"])
def test_a_full_name_with_a_control_character_anywhere_is_refused(given_name: str) -> None:
    assert error_of(parse_full_name, given_name).code == "full-name-invalid"


def test_of_all_characters_only_controls_and_lone_surrogates_are_refused_within_a_name() -> None:
    for code_point in (*range(0x10000), 0x1F600, 0xE0001, 0x10FFFF):
        character = chr(code_point)
        is_refused = accepted(parse_full_name, f"a{character}b") is None
        assert is_refused == (unicodedata.category(character) in ("Cc", "Cs")), hex(code_point)


# ---- mob_num


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
    ],
)
def test_a_mob_num_is_stored_as_ten_digits_without_prefix_spaces_and_hyphens(spelling: str, stored: str) -> None:
    assert parse_mob_num(spelling) == stored


@pytest.mark.parametrize("spelling", ["9123456789", "+919123456789", "09123456789", "91 2345 6789"])
def test_a_number_that_begins_with_91_is_a_number_and_not_a_prefix(spelling: str) -> None:
    assert parse_mob_num(spelling) == "9123456789"


@pytest.mark.parametrize(
    "spelling",
    [
        "919876543210",
        "91 98765 43210",
        "00919876543210",
        "0091 98765 43210",
        "009876543210",
        "+91+919876543210",
        "+91919876543210",
        "+9109876543210",
        "+91 0 98765 43210",
        "0+919876543210",
        "0919876543210",
        "+9876543210",
        "+929876543210",
        "+19876543210",
    ],
)
def test_a_prefix_is_removed_once_and_any_other_prefix_is_refused(spelling: str) -> None:
    assert error_of(parse_mob_num, spelling).code == "mob-num-invalid"


@pytest.mark.parametrize(
    "spelling", ["0876543210", "1876543210", "2876543210", "3876543210", "4876543210", "5876543210", "+915876543210"]
)
def test_a_first_digit_below_6_is_refused(spelling: str) -> None:
    assert error_of(parse_mob_num, spelling).code == "mob-num-invalid"


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        "   ",
        "+",
        "-",
        "0",
        "+91",
        "987654321",
        "98765432101",
        "+91987654321",
        "0987654321",
        "98765O3210",
        "9876543210x",
        "x9876543210",
        "98765.43210",
        "(98765) 43210",
        "98765/43210",
        "9.87654321e9",
        "9_876_543_210",
        "9876543210;",
        "-9876543210",
        "9876543210-",
        " -9876543210",
        "9876543210- ",
    ],
)
def test_a_mob_num_that_is_no_ten_digits_is_refused(spelling: str) -> None:
    assert error_of(parse_mob_num, spelling).code == "mob-num-invalid"


@pytest.mark.parametrize(
    "spelling",
    [
        in_digits_of(DEVANAGARI_ZERO, "9876543210"),
        in_digits_of(FULL_WIDTH_ZERO, "9876543210"),
        in_digits_of(ARABIC_INDIC_ZERO, "9876543210"),
        "987654321\uff10",
        "987654321\u0966",
        "\uff0b919876543210",
        "98765\u00a043210",
        "\u00a09876543210",
        "9876543210\u3000",
        "98765\u201343210",
        "98765\u201143210",
        "\u200e9876543210",
        "\ufeff9876543210",
    ],
)
def test_a_mob_num_with_a_character_beyond_ascii_is_refused(spelling: str) -> None:
    assert error_of(parse_mob_num, spelling).code == "mob-num-invalid"


@pytest.mark.parametrize(
    "spelling",
    [
        "9876543210\n",
        "\n9876543210",
        "9876543210\r\n",
        "98765\n43210",
        "9876543210\t",
        "98765\t43210",
        "9876543210\x00",
    ],
)
def test_a_mob_num_with_a_line_break_or_another_control_character_is_refused(spelling: str) -> None:
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


# ---- pan_num


@pytest.mark.parametrize("spelling", ["ABCPE1234F", "abcpe1234f", "aBcPe1234F", "  ABCPE1234F ", " abcpe1234f"])
def test_a_pan_num_is_stored_trimmed_and_in_capitals(spelling: str) -> None:
    assert parse_pan_num(spelling) == "ABCPE1234F"
    assert parse_pan_num(spelling, holder_check=False) == "ABCPE1234F"


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        " ",
        "ABCPE1234",
        "ABCPE12345",
        "ABCPE1234FF",
        "ABCP1E234F",
        "1BCPE1234F",
        "ABCPEF1234",
        "ABCPE 1234F",
        "ABCPE-1234-F",
        "ABCPE1234F.",
        "ABCPE1234F\n",
        "\nABCPE1234F",
        "ABCPE\n1234F",
        "ABCPE1234F\x00",
    ],
)
@pytest.mark.parametrize("holder_check", [True, False])
def test_a_pan_num_of_another_form_is_refused_with_and_without_the_holder_check(
    spelling: str, holder_check: bool
) -> None:
    refusal = error_of(lambda value: parse_pan_num(value, holder_check=holder_check), spelling)
    assert refusal.code == "pan-num-invalid"


@pytest.mark.parametrize(
    "spelling",
    [
        in_digits_of(DEVANAGARI_ZERO, "ABCPE1234F"),
        in_digits_of(FULL_WIDTH_ZERO, "ABCPE1234F"),
        "\uff21BCPE1234F",
        "ABCPE123\uff14F",
        "\u0391BCPE1234F",
        "\u0410BCPE1234F",
        "a\u00dfpe1234f",
        "abcp\u01311234f",
        "\u017fbcpe1234f",
        "\ufb00cpe1234f",
        "abcpe1234\u212a",
        "\u00a0ABCPE1234F",
        "ABCPE1234F\u3000",
    ],
)
@pytest.mark.parametrize("holder_check", [True, False])
def test_a_pan_num_beyond_ascii_is_refused_even_where_its_capitals_would_fit(spelling: str, holder_check: bool) -> None:
    refusal = error_of(lambda value: parse_pan_num(value, holder_check=holder_check), spelling)
    assert refusal.code == "pan-num-invalid"


def test_the_fourth_letter_is_one_of_the_ten_holder_types() -> None:
    assert PAN_HOLDER_TYPES == "ABCFGHJLPT"
    for letter in string.ascii_letters:
        pan_num = f"ABC{letter}E1234F"
        if letter.upper() in PAN_HOLDER_TYPES:
            assert parse_pan_num(pan_num) == pan_num.upper()
        else:
            refusal = error_of(parse_pan_num, pan_num)
            assert refusal.code == "pan-holder-invalid"


def test_without_the_holder_check_the_fourth_letter_is_any_letter_and_still_a_letter() -> None:
    for letter in string.ascii_uppercase:
        assert parse_pan_num(f"ABC{letter}E1234F", holder_check=False) == f"ABC{letter}E1234F"
    assert error_of(parse_pan_num_of_any_holder, "ABC1E1234F").code == "pan-num-invalid"


def test_the_refusal_of_a_holder_names_the_letters_and_the_setting() -> None:
    detail = error_of(parse_pan_num, "ABCDE1234F").detail
    assert PAN_HOLDER_TYPES in detail
    assert "PAN_HOLDER_CHECK=off" in detail


# ---- UUIDs and lists of them


@pytest.mark.parametrize(
    "spelling", [ASHA, ASHA.upper(), "7F3d1c1E-9a4b-4d0e-8A52-3f1b2c4d5e6F", "00000000-0000-0000-0000-000000000000"]
)
def test_a_uuid_is_accepted_in_either_case_and_answered_in_lower_case(spelling: str) -> None:
    assert parse_uuid(spelling) == spelling.lower()


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        "1",
        ASHA[:-1],
        ASHA + "0",
        ASHA.replace("-", ""),
        "{" + ASHA + "}",
        "urn:uuid:" + ASHA,
        "g" + ASHA[1:],
        ASHA.replace("-", "_"),
        ASHA.replace("-", "\u2010"),
        ASHA.replace("9", "\uff19"),
        ASHA.replace("9", "\u096f"),
        " " + ASHA,
        ASHA + " ",
        ASHA + "\n",
        ASHA + "\x00",
        "7f3d1c1-e9a4b-4d0e-8a52-3f1b2c4d5e6f",
    ],
)
def test_a_uuid_of_another_form_is_refused(spelling: str) -> None:
    assert error_of(parse_uuid, spelling).code == "uuid-invalid"


def test_user_ids_are_answered_in_lower_case_in_the_order_of_the_request() -> None:
    assert parse_user_ids([CHAN.upper(), ASHA, BALA]) == [CHAN, ASHA, BALA]


def test_a_duplicate_in_user_ids_counts_once_at_its_first_place_whatever_its_case() -> None:
    assert parse_user_ids([BALA, ASHA, BALA.upper(), BALA, ASHA.upper()]) == [BALA, ASHA]


def test_user_ids_have_1_to_10000_entries_duplicates_included() -> None:
    assert USER_IDS_MAX == 10_000
    assert parse_user_ids([ASHA] * 10_000) == [ASHA]
    many = [f"00000000-0000-4000-8000-{number:012x}" for number in range(10_001)]
    assert parse_user_ids(many[:10_000]) == many[:10_000]
    for too_few_or_many in ([], many, [ASHA] * 10_001):
        refusal = error_of(parse_user_ids, too_few_or_many)
        assert refusal.code == "user-ids-count"
        assert str(len(too_few_or_many)) in refusal.detail


def test_every_invalid_entry_of_user_ids_is_named_by_its_position() -> None:
    refusal = error_of(parse_user_ids, [ASHA, "no", BALA, None, 7, [ASHA], ASHA + "\n"])
    assert refusal.code == "user-ids-invalid"
    assert [(violation.pointer, violation.code) for violation in refusal.violations] == [
        ("/1", "uuid-invalid"),
        ("/3", "wrong-type"),
        ("/4", "wrong-type"),
        ("/5", "wrong-type"),
        ("/6", "uuid-invalid"),
    ]
    assert all(violation.detail for violation in refusal.violations)


@pytest.mark.parametrize("value", [None, True, 0, 1.5, ASHA, {}, {ASHA: ASHA}, {"0": ASHA}])
def test_user_ids_that_are_no_list_are_refused(value: object) -> None:
    assert error_of(parse_user_ids, value).code == "wrong-type"


# ---- every parse function


@pytest.mark.parametrize("parse", TEXT_PARSERS)
@pytest.mark.parametrize("value", WRONG_TYPES, ids=lambda value: type(value).__name__)
def test_a_wrong_json_type_is_refused_and_never_coerced(parse: Callable[[object], str], value: object) -> None:
    assert error_of(parse, value).code == "wrong-type"


@pytest.mark.parametrize("parse", TEXT_PARSERS)
@pytest.mark.parametrize("value", LONE_SURROGATES, ids=ascii)
def test_a_lone_surrogate_is_refused_because_no_database_can_keep_it(
    parse: Callable[[object], str], value: str
) -> None:
    assert error_of(parse, value).code != "wrong-type"


def test_no_refusal_repeats_what_was_sent() -> None:
    sent: list[tuple[Callable[[object], object], str]] = [
        (parse_full_name, "Zebulon\n"),
        (parse_mob_num, "5550123456"),
        (parse_pan_num, "QQQQQ9999Q"),
        (parse_pan_num, "QQQQQ9999"),
        (parse_uuid, "Zebulon"),
    ]
    for parse, value in sent:
        refusal = error_of(parse, value)
        assert value.strip() not in f"{refusal} {refusal.detail} {refusal.violations} {refusal.members}"


VALID = [
    "Asha Rao",
    "आशा राव",
    "9876543210",
    "+91 98765-43210",
    "09123456789",
    "ABCPE1234F",
    "abcpe1234f",
    "ABCDE1234F",
    ASHA,
    BALA.upper(),
]
AWKWARD = [
    *" -+0917aAfFZ",
    *"\n\r\t\x00\x1f\x7f\x85\u00a0\u2028\u200b\ufeff",
    "\r\n",
    *(DEVANAGARI_ZERO, "\u096f", FULL_WIDTH_ZERO, "\uff19", "\uff21"),  # digits 0 and 9, A
    *"\u00df\u0131\u017f\ufb00\u0130\u212a",  # letters whose other case is ASCII, or longer
    *("\u0301", "\U0001f600", chr(0xD800)),
]

# The whole range: control characters, unassigned ones, lone surrogates.
any_text = st.text(st.characters(exclude_categories=()), max_size=40)


@st.composite
def near_valid_texts(draw: st.DrawFn) -> str:
    """A valid text after up to three mutations: a character put in, put in place of another, or taken out."""
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        place = draw(st.integers(0, len(text)))
        piece = draw(st.sampled_from(AWKWARD))
        text = text[:place] + draw(st.sampled_from([piece, piece, ""])) + text[place + draw(st.integers(0, 1)) :]
    return draw(st.sampled_from([text, text, text.upper(), text.lower(), text + "\n", f" {text} "]))


texts = near_valid_texts() | any_text
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**64, -(10**400), 10**4000])
    | st.floats()
    | texts
    | st.sampled_from([ASHA, BALA.upper()]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("parse", PARSERS)
@given(value=texts | json_values)
@example(value="\udfff")
@example(value=[[[ASHA]]])
@example(value=[ASHA, BALA.upper(), ASHA])
@settings(max_examples=150)
def test_a_parse_function_answers_or_refuses_any_value_and_answers_its_own_answer_unchanged(
    parse: Callable[[object], object], value: object
) -> None:
    stored = accepted(parse, value)
    if stored is not None:
        assert type(stored) in (str, list)
        assert parse(stored) == stored


def assert_accepted_values_have_the_stored_form(text: str) -> None:
    full_name = accepted(parse_full_name, text)
    if full_name is not None:
        assert full_name == text.strip()
        assert 1 <= len(full_name) <= FULL_NAME_MAX
        assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in full_name)
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


def test_one_awkward_character_at_any_place_is_refused_or_stored_in_form() -> None:
    for text in VALID:
        for place in range(len(text) + 1):
            for piece in ["", *AWKWARD]:
                assert_accepted_values_have_the_stored_form(text[:place] + piece + text[place:])
                assert_accepted_values_have_the_stored_form(text[:place] + piece + text[place + 1 :])


@given(texts)
@settings(max_examples=200)
def test_what_is_accepted_has_the_stored_form(text: str) -> None:
    assert_accepted_values_have_the_stored_form(text)


@given(st.lists(st.sampled_from([ASHA, ASHA.upper(), BALA, CHAN.title(), "no", None, 1]), max_size=8))
@settings(max_examples=100)
def test_user_ids_are_each_id_once_or_a_refusal_that_names_each_entry_that_is_none(entries: list[Any]) -> None:
    bad = [f"/{place}" for place, entry in enumerate(entries) if accepted(parse_uuid, entry) is None]
    if bad or not entries:
        refusal = error_of(parse_user_ids, entries)
        assert [violation.pointer for violation in refusal.violations] == bad
    else:
        lowered = [entry.lower() for entry in entries]
        assert parse_user_ids(entries) == sorted(set(lowered), key=lowered.index)


# ---- times, and the first version

aware_times = st.datetimes(
    min_value=datetime(1, 1, 3),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
)


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (datetime(2024, 2, 29, 12, 30, 15, 42, tzinfo=UTC), "2024-02-29T12:30:15.000042Z"),
        (datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00.000000Z"),
        (datetime(2024, 1, 1, 3, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2023-12-31T21:30:00.000000Z"),
    ],
)
def test_a_timestamp_is_utc_with_microseconds_and_z(now: datetime, text: str) -> None:
    assert format_timestamp(now) == text


@given(aware_times, aware_times)
@settings(max_examples=150)
def test_timestamps_have_27_characters_sort_as_time_does_and_round_trip(one: datetime, other: datetime) -> None:
    first, second = format_timestamp(one), format_timestamp(other)
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", first)
    assert len(first) == 27
    assert (first < second, first == second) == (one < other, one == other)
    assert datetime.fromisoformat(first) == one
    assert format_timestamp(datetime.fromisoformat(first)) == first


def test_a_new_user_is_active_and_was_never_updated() -> None:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    assert new_user("Asha Rao", "9876543210", "ABCPE1234F", None, user_id=ASHA, now=now) == {
        "user_id": ASHA,
        "manager_id": None,
        "full_name": "Asha Rao",
        "mob_num": "9876543210",
        "pan_num": "ABCPE1234F",
        "created_at": "2024-01-01T00:00:00.000000Z",
        "updated_at": None,
        "is_active": True,
    }


# ---- refusals that need more than a field


@pytest.mark.parametrize(
    "changes",
    [
        Changes(full_name="Asha Rao"),
        Changes(full_name="Asha Rao", mob_num="9876543210", pan_num="ABCPE1234F", manager_id=NORTH),
    ],
)
def test_one_user_may_be_updated_with_any_key(changes: Changes) -> None:
    before = Changes(**changes)
    require_bulk_keys([ASHA], changes)
    assert changes == before


def test_several_users_may_be_updated_with_a_manager_only() -> None:
    changes = Changes(manager_id=NORTH)
    require_bulk_keys([ASHA, BALA, CHAN], changes)
    assert changes == {"manager_id": NORTH}


@pytest.mark.parametrize(
    ("changes", "extra_keys"),
    [
        (Changes(full_name="Asha Rao"), ["full_name"]),
        (Changes(manager_id=NORTH, mob_num="9876543210"), ["mob_num"]),
        (Changes(pan_num="ABCPE1234F", manager_id=NORTH, full_name="Asha Rao"), ["pan_num", "full_name"]),
        (
            Changes(full_name="Asha Rao", mob_num="9876543210", pan_num="ABCPE1234F"),
            ["full_name", "mob_num", "pan_num"],
        ),
    ],
)
def test_a_bulk_update_with_other_keys_is_refused_and_names_each_of_them(
    changes: Changes, extra_keys: list[str]
) -> None:
    with pytest.raises(InvalidError) as caught:
        require_bulk_keys([ASHA, BALA], changes)
    refusal = caught.value
    assert refusal.code == "bulk-update-keys"
    assert refusal.members == {"extra_keys": extra_keys}
    assert "can be updated on an individual basis only and not in bulk" in refusal.detail
    assert all(key in refusal.detail for key in extra_keys)
    assert refusal.violations == [
        Violation(f"/update_data/{key}", "bulk-update-keys", refusal.detail) for key in extra_keys
    ]


@pytest.mark.parametrize(("is_active", "code"), [(None, "manager-unknown"), (False, "manager-inactive")])
@pytest.mark.parametrize("pointer", ["/manager_id", "/update_data/manager_id"])
def test_an_unknown_and_an_inactive_manager_are_refused_where_the_body_named_them(
    is_active: bool | None, code: str, pointer: str
) -> None:
    refusal = manager_refusal(is_active, pointer=pointer)
    assert type(refusal) is InvalidError
    assert refusal.code == code
    assert refusal.violations == [Violation(pointer, code, refusal.detail)]
    assert refusal.members == {}


@pytest.mark.parametrize("pointer", ["/mob_num", "/update_data/mob_num"])
def test_a_taken_number_is_a_conflict(pointer: str) -> None:
    refusal = mob_num_taken(pointer=pointer)
    assert type(refusal) is ConflictError
    assert refusal.code == "mob-num-taken"
    assert refusal.violations == [Violation(pointer, "mob-num-taken", refusal.detail)]
    assert refusal.members == {}


@pytest.mark.parametrize("key", ["user_id", "mob_num"])
def test_a_user_who_is_not_found_is_refused_with_the_key_that_was_given(key: str) -> None:
    refusal = user_not_found(key)
    assert type(refusal) is NotFoundError
    assert refusal.code == "user-not-found"
    assert key in refusal.detail
    assert refusal.violations == [Violation(f"/{key}", "user-not-found", refusal.detail)]


# ---- update


def user(row_id: int, user_id: str = ASHA, manager_id: str | None = None, **values: str) -> CurrentUser:
    return CurrentUser(
        **{
            "id": row_id,
            "user_id": user_id,
            "manager_id": manager_id,
            "full_name": "Asha Rao",
            "mob_num": "9876543210",
            "pan_num": "ABCPE1234F",
            **cast("dict[str, Any]", values),
        }
    )


OTHER_VALUES = [
    Changes(full_name="Asha Iyer"),
    Changes(mob_num="6000000000"),
    Changes(pan_num="ABCPE1234G"),
    Changes(full_name="Asha Iyer", mob_num="6000000000", pan_num="ABCPE1234G"),
]


def test_a_manager_for_a_user_who_has_none_is_set_in_place() -> None:
    plan = plan_update([ASHA], [user(7)], Changes(manager_id=NORTH))
    assert plan == UpdatePlan(in_place=[7], superseded=[], updated=[ASHA], unchanged=[], not_found=[])


def test_another_manager_for_a_user_who_has_one_opens_a_new_version() -> None:
    plan = plan_update([ASHA], [user(7, manager_id=SOUTH)], Changes(manager_id=NORTH))
    assert plan == UpdatePlan(in_place=[], superseded=[7], updated=[ASHA], unchanged=[], not_found=[])


def test_the_same_manager_again_writes_nothing() -> None:
    plan = plan_update([ASHA], [user(7, manager_id=NORTH)], Changes(manager_id=NORTH))
    assert plan == UpdatePlan(in_place=[], superseded=[], updated=[], unchanged=[ASHA], not_found=[])


@pytest.mark.parametrize("manager_id", [None, NORTH])
@pytest.mark.parametrize("changes", OTHER_VALUES)
def test_other_values_without_a_manager_are_written_in_place(changes: Changes, manager_id: str | None) -> None:
    plan = plan_update([ASHA], [user(7, manager_id=manager_id)], changes)
    assert plan == UpdatePlan(in_place=[7], superseded=[], updated=[ASHA], unchanged=[], not_found=[])


@pytest.mark.parametrize("changes", OTHER_VALUES)
def test_other_values_with_the_same_manager_are_written_in_place(changes: Changes) -> None:
    plan = plan_update([ASHA], [user(7, manager_id=NORTH)], Changes(**changes, manager_id=NORTH))
    assert plan == UpdatePlan(in_place=[7], superseded=[], updated=[ASHA], unchanged=[], not_found=[])


@pytest.mark.parametrize("changes", OTHER_VALUES)
def test_other_values_with_another_manager_open_one_new_version(changes: Changes) -> None:
    plan = plan_update([ASHA], [user(7, manager_id=SOUTH)], Changes(**changes, manager_id=NORTH))
    assert plan == UpdatePlan(in_place=[], superseded=[7], updated=[ASHA], unchanged=[], not_found=[])


@pytest.mark.parametrize("changes", OTHER_VALUES)
def test_other_values_with_a_first_manager_are_written_in_place(changes: Changes) -> None:
    plan = plan_update([ASHA], [user(7)], Changes(**changes, manager_id=NORTH))
    assert plan == UpdatePlan(in_place=[7], superseded=[], updated=[ASHA], unchanged=[], not_found=[])


@pytest.mark.parametrize(
    "changes",
    [
        Changes(full_name="Asha Rao"),
        Changes(mob_num="9876543210"),
        Changes(full_name="Asha Rao", mob_num="9876543210", pan_num="ABCPE1234F", manager_id=NORTH),
    ],
)
def test_values_equal_to_what_is_stored_write_nothing(changes: Changes) -> None:
    plan = plan_update([ASHA], [user(7, manager_id=NORTH)], changes)
    assert plan == UpdatePlan(in_place=[], superseded=[], updated=[], unchanged=[ASHA], not_found=[])


def test_one_value_that_differs_among_equal_ones_is_written() -> None:
    plan = plan_update([ASHA], [user(7)], Changes(full_name="Asha Rao", mob_num="9876543210", pan_num="ABCPE1234G"))
    assert plan == UpdatePlan(in_place=[7], superseded=[], updated=[ASHA], unchanged=[], not_found=[])


def test_ids_that_do_not_exist_are_skipped_and_reported_in_the_order_of_the_request() -> None:
    unknown = [f"00000000-0000-4000-8000-00000000000{digit}" for digit in (3, 1, 2)]
    plan = plan_update([unknown[0], ASHA, unknown[1], unknown[2]], [user(7)], Changes(manager_id=NORTH))
    assert plan == UpdatePlan(in_place=[7], superseded=[], updated=[ASHA], unchanged=[], not_found=unknown)


def test_each_user_of_a_bulk_update_is_decided_alone_and_reported_in_the_order_of_the_request() -> None:
    current = [user(1, ASHA), user(2, BALA, NORTH), user(3, CHAN, SOUTH)]
    plan = plan_update([CHAN, BALA, ASHA], current, Changes(manager_id=NORTH))
    assert plan == UpdatePlan(in_place=[1], superseded=[3], updated=[CHAN, ASHA], unchanged=[BALA], not_found=[])


def test_an_update_of_nobody_is_refused_with_every_id_in_the_order_of_the_request() -> None:
    with pytest.raises(NotFoundError) as caught:
        plan_update([CHAN, ASHA, BALA], [], Changes(manager_id=NORTH))
    assert caught.value.code == "users-not-found"
    assert caught.value.members == {"not_found": [CHAN, ASHA, BALA]}


def test_users_who_are_all_unchanged_are_no_refusal() -> None:
    current = [user(1, ASHA, NORTH), user(2, BALA, NORTH)]
    plan = plan_update([BALA, ASHA], current, Changes(manager_id=NORTH))
    assert plan == UpdatePlan(in_place=[], superseded=[], updated=[], unchanged=[BALA, ASHA], not_found=[])


manager_ids = st.sampled_from([NORTH, SOUTH, "11111111-1111-4111-8111-111111111113"])
changes_of_a_user = st.fixed_dictionaries(
    {},
    optional={
        "full_name": st.sampled_from(["Asha Rao", "Asha Iyer"]),
        "mob_num": st.sampled_from(["9876543210", "6000000000"]),
        "pan_num": st.sampled_from(["ABCPE1234F", "ABCPE1234G"]),
        "manager_id": manager_ids,
    },
).filter(bool)


@given(
    st.permutations([f"00000000-0000-4000-8000-00000000000{digit}" for digit in range(6)]),
    st.lists(st.none() | manager_ids, min_size=1, max_size=5),
    manager_ids,
    st.permutations(range(6)),
)
@settings(max_examples=100)
def test_every_id_is_reported_once_and_every_write_belongs_to_an_updated_user(
    user_ids: list[str], managers: list[str | None], manager_id: str, order: list[int]
) -> None:
    current = [user(10 + place, user_ids[place], stored) for place, stored in enumerate(managers)]
    requested = [user_ids[place] for place in order]
    plan = plan_update(requested, current, Changes(manager_id=manager_id))
    stored_managers = {one.user_id: one.manager_id for one in current}
    rows = {one.user_id: one.id for one in current}
    assert plan.not_found == [one for one in requested if one not in stored_managers]
    assert plan.unchanged == [one for one in requested if stored_managers.get(one) == manager_id]
    assert plan.updated == [one for one in requested if one not in {*plan.not_found, *plan.unchanged}]
    assert plan.in_place == [rows[one] for one in plan.updated if stored_managers[one] is None]
    assert plan.superseded == [rows[one] for one in plan.updated if stored_managers[one] is not None]


class Version(NamedTuple):
    """A row of a user's history, as the contract describes it; `updates` counts how often it was written."""

    number: int
    current: CurrentUser
    is_active: bool
    updates: int


def carried_out(history: Sequence[Version], changes: Changes) -> list[Version]:
    """The history after an update, by the decision of `plan_update` and the contract's words for it."""
    *closed, last = history
    plan = plan_update([last.current.user_id], [last.current], changes)
    after = last.current._replace(**cast("dict[str, Any]", changes))
    if plan.in_place:
        assert plan.in_place == [last.current.id]
        return [*closed, last._replace(current=after, updates=last.updates + 1)]
    if plan.superseded:
        assert plan.superseded == [last.current.id]
        opened = Version(last.number + 1, after._replace(id=last.current.id + 1), is_active=True, updates=1)
        return [*closed, last._replace(is_active=False, updates=last.updates + 1), opened]
    return list(history)


@given(st.none() | manager_ids, st.lists(changes_of_a_user, max_size=12))
@settings(max_examples=200)
def test_the_chain_of_versions_holds_whatever_the_updates(first: str | None, updates: list[Changes]) -> None:
    history = [Version(1, user(1, ASHA, first), is_active=True, updates=0)]
    for changes in updates:
        before, history = history, carried_out(history, changes)
        was, now = before[-1].current, history[-1].current

        assert [version.number for version in history] == list(range(1, len(history) + 1))
        assert [version.is_active for version in history] == [False] * (len(history) - 1) + [True]
        assert history[: len(before) - 1] == before[:-1], "a closed version was written"
        managers = [version.current.manager_id for version in history]
        assert all(one != following for one, following in pairwise(managers))
        assert None not in managers[:-1], "a version was opened for a first manager"

        moved = was.manager_id is not None and changes.get("manager_id", was.manager_id) != was.manager_id
        assert len(history) - len(before) == moved
        assert now._replace(id=was.id) == was._replace(**cast("dict[str, Any]", changes))
        if moved:
            assert history[-2].current == was, "the data of the version that was closed changed"
        if now == was:
            assert history == before, "equal values were written"
