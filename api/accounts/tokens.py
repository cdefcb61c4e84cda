"""Tokens: how they are signed, and how an endpoint of any service authenticates its caller by one.

JWT (RFC 7519) with HS256. A signature proves nothing alone: the session and its account must exist. PyJWT is imported
at first use.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple, Self

import azure.functions as func
import orjson

from api.http.auth import Caller
from api.http.problems import UnauthorizedError
from domain.accounts import TOKEN_SECONDS, key_is_accepted
from domain.errors import ForbiddenError, RollbookError
from domain.timestamps import format_timestamp
from persistence import accounts as store
from persistence.database.connections import reading
from settings import Settings

_ALGORITHM: Final = "HS256"
_CLAIMS: Final = ("sub", "role", "jti", "iat", "exp")
_MAX_LENGTH: Final = 512
"""More characters than any token has. It bounds what a request without a valid token costs."""
# The scheme in any case (RFC 9110, 11.1), or the bare token.
_CREDENTIALS: Final = re.compile(r"(?:(?i:bearer) +)?([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){2})")
_ACCOUNT_ID: Final = re.compile(r"[1-9][0-9]{0,17}")
_CHALLENGE: Final[Mapping[str, str]] = MappingProxyType({"WWW-Authenticate": "Bearer"})


class ChallengeError(UnauthorizedError):
    """Base class of every 401: it has the header that RFC 9110, 11.6.1 requires."""

    headers = MappingProxyType({"WWW-Authenticate": "The scheme: Bearer"})

    def __init__(self) -> None:
        super().__init__(header_values=_CHALLENGE)


class TokenInvalidError(ChallengeError):
    """The token is missing, not valid or signed out, or its account is inactive or gone; all look the same."""

    code = "token-invalid"
    detail = "A valid token is required: sign in and send `Authorization: Bearer <token>`."


class RoleRequiredError(ForbiddenError):
    """The token is valid, and its account has another role than the endpoint requires."""

    code = "role-required"
    detail = "This account does not have the role that this operation requires."


@dataclass(frozen=True)
class AccountCaller(Caller):
    """A caller with a valid token."""

    account_id: int = 0
    role: str = ""
    jti: str = ""


class NewToken(NamedTuple):
    """What a token is made of: the key that signs it, and its claims. `issued_at` is in seconds since 1970."""

    kid: str
    secret: bytes
    account_id: int
    role: str
    jti: str
    issued_at: int


def sign_token(new: NewToken) -> str:
    """Returns the token, good for `TOKEN_SECONDS`."""
    import jwt  # noqa: PLC0415 - 70 ms, which only a sign-in should take

    claims = {
        "sub": str(new.account_id),
        "role": new.role,
        "jti": new.jti,
        "iat": new.issued_at,
        "exp": new.issued_at + TOKEN_SECONDS,
    }
    return jwt.encode(claims, new.secret, _ALGORITHM, headers={"kid": new.kid, "typ": None})


@dataclass(frozen=True)
class Token:
    """Authentication by the token of an account, which must have `role` if one is given.

    `permits_samples` is that of the app's settings: where sample accounts cannot sign in, their tokens, which another
    app on the same database has issued, are rejected.
    """

    role: str | None = None
    permits_samples: bool = False
    auth_level: ClassVar[func.AuthLevel] = func.AuthLevel.ANONYMOUS
    security: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    reads_database: ClassVar[bool] = True

    @property
    def errors(self) -> Sequence[type[RollbookError]]:
        """The errors that `authenticate` raises."""
        return (TokenInvalidError, RoleRequiredError) if self.role else (TokenInvalidError,)

    def authenticate(self, req: func.HttpRequest) -> AccountCaller:
        """Returns the account of the token in `Authorization`. Raises `TokenInvalidError`, `RoleRequiredError`.

        One statement: the session, its account and the key.
        """
        caller = _caller_of(str(req.headers.get("authorization", "")), permits_samples=self.permits_samples)
        if caller is None:
            raise TokenInvalidError
        if self.role not in (None, caller.role):
            raise RoleRequiredError
        return caller

    def with_settings(self, settings: Settings) -> Self:
        """Returns the same, with the app's rule for sample accounts."""
        return replace(self, permits_samples=settings.permits_samples)


class _Claimed(NamedTuple):
    """What an unverified token says it is."""

    kid: str
    jti: str
    account_id: int


def _caller_of(credentials: str, *, permits_samples: bool) -> AccountCaller | None:
    """Returns the caller if the token is valid, and its session and account are."""
    token = _read_token(credentials)
    claimed = _read_claims(token) if token else None
    if claimed is None:
        return None
    with reading() as connection:
        session = store.find_session(connection, kid=claimed.kid, jti=claimed.jti, account_id=claimed.account_id)
    if session is None or not session.is_active or (session.is_sample and not permits_samples):
        return None
    if not _is_signed(token, session.secret):
        return None
    if not key_is_accepted(session.replaced_at, format_timestamp(datetime.now(UTC))):
        return None
    account_id = claimed.account_id
    return AccountCaller(f"account:{account_id}", account_id=account_id, role=session.role, jti=claimed.jti)


def _read_token(credentials: str) -> str:
    """Returns the token in a header, or an empty string."""
    match = _CREDENTIALS.fullmatch(credentials.strip(" \t")) if len(credentials) <= _MAX_LENGTH else None
    return match[1] if match else ""


def _read_claims(token: str) -> _Claimed | None:
    """Returns what identifies the session. Nothing else of an unverified token is used.

    Read here, because PyJWT decodes a whole token, which takes as long as to verify it.
    """
    try:
        header, payload = (orjson.loads(urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
        kid, jti, subject = header["kid"], payload["jti"], payload["sub"]
    except (ValueError, LookupError, TypeError):
        return None
    if not (isinstance(kid, str) and isinstance(jti, str) and isinstance(subject, str)):
        return None
    return _Claimed(kid, jti, int(subject)) if _ACCOUNT_ID.fullmatch(subject) else None


def _is_signed(token: str, secret: bytes) -> bool:
    """Returns whether the key has signed the token, which has not expired."""
    import jwt  # noqa: PLC0415 - as above

    # `iat` is not compared: the clock of the instance that issued the token may be ahead of this one's.
    options: Any = {"require": [*_CLAIMS], "verify_iat": False}
    try:
        jwt.decode(token, secret, algorithms=[_ALGORITHM], options=options)
    except jwt.PyJWTError:
        return False
    return True
