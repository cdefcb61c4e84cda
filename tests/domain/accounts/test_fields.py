"""Names and passwords of accounts: what is accepted, and what becomes of it."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts import (
    PasswordInvalidError,
    UsernameInvalidError,
    parse_password,
    parse_username,
    sign_in_name,
)
from domain.errors import WrongTypeError

NO_TEXTS: list[Any] = [None, True, 0, 1.5, b"testuser", ["testuser"], {"a": 1}]
NAME_CHARACTERS = string.ascii_letters + string.digits + "._-"


@pytest.mark.parametrize(
    ("given_name", "username"),
    [
        ("testuser", "testuser"),
        ("TestUser.X_Y-9", "testuser.x_y-9"),
        ("abc", "abc"),
        ("0-0", "0-0"),
        ("a..", "a.."),
        ("Z" * 64, "z" * 64),
    ],
)
def test_a_username_is_stored_with_its_ascii_letters_in_lower_case(given_name: str, username: str) -> None:
    assert parse_username(given_name) == sign_in_name(given_name) == username


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "ab",
            "a" * 65,
            " abc",
            "abc ",
            "abc\n",
            "abc\r\n",
            "abc\x00",
            ".abc",
            "_abc",
            "-abc",
            "a b",
            "a/b",
            "a@b",
        ),
        *("\u212aelvin", "a\u212a\u212a", "\u0130stanbul", "stra\u00dfe", "\uff41bc", "\u0661\u0662\u0663", "ab\ud800"),
    ],
    ids=ascii,
)
def test_any_other_text_is_no_username(name: str) -> None:
    assert sign_in_name(name) is None
    with pytest.raises(UsernameInvalidError):
        parse_username(name)


@given(st.text(max_size=70) | st.text(NAME_CHARACTERS, max_size=70))
def test_a_username_has_only_what_its_rule_names(name: str) -> None:
    username = sign_in_name(name)
    possible = 3 <= len(name) <= 64 and {*name} <= {*NAME_CHARACTERS} and name[0] not in "._-"
    assert (username is not None) == possible
    if username is not None:
        assert username == name.lower() == parse_username(username)


@pytest.mark.parametrize(
    "password",
    [
        *("a" * 8, "a" * 128, " " * 8, "\n" * 8, "\x00" * 8, "123qweasd", " pass word \n"),
        *("\U0001f600" * 128, "e\u0301" * 4, "\u00e9" * 8, "\ufffe\uffff" * 4, "\ufb01" * 8),
    ],
    ids=ascii,
)
def test_a_password_is_any_text_of_its_length_and_unchanged(password: str) -> None:
    assert parse_password(password) == password


@pytest.mark.parametrize(
    "password",
    ["", "a" * 7, "a" * 129, "\U0001f600" * 7, "1234567\ud800", "\udfff" * 8, "1234567\ude00\ud83d"],
    ids=ascii,
)
def test_a_password_of_another_length_or_with_a_surrogate_is_rejected(password: str) -> None:
    with pytest.raises(PasswordInvalidError) as caught:
        parse_password(password)
    assert not password or password not in str(caught.value)


@given(st.text(st.characters(codec=None), max_size=140))
def test_a_password_can_be_encoded(password: str) -> None:
    try:
        parse_password(password)
    except PasswordInvalidError:
        return
    assert 8 <= len(password) <= 128
    password.encode()


@pytest.mark.parametrize("value", NO_TEXTS, ids=repr)
def test_a_name_or_a_password_that_is_no_text_has_the_wrong_type(value: Any) -> None:
    for parse in (parse_username, parse_password):
        with pytest.raises(WrongTypeError):
            parse(value)
