"""The values that full_name, pan_num, UUIDs and user_ids accept."""

from __future__ import annotations

import string
import unicodedata

import pytest

from domain.users.errors import PAN_HOLDER_TYPES
from domain.users.fields import (
    FULL_NAME_MAX,
    USER_IDS_MAX,
    parse_full_name,
    parse_pan_num,
    parse_user_ids,
    parse_uuid,
)
from tests.support.parsing import accepted, error_of
from tests.support.users import (
    ASHA,
    BALA,
    CHAN,
    DEVANAGARI_ZERO,
    FULL_WIDTH_ZERO,
    in_digits_of,
    parse_pan_num_of_any_holder,
)

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
def test_a_full_name_that_is_empty_after_trimming_is_rejected(given_name: str) -> None:
    error = error_of(parse_full_name, given_name)
    assert error.code == "full-name-invalid"
    assert "empty" in error.detail


@pytest.mark.parametrize("letter", ["a", "\U0001d49c"])
def test_a_full_name_has_at_most_200_code_points(letter: str) -> None:
    assert FULL_NAME_MAX == 200
    error = error_of(parse_full_name, letter * 201)
    assert error.code == "full-name-invalid"
    assert "200" in error.detail


@pytest.mark.parametrize("given_name", ["Asha\nRao", "Asha Rao\n", "\r\nAsha Rao", "Asha\tRao", "\x00", "Asha\x85"])
def test_a_full_name_with_a_control_character_anywhere_is_rejected(given_name: str) -> None:
    assert error_of(parse_full_name, given_name).code == "full-name-invalid"


def test_a_name_has_any_character_but_controls_and_lone_surrogates() -> None:
    for code_point in (*range(0x10000), 0x1F600, 0xE0001, 0x10FFFF):
        character = chr(code_point)
        is_rejected = accepted(parse_full_name, f"a{character}b") is None
        assert is_rejected == (unicodedata.category(character) in ("Cc", "Cs")), hex(code_point)


# ---- pan_num


@pytest.mark.parametrize("spelling", ["ABCPE1234F", "abcpe1234f", "aBcPe1234F", "  ABCPE1234F ", " abcpe1234f"])
def test_a_pan_num_is_stored_trimmed_and_in_capitals(spelling: str) -> None:
    assert parse_pan_num(spelling) == "ABCPE1234F"
    assert parse_pan_num(spelling, holder_check=False) == "ABCPE1234F"


@pytest.mark.parametrize(
    "spelling",
    [
        "", " ", "ABCPE1234", "ABCPE12345", "ABCPE1234FF", "ABCP1E234F", "1BCPE1234F", "ABCPEF1234", "ABC1E1234F",
        "ABCPE 1234F", "ABCPE-1234-F", "ABCPE1234F.", "ABCPE1234F\n", "\nABCPE1234F", "ABCPE\n1234F", "ABCPE1234F\x00",
        # beyond ASCII, even where the capitals would fit
        in_digits_of(DEVANAGARI_ZERO, "ABCPE1234F"), in_digits_of(FULL_WIDTH_ZERO, "ABCPE1234F"), "\uff21BCPE1234F",
        "ABCPE123\uff14F", "\u0391BCPE1234F", "\u0410BCPE1234F", "a\u00dfpe1234f", "abcp\u01311234f", "\u017fbcpe1234f",
        "\ufb00cpe1234f", "abcpe1234\u212a", "\u00a0ABCPE1234F", "ABCPE1234F\u3000",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_pan_num_of_another_form_is_rejected_with_either_check(spelling: str) -> None:
    assert error_of(parse_pan_num, spelling).code == "pan-num-invalid"
    assert error_of(parse_pan_num_of_any_holder, spelling).code == "pan-num-invalid"


def test_the_fourth_letter_is_one_of_the_ten_holder_types() -> None:
    assert PAN_HOLDER_TYPES == "ABCFGHJLPT"
    for letter in string.ascii_letters:
        pan_num = f"ABC{letter}E1234F"
        if letter.upper() in PAN_HOLDER_TYPES:
            assert parse_pan_num(pan_num) == pan_num.upper()
        else:
            assert error_of(parse_pan_num, pan_num).code == "pan-holder-invalid"


def test_without_the_holder_check_the_fourth_letter_is_any_letter() -> None:
    for letter in string.ascii_uppercase:
        assert parse_pan_num(f"ABC{letter}E1234F", holder_check=False) == f"ABC{letter}E1234F"


def test_the_error_for_a_holder_names_the_letters_and_the_setting() -> None:
    detail = error_of(parse_pan_num, "ABCDE1234F").detail
    assert PAN_HOLDER_TYPES in detail
    assert "PAN_HOLDER_CHECK=off" in detail


# ---- UUIDs and lists of them


@pytest.mark.parametrize(
    "spelling", [ASHA, ASHA.upper(), "7F3d1c1E-9a4b-4d0e-8A52-3f1b2c4d5e6F", "00000000-0000-0000-0000-000000000000"]
)
def test_a_uuid_is_accepted_in_either_case_and_stored_in_lower_case(spelling: str) -> None:
    assert parse_uuid(spelling) == spelling.lower()


@pytest.mark.parametrize(
    "spelling",
    [
        "", "1", ASHA[:-1], ASHA + "0", ASHA.replace("-", ""), "{" + ASHA + "}", "urn:uuid:" + ASHA, "g" + ASHA[1:],
        ASHA.replace("-", "_"), ASHA.replace("-", "\u2010"), ASHA.replace("9", "\uff19"), ASHA.replace("9", "\u096f"),
        " " + ASHA, ASHA + " ", ASHA + "\n", ASHA + "\x00", "7f3d1c1-e9a4b-4d0e-8a52-3f1b2c4d5e6f",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_uuid_of_another_form_is_rejected(spelling: str) -> None:
    assert error_of(parse_uuid, spelling).code == "uuid-invalid"


def test_user_ids_are_stored_in_lower_case_in_the_order_of_the_request() -> None:
    assert parse_user_ids([CHAN.upper(), ASHA, BALA]) == [CHAN, ASHA, BALA]


def test_a_duplicate_in_user_ids_counts_once_at_its_first_position() -> None:
    assert parse_user_ids([BALA, ASHA, BALA.upper(), BALA, ASHA.upper()]) == [BALA, ASHA]


def test_user_ids_have_1_to_10000_entries_duplicates_included() -> None:
    assert USER_IDS_MAX == 10_000
    assert parse_user_ids([ASHA] * 10_000) == [ASHA]
    many = [f"00000000-0000-4000-8000-{number:012x}" for number in range(10_001)]
    assert parse_user_ids(many[:10_000]) == many[:10_000]
    for too_few_or_many in ([], many, [ASHA] * 10_001):
        error = error_of(parse_user_ids, too_few_or_many)
        assert error.code == "user-ids-count"
        assert str(len(too_few_or_many)) in error.detail


def test_every_invalid_entry_of_user_ids_is_named_by_its_position() -> None:
    error = error_of(parse_user_ids, [ASHA, "no", BALA, None, 7, [ASHA], ASHA + "\n"])
    assert error.code == "user-ids-invalid"
    assert [(violation.path, violation.code) for violation in error.violations] == [
        ((1,), "uuid-invalid"),
        ((3,), "wrong-type"),
        ((4,), "wrong-type"),
        ((5,), "wrong-type"),
        ((6,), "uuid-invalid"),
    ]
    assert all(violation.detail for violation in error.violations)


@pytest.mark.parametrize("value", [None, True, 0, 1.5, ASHA, {}, {ASHA: ASHA}, {"0": ASHA}])
def test_user_ids_that_are_no_list_are_rejected(value: object) -> None:
    assert error_of(parse_user_ids, value).code == "wrong-type"
