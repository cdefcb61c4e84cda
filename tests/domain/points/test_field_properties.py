"""Properties of every parse function of the points service, for any value."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.points import (
    POINTS_MAX,
    POINTS_MIN,
    parse_payer,
    parse_points,
    parse_points_to_spend,
    parse_timestamp,
)
from tests.support.parsing import (
    accepted,
    any_text,
    error_of,
    has_no_control_character,
    near_valid_texts,
    texts_of,
)


class Grade(IntEnum):
    GOLD = 3


PARSERS: list[Callable[[object], object]] = [parse_payer, parse_points, parse_points_to_spend, parse_timestamp]
TEXT_PARSERS: list[Callable[[object], str]] = [parse_payer, parse_timestamp]
NO_TEXTS: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.5, float("nan"), b"DANNON", b"2020-10-31T10:00:00Z"),
    *([], ["DANNON"], {}, {"payer": "DANNON"}, ("DANNON",), datetime(2020, 10, 31, tzinfo=UTC), date(2020, 10, 31)),
]


@pytest.mark.parametrize("parse", TEXT_PARSERS)
@pytest.mark.parametrize("value", NO_TEXTS, ids=repr)
def test_a_value_that_is_no_text_is_rejected_and_never_coerced(parse: Callable[[object], str], value: Any) -> None:
    assert error_of(parse, value).code == "wrong-type"


def test_no_error_contains_the_sent_value() -> None:
    sent: list[tuple[Callable[[object], object], object]] = [
        (parse_payer, "Zebulon\x00Zebulon"),
        (parse_points, "7777"),
        (parse_points_to_spend, -7777),
        (parse_timestamp, "Zebulon"),
    ]
    for parse, value in sent:
        texts_of_error = texts_of(error_of(parse, value))
        assert "Zebulon" not in texts_of_error
        assert "7777" not in texts_of_error


def utc_of(text: str) -> str | None:
    """Returns an RFC 3339 timestamp in UTC, by arithmetic; None if it is outside the years 1 to 9999."""
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
texts = near_valid_texts(
    [*VALID_TIMESTAMPS, *VALID_TIMESTAMPS, "DANNON", "MILLER COORS", "a" * 200], AWKWARD
) | any_text(210)
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
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(any_text(210), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("parse", PARSERS)
@given(value=any_value)
@example(value="\udfff")
@example(value=[["2020-10-31T10:00:00Z"]])
@example(value="9999-12-31T23:59:59-23:59")
@settings(max_examples=60)
def test_parsing_is_total_and_idempotent(parse: Callable[[object], object], value: object) -> None:
    stored = accepted(parse, value)
    if stored is not None:
        assert isinstance(stored, str if parse in TEXT_PARSERS else int)
        assert parse(stored) == stored


@given(texts)
@settings(max_examples=250)
def test_a_text_is_accepted_if_and_only_if_its_field_accepts_it(text: str) -> None:
    assert accepted(parse_timestamp, text) == utc_of(text)
    trimmed = text.strip()
    payer = trimmed if 1 <= len(trimmed) <= 200 and has_no_control_character(trimmed) else None
    assert accepted(parse_payer, text) == payer
