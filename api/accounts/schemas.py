"""The requests and responses of accounts, and the errors of a sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypedDict

from pydantic import BeforeValidator, ConfigDict

from api.accounts.tokens import ChallengeError
from api.http.problems import TooManyRequestsError
from api.http.requests import OPTIONAL, Examples, Request, field
from domain.accounts import (
    AccountNotFoundError,
    PasswordInvalidError,
    UsernameInvalidError,
    parse_password,
    parse_username,
)
from domain.errors import InvalidError

_Username = Annotated[
    str,
    BeforeValidator(parse_username),
    field(
        "Begins with a letter or digit; A-Z are stored in lower case",
        UsernameInvalidError,
        minLength=3,
        maxLength=64,
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$",
    ),
]
_NewPassword = Annotated[
    str,
    BeforeValidator(parse_password),
    field("8 to 128 characters, used as they are", PasswordInvalidError, minLength=8, maxLength=128, format="password"),
]
_Name = Annotated[str, field("The username; A-Z are read as a-z")]
_Password = Annotated[str, field("The password, compared as it is", format="password")]


# ---- errors


INVALID_REQUEST: Final[Mapping[str, str]] = MappingProxyType({"error": "invalid_request"})
"""What RFC 6749, 5.2 adds to the error of a form that cannot be read."""


class SignInFailedError(ChallengeError):
    """There is no such account, the password is wrong, or the account is inactive. The error does not say which."""

    code = "sign-in-failed"
    detail = "The username or the password is wrong."


class TooManyFailuresError(TooManyRequestsError):
    """The username has had too many failed sign-ins; nothing else is checked."""

    code = "too-many-failures"
    detail = "Too many failed sign-ins. Wait as long as `Retry-After` says."

    def __init__(self, retry_after: int) -> None:
        super().__init__(header_values={"Retry-After": str(retry_after)})


class UnsupportedGrantTypeError(InvalidError):
    """The form asks for another grant than that of a password (RFC 6749, 5.2)."""

    code = "unsupported-grant-type"
    detail = "grant_type must be password."
    fields = ("grant_type",)
    members = MappingProxyType({"error": Literal["unsupported_grant_type"]})

    def __init__(self) -> None:
        super().__init__(member_values={"error": "unsupported_grant_type"})


# ---- requests


class SignIn(Request):
    """The body of `sign-in`. Any texts are accepted: those that no account can have fail as wrong ones do."""

    EXAMPLES: ClassVar[Examples] = {"A sample account": {"username": "testuser", "password": "123qweasd"}}

    username: _Name
    password: _Password


class Login(Request):
    """The form of `login` (RFC 6749, 4.3.2). Other parameters are ignored."""

    EXAMPLES: ClassVar[Examples] = {"A sample account": {"username": "testuser", "password": "123qweasd"}}

    model_config = ConfigDict(extra="ignore")

    username: _Name
    password: _Password
    grant_type: Annotated[str, field("`password`, or absent", UnsupportedGrantTypeError)] = OPTIONAL

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Returns the form. Raises `UnsupportedGrantTypeError` even if fields are missing: other grants have others.

        An empty parameter counts as absent (RFC 6749, 3.2).
        """
        if obj.get("grant_type", "") not in ("", "password"):
            raise UnsupportedGrantTypeError
        return super().model_validate(obj, **options)


class ChangePassword(Request):
    """The body of `change-password`."""

    EXAMPLES: ClassVar[Examples] = {"Another password": {"password": "123qweasd", "new_password": "another password"}}

    password: _Password
    new_password: _NewPassword


class CreateAccount(Request):
    """The body of `create-user`."""

    EXAMPLES: ClassVar[Examples] = {"A user": {"username": "asha.rao", "password": "a long password"}}

    username: _Username
    password: _NewPassword


class AccountPath(Request):
    """The account in a path. No account has a malformed name."""

    not_found = AccountNotFoundError

    username: Annotated[str, BeforeValidator(parse_username), field("The username")]


# ---- responses


class SignedIn(TypedDict):
    """A token, and for how many seconds it is good."""

    token: str
    expires_in: int


class LoggedIn(TypedDict):
    """A token as RFC 6749, 5.1 names it."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int


class Message(TypedDict):
    """What has happened."""

    message: str


class CreatedAccount(TypedDict):
    """The new account."""

    username: str
    role: Literal["USER"]
