"""The rules of accounts: names, passwords, roles, the lifetime of tokens and keys, and the window of failed sign-ins.

Every `parse_*` function is total and idempotent: it returns the stored form of any Python value or raises a subclass of
`InvalidError`. Hashes and tokens are not computed here.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Final

from domain.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, WrongTypeError
from domain.timestamps import shift_timestamp

USER: Final = "USER"
ADMIN: Final = "ADMIN"
"""The roles. An ADMIN manages accounts."""

TOKEN_SECONDS: Final = 3600
"""Lifetime of a token and its session, and how long a replaced key is still accepted."""

MAX_FAILURES: Final = 10
FAILURE_WINDOW_SECONDS: Final = 600
"""At most so many failed sign-ins of one username within so many seconds."""

SAMPLE_ROLES: Final = {"testuser": USER, "testuser2": USER, "user": USER, "user2": USER, "admin": ADMIN}
SAMPLE_PASSWORD: Final = "123qweasd"  # noqa: S105 - public: sample accounts cannot sign in where others reach them
"""The sample accounts, as the source exercises name them."""

# str.lower() would turn U+212A (KELVIN SIGN) into a k.
_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{2,63}")
_PASSWORD = re.compile(r"[^\ud800-\udfff]{8,128}")


class UsernameInvalidError(InvalidError):
    """The text cannot be the name of an account."""

    code = "username-invalid"
    detail = "username must have 3 to 64 of a-z, 0-9, dot, underscore and hyphen, and begin with a letter or digit."


class PasswordInvalidError(InvalidError):
    """The password is too short or too long, or has a lone surrogate."""

    code = "password-invalid"
    detail = "A password must have 8 to 128 characters, none of them a lone surrogate."


class UsernameTakenError(ConflictError):
    """Another account has the username."""

    code = "username-taken"
    detail = "An account has this username."
    fields = ("username",)


class AccountNotFoundError(NotFoundError):
    """No account has the username."""

    code = "account-not-found"
    detail = "No account has this username."


class OwnAccountError(ConflictError):
    """An account cannot delete itself."""

    code = "own-account"
    detail = "An account cannot delete itself."


class LastAdminError(ConflictError):
    """Without this account there would be no active ADMIN."""

    code = "last-admin"
    detail = "The last active ADMIN can be neither deleted nor deactivated."


class PasswordWrongError(ForbiddenError):
    """The password is not that of the account."""

    code = "password-wrong"
    detail = "The password is wrong."
    fields = ("password",)


def parse_username(value: object) -> str:
    """Returns a username with A-Z in lower case; no other letter is converted.

    Raises `WrongTypeError`, `UsernameInvalidError`.
    """
    if not isinstance(value, str):
        raise WrongTypeError("username must be a JSON string.")
    username = sign_in_name(value)
    if username is None:
        raise UsernameInvalidError
    return username


def sign_in_name(value: str) -> str | None:
    """Returns the username that a text names at sign-in, or None for a text that no account can have as its name."""
    username = value.translate(_LOWER)
    return username if _USERNAME.fullmatch(username) else None


def parse_password(value: object) -> str:
    """Returns a password unchanged: 8 to 128 Unicode scalar values, neither normalised nor trimmed.

    Raises `WrongTypeError`, `PasswordInvalidError`.
    """
    if not isinstance(value, str):
        raise WrongTypeError("A password must be a JSON string.")
    if not _PASSWORD.fullmatch(value):
        raise PasswordInvalidError
    return value


def failure_window_start(now: str) -> str:
    """Returns the timestamp after which a failed sign-in counts."""
    return shift_timestamp(now, -FAILURE_WINDOW_SECONDS)


def retry_after(oldest: str, now: str) -> int:
    """Returns the whole seconds, at least 1, until the oldest of `MAX_FAILURES` failures has left the window."""
    leaves_at = datetime.fromisoformat(shift_timestamp(oldest, FAILURE_WINDOW_SECONDS))
    return max(1, math.ceil((leaves_at - datetime.fromisoformat(now)).total_seconds()))


def key_is_accepted(replaced_at: str | None, now: str) -> bool:
    """Returns whether a signing key is accepted: the current one, and a replaced one for `TOKEN_SECONDS`."""
    return replaced_at is None or now < shift_timestamp(replaced_at, TOKEN_SECONDS)
