"""The rules of the points of a ledger, sentence by sentence of the points contract."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from itertools import permutations
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.errors import ConflictError, ForbiddenError, Violation
from domain.points import (
    PAYER_MAX,
    POINTS_MAX,
    Balance,
    Lot,
    Payment,
    PayerShare,
    SpendPlan,
    add_points,
    allocate,
    insufficient_points,
    parse_payer,
    parse_points,
    parse_points_to_spend,
    parse_timestamp,
    payments,
    points_overflow,
    require_flush,
)
from tests.support.parsing import accepted, error_of

T = TypeVar("T")

POINTS_MIN = -(2**63)


class Grade(IntEnum):
    GOLD = 3


PARSERS: list[Callable[[object], object]] = [parse_payer, parse_points, parse_points_to_spend, parse_timestamp]
TEXT_PARSERS: list[Callable[[object], str]] = [parse_payer, parse_timestamp]
POINTS_PARSERS: list[Callable[[object], int]] = [parse_points, parse_points_to_spend]
NO_TEXTS: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.5, float("nan"), b"DANNON", b"2020-10-31T10:00:00Z"),
    *([], ["DANNON"], {}, {"payer": "DANNON"}, ("DANNON",), datetime(2020, 10, 31, tzinfo=UTC), date(2020, 10, 31)),
]
NO_INTEGERS: list[Any] = [
    *(None, True, False, "1", "", "one", b"1", 1.5, 1.0, 0.0, -1.0, 1e300, float("nan"), float("inf"), 1j),
    *(Decimal(1), Fraction(1), [], [1], {}, {"points": 1}, (1,), NotImplemented, int),
]


def conflict_of(decide: Callable[[], object]) -> ConflictError:
    """The conflict that a decision is refused with, which must come."""
    with pytest.raises(ConflictError) as caught:
        decide()
    assert type(caught.value) is ConflictError
    return caught.value


# ---- payer


@pytest.mark.parametrize(
    ("given_name", "stored"),
    [
        ("DANNON", "DANNON"),
        ("MILLER COORS", "MILLER COORS"),
        ("  DANNON ", "DANNON"),
        ("\t\r\nDANNON\n", "DANNON"),
        ("\u00a0\u3000DANNON\u2003", "DANNON"),
        ("Miller  Coors", "Miller  Coors"),
        ("ДАНОН", "ДАНОН"),
        ("達能", "達能"),
        ("Caf\u00e9", "Caf\u00e9"),
        ("Cafe\u0301", "Cafe\u0301"),
        ("'; DROP TABLE points_balances; --", "'; DROP TABLE points_balances; --"),
        ("0", "0"),
        ("X", "X"),
        ("a" * 200, "a" * 200),
        ("\U0001f95b" * 200, "\U0001f95b" * 200),
        (" " * 300 + "a" * 200 + " " * 300, "a" * 200),
    ],
)
def test_a_payer_is_stored_trimmed_and_otherwise_unchanged(given_name: str, stored: str) -> None:
    assert parse_payer(given_name) == stored


def test_the_case_of_a_payer_is_kept_so_that_names_of_another_case_are_other_payers() -> None:
    spellings = ["DANNON", "Dannon", "dannon", "Stra\u00dfe", "STRASSE", "\u0130", "i", "\u0131", "\u017f", "s"]
    assert [parse_payer(spelling) for spelling in spellings] == spellings


@pytest.mark.parametrize("given_name", ["", " ", "    ", "\t", "\r\n", "\u00a0", "\u3000\u2003", " " * 201])
def test_a_payer_that_is_empty_after_trimming_is_refused(given_name: str) -> None:
    assert error_of(parse_payer, given_name).code == "payer-invalid"


@pytest.mark.parametrize("letter", ["a", "é", "\U0001f95b"])
def test_a_payer_has_at_most_200_code_points(letter: str) -> None:
    assert PAYER_MAX == 200
    assert parse_payer(letter * 200) == letter * 200
    for too_long in (letter * 201, letter * 100 + " " + letter * 100, letter * 10_000):
        refusal = error_of(parse_payer, too_long)
        assert refusal.code == "payer-invalid"
        assert "200" in refusal.detail


@pytest.mark.parametrize(
    "given_name", ["DAN\nNON", "DAN\tNON", "DAN\r\nNON", "DAN\x00NON", "\x00DANNON", "DANNON\x00", "DAN\x7fNON", "\x7f"]
)
def test_a_payer_with_a_control_character_inside_is_refused(given_name: str) -> None:
    assert error_of(parse_payer, given_name).code == "payer-invalid"


def test_of_all_characters_only_controls_and_lone_surrogates_are_refused_within_a_payer() -> None:
    for code_point in (*range(0x10000), 0x1F600, 0xE0001, 0x10FFFF):
        character = chr(code_point)
        is_refused = accepted(parse_payer, f"a{character}b") is None
        assert is_refused == (unicodedata.category(character) in ("Cc", "Cs")), hex(code_point)


# ---- points


@pytest.mark.parametrize("points", [1, -1, 2, -2, 300, -200, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_points_are_any_integer_of_64_bits_but_zero(points: int) -> None:
    assert parse_points(points) == points


def test_points_of_zero_are_refused() -> None:
    assert error_of(parse_points, 0).code == "points-zero"


@pytest.mark.parametrize("points", [1, 2, 5000, 2**53 + 1, 2**63 - 1])
def test_points_to_spend_are_any_integer_of_64_bits_above_zero(points: int) -> None:
    assert parse_points_to_spend(points) == points


@pytest.mark.parametrize("points", [0, -1, -5000, -(2**63)])
def test_points_to_spend_of_zero_or_less_are_refused(points: int) -> None:
    refusal = error_of(parse_points_to_spend, points)
    assert refusal.code == "out-of-range"
    assert "zero" in refusal.detail


@pytest.mark.parametrize("parse", POINTS_PARSERS)
@pytest.mark.parametrize(
    "points", [2**63, -(2**63) - 1, 2**64, 2**64 + 1, -(2**64), 10**5000, -(10**5000)], ids=int.bit_length
)
def test_points_beyond_64_bits_are_refused(parse: Callable[[object], int], points: int) -> None:
    refusal = error_of(parse, points)
    assert refusal.code == "out-of-range"
    assert "64" in refusal.detail


@pytest.mark.parametrize("parse", POINTS_PARSERS)
@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
def test_points_that_are_no_integer_are_refused_and_never_coerced(parse: Callable[[object], int], value: Any) -> None:
    assert error_of(parse, value).code == "wrong-type"


# ---- timestamp


@pytest.mark.parametrize(
    ("spelling", "stored"),
    [
        ("2020-10-31T10:00:00Z", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31t10:00:00z", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31t10:00:00Z", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31T10:00:00z", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31T10:00:00.000000Z", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31t10:00:00.25z", "2020-10-31T10:00:00.250000Z"),
        # offsets
        ("2020-10-31T10:00:00+00:00", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31T10:00:00-00:00", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31T15:30:00+05:30", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31t15:45:00+05:45", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31T06:30:00-03:30", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31T00:00:00+14:00", "2020-10-30T10:00:00.000000Z"),
        ("2020-10-31T23:59:59-12:00", "2020-11-01T11:59:59.000000Z"),
        ("2020-10-31T10:00:00+23:59", "2020-10-30T10:01:00.000000Z"),
        ("2020-10-31T10:00:00-23:59", "2020-11-01T09:59:00.000000Z"),
        ("2020-10-31T10:00:00+00:01", "2020-10-31T09:59:00.000000Z"),
        ("2020-10-31T10:00:00.123456789-01:00", "2020-10-31T11:00:00.123456Z"),
        # the ends of fields
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00.000000Z"),
        ("2020-12-31T23:59:59Z", "2020-12-31T23:59:59.000000Z"),
        ("2020-12-31T23:30:00-00:30", "2021-01-01T00:00:00.000000Z"),
        ("2020-02-29T12:00:00Z", "2020-02-29T12:00:00.000000Z"),
        ("2000-02-29T12:00:00Z", "2000-02-29T12:00:00.000000Z"),
        ("2020-03-01T00:00:00+00:01", "2020-02-29T23:59:00.000000Z"),
        ("2020-10-31T19:20:09Z", "2020-10-31T19:20:09.000000Z"),
        # the first and the last years
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("0001-01-01T00:00:00-00:01", "0001-01-01T00:01:00.000000Z"),
        ("0001-01-01T00:01:00+00:01", "0001-01-01T00:00:00.000000Z"),
        ("0001-01-01T23:59:00+23:59", "0001-01-01T00:00:00.000000Z"),
        ("0999-12-31T23:59:59Z", "0999-12-31T23:59:59.000000Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z"),
        ("9999-12-31T23:59:59.999999999999Z", "9999-12-31T23:59:59.999999Z"),
        ("9999-12-31T23:59:59+00:01", "9999-12-31T23:58:59.000000Z"),
        ("9999-12-31T23:58:59.999999-00:01", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_timestamp_is_stored_as_its_instant_in_utc(spelling: str, stored: str) -> None:
    assert parse_timestamp(spelling) == stored


@pytest.mark.parametrize("digits", ["987654321987", "000000999999", "999999999999", "100000000000", "000001900000"])
def test_a_fraction_of_1_to_12_digits_is_cut_to_microseconds_and_never_rounded(digits: str) -> None:
    for length in range(1, 13):
        fraction = digits[:length]
        expected = (fraction + "00000")[:6]
        assert parse_timestamp(f"2020-10-31T10:00:59.{fraction}Z") == f"2020-10-31T10:00:59.{expected}Z"
        assert parse_timestamp(f"2020-10-31T11:00:59.{fraction}+01:00") == f"2020-10-31T10:00:59.{expected}Z"


def test_a_fraction_may_be_of_any_length() -> None:
    assert parse_timestamp(f"2020-10-31T10:00:00.{'5' * 5000}Z") == "2020-10-31T10:00:00.555555Z"


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        " ",
        "Z",
        "now",
        "0",
        "1604138400",
        # parts that are missing
        "2020-10-31T10:00:00",
        "2020-10-31T10:00:00.5",
        "2020-10-31",
        "2020-10-31Z",
        "2020-10-31T",
        "2020-10",
        "T10:00:00Z",
        "10:00:00Z",
        "2020-10-31T10Z",
        "2020-10-31T10:00Z",
        "2020-10-31T10:00+01:00",
        # other spellings of ISO 8601
        "2020-10-31 10:00:00Z",
        "2020-10-31_10:00:00Z",
        "2020-10-3110:00:00Z",
        "20201031T100000Z",
        "2020-10-31T100000Z",
        "20201031T10:00:00Z",
        "2020-W44-6T10:00:00Z",
        "2020W446T10:00:00Z",
        "2020-305T10:00:00Z",
        "+2020-10-31T10:00:00Z",
        "-2020-10-31T10:00:00Z",
        "12020-10-31T10:00:00Z",
        "020-10-31T10:00:00Z",
        "20-10-31T10:00:00Z",
        "2020-1-31T10:00:00Z",
        "2020-10-1T10:00:00Z",
        "2020-10-31T1:00:00Z",
        "2020-10-31T10:0:00Z",
        "2020-10-31T10:00:0Z",
        "2020/10/31T10:00:00Z",
        "31-10-2020T10:00:00Z",
        "Sat, 31 Oct 2020 10:00:00 GMT",
        # fractions
        "2020-10-31T10:00:00.Z",
        "2020-10-31T10:00:00,5Z",
        "2020-10-31T10:00:00.5.5Z",
        "2020-10-31T10:00:00.-5Z",
        "2020-10-31T10:00:00.5xZ",
        "2020-10-31T10:00:00.1234567xZ",
        "2020-10-31T10:00.5Z",
        "2020-10-31T10:00:00.5e3Z",
        # zones
        "2020-10-31T10:00:00+24:00",
        "2020-10-31T10:00:00-24:00",
        "2020-10-31T10:00:00+01:60",
        "2020-10-31T10:00:00-01:60",
        "2020-10-31T10:00:00+99:99",
        "2020-10-31T10:00:00+30:00",
        "2020-10-31T10:00:00+01",
        "2020-10-31T10:00:00+0100",
        "2020-10-31T10:00:00+1:00",
        "2020-10-31T10:00:00+01:0",
        "2020-10-31T10:00:00+01:00:00",
        "2020-10-31T10:00:00+01:00Z",
        "2020-10-31T10:00:00Z+01:00",
        "2020-10-31T10:00:00ZZ",
        "2020-10-31T10:00:00 Z",
        "2020-10-31T10:00:00 +01:00",
        "2020-10-31T10:00:00\u221201:00",
        "2020-10-31T10:00:00UTC",
        "2020-10-31T10:00:00CET",
        "2020-10-31T10:00:00[Europe/Berlin]",
        "2020-10-31T10:00:00Z[UTC]",
        # what no calendar and no clock has
        "2020-10-31T24:00:00Z",
        "2020-10-31T25:00:00Z",
        "2020-10-31T29:00:00Z",
        "2020-10-31T10:60:00Z",
        "2020-10-31T10:99:00Z",
        "2020-10-31T10:00:60Z",
        "2016-12-31T23:59:60Z",
        "2020-10-31T10:00:61Z",
        "2020-00-10T10:00:00Z",
        "2020-13-10T10:00:00Z",
        "2020-10-00T10:00:00Z",
        "2020-10-32T10:00:00Z",
        "2020-11-31T10:00:00Z",
        "2020-02-30T10:00:00Z",
        "2021-02-29T10:00:00Z",
        "1900-02-29T10:00:00Z",
        # before the year 1, after the year 9999
        "0000-01-01T00:00:00Z",
        "0000-12-31T23:59:00-00:01",
        "0001-01-01T00:00:00+00:01",
        "0001-01-01T23:58:59.999999+23:59",
        "9999-12-31T23:59:00-00:01",
        "9999-12-31T00:01:00-23:59",
        "10000-01-01T00:00:00Z",
        # digits and letters of other scripts
        "２０２０-10-31T10:00:00Z",
        "2020-10-31T10:00:0\u0660Z",
        "2020-10-31T10:00:00.\u0665Z",
        "2020-10-31T10:00:00.555555\u0665Z",
        "2020-10-31T10:00:00+0\u0661:00",
        "202\u0660-10-31T10:00:00Z",
        "2020-10-31T\u0967\u0966:00:00Z",
        "2020-10-31T10:00:00\uff3a",
        "2020-10-31\u0422" + "10:00:00Z",
        # around it, and inside
        "2020-10-31T10:00:00Z\n",
        "2020-10-31T10:00:00+01:00\n",
        "2020-10-31T10:00:00Z\r\n",
        "\n2020-10-31T10:00:00Z",
        " 2020-10-31T10:00:00Z",
        "2020-10-31T10:00:00Z ",
        "2020-10-31T10:00:00Z\x00",
        "2020-10-31\nT10:00:00Z",
        "2020-10-31T10:00:00\nZ",
        "\ufeff2020-10-31T10:00:00Z",
        "2020-10-31T10:00:00Z2020-10-31T10:00:00Z",
        "\ud800",
        "2020-10-31\ud80010:00:00Z",
    ],
    ids=ascii,
)
def test_a_timestamp_of_another_form_or_of_no_instant_is_refused(spelling: str) -> None:
    assert error_of(parse_timestamp, spelling).code == "timestamp-invalid"


@given(
    st.datetimes(
        min_value=datetime(1, 1, 2),  # noqa: DTZ001 - the strategy adds the zone
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001 - as above
        timezones=st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    ),
    st.sampled_from(["T", "t"]),
    st.text("0123456789", max_size=6),
)
@settings(max_examples=100)
def test_every_aware_datetime_is_read_as_its_instant(instant: datetime, separator: str, finer: str) -> None:
    local = instant.isoformat(separator, "microseconds")
    stored = parse_timestamp(local[:26] + finer + local[26:])
    assert stored == instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert len(stored) == 27


def test_stored_timestamps_sort_as_their_instants_do() -> None:
    in_order = [
        "0001-01-01T00:00:00Z",
        "0999-12-31T23:59:59.999999Z",
        "2020-10-31T10:00:00+00:01",
        "2020-10-31T01:00:00-09:00",
        "2020-10-31T10:00:00.000001Z",
        "2020-10-31T10:00:00.00001Z",
        "2020-10-31T23:59:59+13:59",
        "9999-12-31T23:59:59Z",
    ]
    stored = [parse_timestamp(spelling) for spelling in in_order]
    assert sorted(stored) == stored
    assert len(set(stored)) == len(stored)


# ---- every parse function


@pytest.mark.parametrize("parse", TEXT_PARSERS)
@pytest.mark.parametrize("value", NO_TEXTS, ids=repr)
def test_what_is_no_text_is_refused_and_never_coerced(parse: Callable[[object], str], value: Any) -> None:
    assert error_of(parse, value).code == "wrong-type"


def test_no_refusal_repeats_what_was_sent() -> None:
    sent: list[tuple[Callable[[object], object], object]] = [
        (parse_payer, "Zebulon\x00Zebulon"),
        (parse_points, "7777"),
        (parse_points_to_spend, -7777),
        (parse_timestamp, "Zebulon"),
    ]
    for parse, value in sent:
        refusal = error_of(parse, value)
        told = f"{refusal} {refusal.detail} {refusal.violations} {refusal.members}"
        assert "Zebulon" not in told
        assert "7777" not in told


def instant_of(text: str) -> str | None:
    """The instant of an RFC 3339 timestamp in UTC, by arithmetic; None where it has none in the years 1 to 9999."""
    form = r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))"
    match = re.fullmatch(form, text, re.ASCII)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, sign, hours, minutes = match.groups(default="0")[6:]
    if int(hours) > 23 or int(minutes) > 59:
        return None
    ahead = timedelta(hours=int(hours), minutes=int(minutes))
    try:
        local = datetime(year, month, day, hour, minute, second, int(fraction[1:7].ljust(6, "0")))  # noqa: DTZ001
        utc = local + ahead if sign == "-" else local - ahead
    except (ValueError, OverflowError):
        return None
    return utc.isoformat(timespec="microseconds") + "Z"


VALID_TIMESTAMPS = [
    "2020-10-31T10:00:00Z",
    "2020-02-29T23:59:59.123456789z",
    "2019-12-31t00:00:00.5+05:30",
    "0001-01-01T00:30:00+00:30",
    "9999-12-31T23:30:00.999999-00:29",
    "2020-10-31T10:00:00-23:59",
]
AWKWARD = [*"0123456789TtZz:+-., W\n\x00", "\u0660", "\uff11", "\u2212", "\u00a0", "\U0001f95b", "\ud800"]


@st.composite
def near_valid_texts(draw: st.DrawFn) -> str:
    """A valid text after up to three mutations: a character put in, put in place of another, or taken out."""
    text = draw(st.sampled_from([*VALID_TIMESTAMPS, *VALID_TIMESTAMPS, "DANNON", "MILLER COORS", "a" * 200]))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        place = draw(st.integers(0, len(text)))
        piece = draw(st.sampled_from(AWKWARD))
        kept_from = place + draw(st.sampled_from([0, 1, 1, 1]))
        text = text[:place] + draw(st.sampled_from([piece, piece, piece, ""])) + text[kept_from:]
    return text


# The whole range: control characters, unassigned ones, lone surrogates.
any_text = st.text(st.characters(exclude_categories=()), max_size=210)
texts = near_valid_texts() | any_text
scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([POINTS_MAX, POINTS_MAX + 1, POINTS_MIN, POINTS_MIN - 1, -1, 0, 1, 10**4000, -(10**4000)])
    | st.floats()
    | st.decimals()
    | st.fractions()
    | st.complex_numbers()
    | st.binary(max_size=30)
    | st.datetimes()
    | st.sampled_from([Grade.GOLD, object(), int, str, ..., NotImplemented, range(3), parse_points])
    | texts
)
any_value = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("parse", PARSERS)
@given(value=any_value)
@example(value="\udfff")
@example(value=[["2020-10-31T10:00:00Z"]])
@example(value="9999-12-31T23:59:59-23:59")
@settings(max_examples=100)
def test_a_parse_function_answers_or_refuses_any_value_and_answers_its_own_answer_unchanged(
    parse: Callable[[object], object], value: object
) -> None:
    stored = accepted(parse, value)
    if stored is not None:
        assert isinstance(stored, str if parse in TEXT_PARSERS else int)
        assert parse(stored) == stored


@given(texts)
@settings(max_examples=250)
def test_a_text_is_accepted_if_and_only_if_the_rule_of_its_field_accepts_it(text: str) -> None:
    assert accepted(parse_timestamp, text) == instant_of(text)
    trimmed = text.strip()
    characters_are_fine = not any(unicodedata.category(character) in ("Cc", "Cs") for character in trimmed)
    payer = trimmed if trimmed and len(trimmed) <= 200 and characters_are_fine else None
    assert accepted(parse_payer, text) == payer


# ---- flush


def test_a_flush_is_refused_where_it_is_not_allowed() -> None:
    require_flush(allowed=True)
    with pytest.raises(ForbiddenError) as caught:
        require_flush(allowed=False)
    assert caught.value.code == "flush-not-allowed"


# ---- refusals


@pytest.mark.parametrize(
    ("refuse", "code"), [(insufficient_points, "insufficient-points"), (points_overflow, "points-overflow")]
)
def test_a_conflict_has_its_code_and_points_to_the_points(refuse: Callable[[], ConflictError], code: str) -> None:
    refusal = refuse()
    assert type(refusal) is ConflictError
    assert refusal.code == code
    assert refusal.detail
    assert refusal.violations == [Violation("/points", code, refusal.detail)]


def assert_insufficient(decide: Callable[[], object]) -> None:
    refusal = conflict_of(decide)
    assert [refusal.code, *refusal.violations] == [
        "insufficient-points",
        ("/points", "insufficient-points", refusal.detail),
    ]


def assert_overflow(decide: Callable[[], object]) -> None:
    refusal = conflict_of(decide)
    assert [refusal.code, *refusal.violations] == ["points-overflow", ("/points", "points-overflow", refusal.detail)]


# ---- a transaction


def test_a_new_payer_has_no_points_and_no_debit() -> None:
    assert Balance() == (0, 0)


def test_points_above_zero_are_added_to_the_total_and_leave_the_debit_as_it_is() -> None:
    assert add_points(Balance(), 300) == Balance(300, 0)
    assert add_points(Balance(1000, 0), 300) == Balance(1300, 0)
    assert add_points(Balance(800, 200), 300) == Balance(1100, 200)
    assert add_points(Balance(0, 200), 1) == Balance(1, 200)


def test_points_below_zero_are_taken_off_the_total_and_become_an_outstanding_debit() -> None:
    assert add_points(Balance(1000, 0), -200) == Balance(800, 200)
    assert add_points(Balance(800, 200), -300) == Balance(500, 500)


def test_a_debit_may_take_the_total_to_zero_and_not_below() -> None:
    assert add_points(Balance(200, 0), -200) == Balance(0, 200)
    assert add_points(Balance(200, 50), -200) == Balance(0, 250)
    assert_insufficient(lambda: add_points(Balance(200, 0), -201))
    assert_insufficient(lambda: add_points(Balance(200, 500), -201))
    assert_insufficient(lambda: add_points(Balance(), -1))


def test_a_total_of_all_64_bits_is_kept_and_one_point_more_refused() -> None:
    assert POINTS_MAX == 2**63 - 1
    assert add_points(Balance(), POINTS_MAX) == Balance(POINTS_MAX, 0)
    assert add_points(Balance(POINTS_MAX - 1, 7), 1) == Balance(POINTS_MAX, 7)
    assert_overflow(lambda: add_points(Balance(POINTS_MAX, 0), 1))
    assert_overflow(lambda: add_points(Balance(1, 0), POINTS_MAX))
    assert_overflow(lambda: add_points(Balance(POINTS_MAX, POINTS_MAX), POINTS_MAX))


def test_an_outstanding_debit_of_all_64_bits_is_kept_and_one_point_more_refused() -> None:
    assert add_points(Balance(POINTS_MAX, 0), -POINTS_MAX) == Balance(0, POINTS_MAX)
    assert add_points(Balance(5, POINTS_MAX - 3), -3) == Balance(2, POINTS_MAX)
    assert_overflow(lambda: add_points(Balance(5, POINTS_MAX - 3), -4))
    assert_overflow(lambda: add_points(Balance(POINTS_MAX, POINTS_MAX), -1))
    assert add_points(Balance(5, POINTS_MAX), 3) == Balance(8, POINTS_MAX)


def test_a_debit_that_is_both_too_large_and_more_than_there_is_is_told_that_there_is_not_so_much() -> None:
    assert_insufficient(lambda: add_points(Balance(POINTS_MAX, 0), POINTS_MIN))
    assert_insufficient(lambda: add_points(Balance(2, POINTS_MAX), -3))


# ---- a spend


def lot(number: int, payer: str, points_left: int, outstanding_debit: int = 0) -> Lot:
    """A lot of a payer whose id comes from the name's first letter."""
    return Lot(number, ord(payer[0]), payer, points_left, outstanding_debit)


def share(payer: str, *, paid: int = 0, settled: int = 0) -> PayerShare:
    """What a spend does to that payer."""
    return PayerShare(ord(payer[0]), payer, paid, settled)


def paid_by(lots: Iterable[Lot], points: int) -> list[tuple[str, int]]:
    """What the payers of `lots` pay for a spend, in order."""
    return [(payment["payer"], payment["points"]) for payment in payments(allocate(lots, points))]


def test_a_spend_takes_the_lots_in_their_order_and_leaves_the_rest_in_the_last() -> None:
    spending = allocate([lot(7, "A", 300), lot(3, "B", 200), lot(9, "C", 100)], 450)
    assert spending == SpendPlan([7, 3], 50, [share("A", paid=300), share("B", paid=150)])
    assert payments(spending) == [{"payer": "A", "points": -300}, {"payer": "B", "points": -150}]


def test_a_spend_of_a_whole_lot_leaves_nothing_in_it_and_does_not_touch_the_next() -> None:
    spending = allocate([lot(1, "A", 300), lot(2, "B", 200)], 300)
    assert spending == SpendPlan([1], 0, [share("A", paid=300)])


def test_a_spend_of_a_part_of_the_first_lot_leaves_the_rest_in_it() -> None:
    assert allocate([lot(1, "A", 300)], 1) == SpendPlan([1], 299, [share("A", paid=1)])


def test_a_spend_of_everything_empties_every_lot() -> None:
    spending = allocate([lot(1, "A", 300), lot(2, "B", 200), lot(3, "A", 1)], 501)
    assert spending == SpendPlan([1, 2, 3], 0, [share("A", paid=301), share("B", paid=200)])


def test_a_later_debit_takes_from_the_oldest_lot_of_its_payer_before_the_spend_does() -> None:
    spending = allocate([lot(1, "A", 300, 200), lot(2, "B", 200)], 300)
    assert payments(spending) == [{"payer": "A", "points": -100}, {"payer": "B", "points": -200}]
    assert spending == SpendPlan([1, 2], 0, [share("A", paid=100, settled=200), share("B", paid=200)])


def test_a_debit_that_arrived_earlier_takes_from_an_older_lot_that_arrived_later() -> None:
    debit = 200
    in_order = [
        lot(5, "DANNON", 300, debit),
        lot(2, "UNILEVER", 200),
        lot(4, "MILLER COORS", 10_000),
        lot(1, "DANNON", 1000, debit),
    ]
    spending = allocate(in_order, 5000)
    assert spending == SpendPlan(
        [5, 2, 4],
        5300,
        [share("DANNON", paid=100, settled=200), share("UNILEVER", paid=200), share("MILLER COORS", paid=4700)],
    )
    assert payments(spending) == [
        {"payer": "DANNON", "points": -100},
        {"payer": "UNILEVER", "points": -200},
        {"payer": "MILLER COORS", "points": -4700},
    ]


def test_a_debit_larger_than_a_lot_goes_on_in_the_next_lots_of_its_payer() -> None:
    in_order = [lot(1, "A", 100, 250), lot(2, "A", 100, 250), lot(3, "B", 10), lot(4, "A", 100, 250)]
    assert allocate(in_order, 40) == SpendPlan([1, 2, 3, 4], 20, [share("B", paid=10), share("A", paid=30, settled=250)])


def test_a_debit_is_settled_once_and_not_again_at_the_next_lot_of_its_payer() -> None:
    in_order = [lot(1, "A", 300, 200), lot(2, "A", 300, 200)]
    assert allocate(in_order, 400) == SpendPlan([1, 2], 0, [share("A", paid=400, settled=200)])


def test_a_debit_is_settled_even_where_it_takes_the_whole_lot_and_its_payer_then_pays_nothing() -> None:
    spending = allocate([lot(1, "A", 200, 200), lot(2, "B", 60)], 50)
    assert spending.lots == [1, 2]
    assert spending.last_points_left == 10
    assert sorted(spending.shares) == [share("A", settled=200), share("B", paid=50)]
    assert payments(spending) == [{"payer": "B", "points": -50}]


def test_a_debit_takes_only_from_lots_of_its_own_payer() -> None:
    in_order = [lot(1, "B", 100), lot(2, "A", 100, 100), lot(3, "B", 100), lot(4, "C", 100)]
    assert paid_by(in_order, 300) == [("B", -200), ("C", -100)]


def test_a_debit_or_a_part_of_it_that_the_spend_did_not_reach_stays_outstanding() -> None:
    assert allocate([lot(1, "B", 100), lot(2, "A", 100, 50)], 100) == SpendPlan([1], 0, [share("B", paid=100)])
    partly = allocate([lot(1, "A", 100, 150), lot(2, "B", 200), lot(3, "A", 100, 150)], 200)
    assert (partly.lots, partly.last_points_left) == ([1, 2], 0)
    assert sorted(partly.shares) == [share("A", settled=100), share("B", paid=200)]


def test_the_debit_takes_first_in_the_lot_that_completes_the_spend() -> None:
    assert allocate([lot(1, "A", 300, 200)], 100) == SpendPlan([1], 0, [share("A", paid=100, settled=200)])
    assert allocate([lot(1, "A", 300, 200)], 60) == SpendPlan([1], 40, [share("A", paid=60, settled=200)])


@pytest.mark.parametrize(("points", "lots_read"), [(1, 1), (99, 1), (100, 1), (101, 3), (150, 3), (151, 4), (250, 4)])
def test_lots_are_read_only_up_to_the_one_that_completes_the_spend(points: int, lots_read: int) -> None:
    lots = [lot(1, "A", 100), lot(2, "B", 70, 70), lot(3, "A", 50), lot(4, "C", 100), lot(5, "D", 100, 100)]
    read: list[int] = []

    def lots_one_by_one() -> Iterator[Lot]:
        for one in lots:
            read.append(one.id)
            yield one
        pytest.fail("The lots were read to the end.")

    assert allocate(lots_one_by_one(), points).lots == read
    assert read == [1, 2, 3, 4, 5][:lots_read]


def test_the_lots_after_the_last_one_needed_are_left_to_whoever_reads_on() -> None:
    lots = iter([lot(1, "A", 100), lot(2, "B", 100), lot(3, "C", 100)])
    assert allocate(lots, 200).lots == [1, 2]
    assert list(lots) == [lot(3, "C", 100)]


def test_payments_stand_in_the_order_in_which_the_spend_took_its_first_points() -> None:
    in_order = [lot(1, "C", 1), lot(2, "A", 1), lot(3, "B", 1), lot(4, "A", 5), lot(5, "C", 5)]
    assert paid_by(in_order, 13) == [("C", -6), ("A", -6), ("B", -1)]


def test_a_payer_whose_first_lot_went_wholly_to_its_debit_comes_later() -> None:
    in_order = [lot(1, "A", 100, 100), lot(2, "B", 10), lot(3, "A", 20, 100), lot(4, "C", 10), lot(5, "B", 10)]
    assert paid_by(in_order, 50) == [("B", -20), ("A", -20), ("C", -10)]
    in_order[2] = lot(3, "A", 20, 120)
    in_order[0] = lot(1, "A", 100, 120)
    assert paid_by([*in_order, lot(6, "A", 5, 120)], 35) == [("B", -20), ("C", -10), ("A", -5)]


def test_a_payer_whose_first_lot_went_partly_to_its_debit_keeps_the_first_place() -> None:
    in_order = [lot(1, "A", 101, 100), lot(2, "B", 10), lot(3, "A", 20, 100)]
    assert paid_by(in_order, 31) == [("A", -21), ("B", -10)]


def test_names_of_another_case_are_other_payers_who_pay_for_themselves() -> None:
    in_order = [Lot(1, 1, "DANNON", 10, 10), Lot(2, 2, "Dannon", 10, 0), Lot(3, 1, "DANNON", 10, 10)]
    assert paid_by(in_order, 15) == [("Dannon", -10), ("DANNON", -5)]


def test_a_spend_of_more_than_the_lots_have_is_refused() -> None:
    assert_insufficient(lambda: allocate([], 1))
    assert_insufficient(lambda: allocate([lot(1, "A", 100)], 101))
    assert_insufficient(lambda: allocate([lot(1, "A", 100), lot(2, "B", 100)], POINTS_MAX))


def test_a_spend_of_more_than_the_debits_leave_in_the_lots_is_refused() -> None:
    assert paid_by([lot(1, "A", 300, 200), lot(2, "B", 5)], 105) == [("A", -100), ("B", -5)]
    assert_insufficient(lambda: allocate([lot(1, "A", 300, 200), lot(2, "B", 5)], 106))
    assert_insufficient(lambda: allocate([lot(1, "A", 300, 300)], 1))


def test_points_of_all_64_bits_are_spent_to_the_last() -> None:
    huge = [lot(1, "A", POINTS_MAX, POINTS_MAX), lot(2, "B", POINTS_MAX - 1), lot(3, "A", POINTS_MAX, POINTS_MAX)]
    assert payments(allocate(huge, POINTS_MAX)) == [
        {"payer": "B", "points": -(POINTS_MAX - 1)},
        {"payer": "A", "points": -1},
    ]


# ---- a ledger that keeps its state, against every call replayed from the beginning


class Add(NamedTuple):
    """A call of `addTransaction`."""

    payer: str
    points: int
    timestamp: str


class Spend(NamedTuple):
    """A call of `spend`."""

    points: int


Call = Add | Spend
Answer = list[tuple[str, int]] | str | None
"""What the payers paid, in order; the code of a refusal; or None for what was added."""


class OpenLot(NamedTuple):
    """A lot as the ledger keeps it: they sort as spends take them."""

    timestamp: str
    arrival: int
    payer: str
    points_left: int


class Ledger:
    """The state of the service in memory. What is done to it, the domain decides."""

    def __init__(self) -> None:
        self.calls = 0
        self.balances: dict[str, Balance] = {}
        self.lots: list[OpenLot] = []

    def answer(self, call: Call) -> Answer:
        """Does what the call asks for, or nothing."""
        self.calls += 1
        try:
            return self._add(call) if isinstance(call, Add) else self._spend(call.points)
        except ConflictError as refusal:
            return refusal.code

    def totals(self) -> dict[str, int]:
        """The points of every payer."""
        return {payer: balance.total for payer, balance in self.balances.items()}

    def points_left(self) -> dict[int, int]:
        """What is left in every lot, by its arrival."""
        return {lot.arrival: lot.points_left for lot in self.lots}

    def _add(self, call: Add) -> Answer:
        balance = add_points(self.balances.get(call.payer, Balance()), call.points)
        if sum(self.totals().values()) + call.points > POINTS_MAX:
            raise points_overflow()
        self.balances[call.payer] = balance
        if call.points > 0:
            self.lots.append(OpenLot(parse_timestamp(call.timestamp), self.calls, call.payer, call.points))
            self.lots.sort()
        return None

    def _spend(self, points: int) -> Answer:
        ids = list(self.balances)
        lots = (
            Lot(
                lot.arrival,
                ids.index(lot.payer),
                lot.payer,
                lot.points_left,
                self.balances[lot.payer].outstanding_debit,
            )
            for lot in self.lots
        )
        spending = allocate(lots, points)
        left = dict.fromkeys(spending.lots, 0) | {spending.lots[-1]: spending.last_points_left}
        changed = [lot._replace(points_left=left.get(lot.arrival, lot.points_left)) for lot in self.lots]
        self.lots = [lot for lot in changed if lot.points_left]
        for payer_id, payer, paid, settled in spending.shares:
            assert payer == ids[payer_id]
            total, outstanding_debit = self.balances[payer]
            self.balances[payer] = Balance(total - paid, outstanding_debit - settled)
        return [(payment["payer"], payment["points"]) for payment in payments(spending)]


class Replayed(NamedTuple):
    """What all calls in order of arrival come to: the last one's answer, and what then is left."""

    answer: Answer
    totals: dict[str, int]
    points_left: dict[int, int]


def replay(calls: list[Call], most: int) -> Replayed:
    """Plays all calls from the beginning, point by point. No total and no debit has more than `most` points."""
    answer: Answer = None
    totals: dict[str, int] = {}
    debits: dict[str, int] = {}
    points: list[tuple[datetime, int, str]] = []  # each one: the instant and the arrival of its lot, and its payer
    for arrival, call in enumerate(calls, 1):
        if isinstance(call, Add):
            answer = None
            total = totals.get(call.payer, 0) + call.points
            debit = debits.get(call.payer, 0) + (-call.points if call.points < 0 else 0)
            if total < 0:
                answer = "insufficient-points"
            elif total > most or debit > most or sum(totals.values()) + call.points > most:
                answer = "points-overflow"
            else:
                totals[call.payer] = total
                debits[call.payer] = debit
                points += [(datetime.fromisoformat(call.timestamp), arrival, call.payer)] * call.points
        elif call.points > sum(totals.values()):
            answer = "insufficient-points"
        else:
            paid: dict[str, int] = {}
            oldest_first = sorted(points)
            while -sum(paid.values()) < call.points:
                _, _, payer = oldest_first.pop(0)
                if debits[payer] > 0:
                    debits[payer] -= 1
                else:
                    paid[payer] = paid.get(payer, 0) - 1
                    totals[payer] -= 1
            points = oldest_first
            answer = list(paid.items())
    arrivals = [arrival for _, arrival, _ in points]
    return Replayed(answer, totals, {arrival: arrivals.count(arrival) for arrival in arrivals})


def assert_nobody_is_below_zero_and_the_lots_account_for_every_total(ledger: Ledger) -> None:
    for payer, balance in ledger.balances.items():
        assert balance.total >= 0
        assert balance.outstanding_debit >= 0
        left = sum(lot.points_left for lot in ledger.lots if lot.payer == payer)
        assert left - balance.outstanding_debit == balance.total
    assert all(lot.points_left > 0 for lot in ledger.lots)


def assert_every_call_is_answered_as_its_replay_is(calls: list[Call], *, unit: int, most: int) -> None:
    """Calls the ledger in points, and replays in units of so many points, of which a total has no more than `most`."""
    ledger = Ledger()
    for number, call in enumerate(calls, 1):
        answer = ledger.answer(call._replace(points=call.points * unit))
        assert_nobody_is_below_zero_and_the_lots_account_for_every_total(ledger)
        expected = replay(calls[:number], most)
        if isinstance(expected.answer, list):
            assert answer == [(payer, points * unit) for payer, points in expected.answer]
        else:
            assert answer == expected.answer
        assert list(ledger.totals().items()) == [(payer, total * unit) for payer, total in expected.totals.items()]
        assert ledger.points_left() == {arrival: left * unit for arrival, left in expected.points_left.items()}


TIMESTAMPS = [
    "2020-10-31T10:00:00Z",
    "2020-10-31T12:00:00+02:00",  # the same instant, which is neither the least nor the greatest text
    "2020-10-31T09:59:59.999999Z",
    "2020-10-31T08:30:00-02:00",
]


def calls_of(added: st.SearchStrategy[int], taken: st.SearchStrategy[int]) -> st.SearchStrategy[list[Call]]:
    """Lists of calls of few payers and few instants: some points come first, so that not everything is refused."""
    payers = st.sampled_from(["A", "A", "B", "C"])
    add = st.builds(Add, payers, added, st.sampled_from(TIMESTAMPS))
    debit = st.builds(Add, payers, taken.map(lambda points: -points), st.sampled_from(TIMESTAMPS))
    mixed = st.one_of(add, debit, st.builds(Spend, taken))
    return st.builds(list.__add__, st.lists(add, min_size=1, max_size=6), st.lists(mixed, min_size=2, max_size=12))


@given(calls_of(st.integers(1, 9), st.one_of(st.integers(1, 4), st.integers(1, 16))))
@example([Add("A", 3, TIMESTAMPS[0]), Add("B", 2, TIMESTAMPS[3]), Add("A", -2, TIMESTAMPS[3]), Spend(3)])
@example([Add("A", 3, TIMESTAMPS[0]), Add("A", -3, TIMESTAMPS[0]), Spend(1), Add("B", 1, TIMESTAMPS[2]), Spend(1)])
@settings(max_examples=400)
def test_whatever_is_called_the_ledger_answers_as_all_calls_replayed_point_by_point(calls: list[Call]) -> None:
    assert_every_call_is_answered_as_its_replay_is(calls, unit=1, most=POINTS_MAX)


SEVENTH = POINTS_MAX // 7
"""A seventh of the most points: seven of them are exactly the most."""


@given(calls_of(st.integers(1, 7), st.integers(1, 7)))
@example(
    [Add("A", 7, TIMESTAMPS[0]), Add("A", -7, TIMESTAMPS[0]), Add("A", 1, TIMESTAMPS[0]), Add("A", -1, TIMESTAMPS[0])]
)
@example([Add("A", 4, TIMESTAMPS[0]), Add("B", 4, TIMESTAMPS[0]), Add("B", 3, TIMESTAMPS[0]), Spend(7)])
@settings(max_examples=250)
def test_near_the_64_bits_the_ledger_answers_as_all_calls_replayed_in_sevenths(calls: list[Call]) -> None:
    assert SEVENTH * 7 == POINTS_MAX
    assert_every_call_is_answered_as_its_replay_is(calls, unit=SEVENTH, most=7)


EXAMPLE = [
    Add("DANNON", 1000, "2020-11-02T14:00:00Z"),
    Add("UNILEVER", 200, "2020-10-31T11:00:00Z"),
    Add("DANNON", -200, "2020-10-31T15:00:00Z"),
    Add("MILLER COORS", 10_000, "2020-11-01T14:00:00Z"),
    Add("DANNON", 300, "2020-10-31T10:00:00Z"),
]


def test_the_worked_example_is_answered_alike_for_every_order_of_its_adds_that_is_not_refused() -> None:
    orders = 0
    for adds in permutations(EXAMPLE):
        ledger = Ledger()
        is_refused = adds.index(EXAMPLE[2]) < min(adds.index(EXAMPLE[0]), adds.index(EXAMPLE[4]))
        answers = [ledger.answer(add) for add in adds]
        assert answers == ["insufficient-points" if is_refused and add == EXAMPLE[2] else None for add in adds]
        if is_refused:
            continue
        orders += 1
        assert ledger.answer(Spend(5000)) == [("DANNON", -100), ("UNILEVER", -200), ("MILLER COORS", -4700)]
        assert ledger.totals() == {"DANNON": 1000, "UNILEVER": 0, "MILLER COORS": 5300}
        assert ledger.balances["DANNON"] == Balance(1000, 0)
        assert_nobody_is_below_zero_and_the_lots_account_for_every_total(ledger)
    assert orders == 80


def test_what_was_spent_stays_spent_when_an_older_transaction_arrives_later() -> None:
    ledger = Ledger()
    assert ledger.answer(Add("A", 100, "2020-10-31T12:00:00Z")) is None
    assert ledger.answer(Spend(60)) == [("A", -60)]
    assert ledger.answer(Add("B", 100, "2020-10-31T10:00:00Z")) is None
    assert ledger.totals() == {"A": 40, "B": 100}
    assert ledger.answer(Spend(110)) == [("B", -100), ("A", -10)]
    assert ledger.totals() == {"A": 30, "B": 0}


def test_a_refused_spend_settles_nothing() -> None:
    ledger = Ledger()
    for add in (Add("A", 300, TIMESTAMPS[0]), Add("B", 200, TIMESTAMPS[3]), Add("A", -200, TIMESTAMPS[3])):
        assert ledger.answer(add) is None
    assert ledger.answer(Spend(301)) == "insufficient-points"
    assert ledger.balances == {"A": Balance(100, 200), "B": Balance(200, 0)}
    assert ledger.answer(Spend(300)) == [("A", -100), ("B", -200)]
    assert ledger.balances == {"A": Balance(0, 0), "B": Balance(0, 0)}


def test_two_transactions_that_are_alike_both_count() -> None:
    ledger = Ledger()
    assert [ledger.answer(add) for add in [EXAMPLE[1]] * 2] == [None, None]
    assert ledger.answer(Spend(400)) == [("UNILEVER", -400)]
    assert ledger.totals() == {"UNILEVER": 0}


def test_a_payment_is_a_payer_and_points_below_zero() -> None:
    spending = SpendPlan([1], 0, [share("A", paid=5), share("B", settled=5), share("C", paid=1, settled=1)])
    assert payments(spending) == [Payment(payer="A", points=-5), Payment(payer="C", points=-1)]
