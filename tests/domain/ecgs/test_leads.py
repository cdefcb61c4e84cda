"""Names of leads, declared numbers of samples, and the codes, kinds and fields of the errors."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ecgs
from domain.ecgs import LEADS_MAX, LeadNameInvalidError, LeadNameRepeatedError, check_lead_names, parse_lead_name
from domain.errors import InvalidError, NotFoundError, RollbookError, WrongTypeError

ANY = st.text(st.characters(exclude_categories=()), max_size=40)


@pytest.mark.parametrize(
    "name", ["I", "aVR", " V1 ", "\u00a0", "x" * 32, "\U0001f600" * 32, "e\u0301", "<b>&", "\u200b", "\ufffd", "\u2028"]
)
def test_a_name_is_stored_unchanged(name: str) -> None:
    assert parse_lead_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 33, "\U0001f600" * 33, "a\n", "\x00", "\x1f", "\x7f", "\x9f", "\ud800", chr(0xDFFF), "\ufffe", "\uffff"],
)
def test_a_text_that_is_no_name_is_rejected(name: str) -> None:
    with pytest.raises(LeadNameInvalidError):
        parse_lead_name(name)


@given(ANY)
def test_a_name_has_1_to_32_code_points_none_of_them_forbidden(text: str) -> None:
    is_allowed = 1 <= len(text) <= 32 and all(
        unicodedata.category(each) not in {"Cc", "Cs"} and each not in "\ufffe\uffff" for each in text
    )
    if is_allowed:
        assert parse_lead_name(text) == text
        return
    with pytest.raises(LeadNameInvalidError):
        parse_lead_name(text)


@pytest.mark.parametrize("value", [None, 1, True, ["I"], b"I"])
def test_only_a_text_is_a_name(value: object) -> None:
    with pytest.raises(WrongTypeError):
        parse_lead_name(value)


def test_names_are_distinct_code_point_by_code_point() -> None:
    check_lead_names(["aVR", "avr", "AVR", "aVR ", "\u00e9", "e\u0301", "\u0130", "i"])
    with pytest.raises(LeadNameRepeatedError) as caught:
        check_lead_names(["I", "II", "I", "III", "II", "I"])
    assert [violation.path for violation in caught.value.violations] == [(2, "name"), (4, "name"), (5, "name")]


@pytest.mark.parametrize("count", [-1, 0, 1, 10**30])
def test_a_number_of_samples_is_any_integer(count: int) -> None:
    assert ecgs.parse_number_of_samples(count) == count


@pytest.mark.parametrize("value", [True, False, 1.0, 1e2, "1", None, [], {}])
def test_only_an_integer_is_a_number_of_samples(value: object) -> None:
    with pytest.raises(WrongTypeError):
        ecgs.parse_number_of_samples(value)


@pytest.mark.parametrize(
    ("error", "kind", "code", "fields"),
    [
        (ecgs.EcgNotFoundError, NotFoundError, "ecg-not-found", ()),
        (ecgs.LeadsCountError, InvalidError, "leads-count", ()),
        (ecgs.LeadNameInvalidError, InvalidError, "lead-name-invalid", ()),
        (ecgs.LeadNameRepeatedError, InvalidError, "lead-name-repeated", ()),
        (ecgs.SignalEmptyError, InvalidError, "signal-empty", ()),
        (ecgs.NumberOfSamplesError, InvalidError, "number-of-samples-mismatch", ()),
    ],
)
def test_an_error_has_its_kind_code_and_fields(
    error: type[RollbookError], kind: type[RollbookError], code: str, fields: tuple[str, ...]
) -> None:
    assert issubclass(error, kind)
    assert (error.code, error.fields) == (code, fields)
    assert error.detail != RollbookError.detail


def test_an_ecg_has_at_most_64_leads_with_names_of_32() -> None:
    assert (LEADS_MAX, ecgs.LEAD_NAME_MAX) == (64, 32)
