"""The endpoints of accounts. What hashes a password runs in three steps.

Count the attempt in a transaction → hash without a connection → take effect in the handler's transaction, only if the
hash that was verified is still the account's.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple

from api.accounts.passwords import (
    DUMMY_HASH,
    PasswordsBusyError,
    admit_hashing,
    hash_password,
    needs_rehash,
    renew_hash,
    run_hash,
    verify_password,
)
from api.accounts.samples import report_samples
from api.accounts.schemas import (
    INVALID_REQUEST,
    AccountPath,
    ChangePassword,
    CreateAccount,
    CreatedAccount,
    LoggedIn,
    Login,
    Message,
    SignedIn,
    SignIn,
    SignInFailedError,
    TooManyFailuresError,
    UnsupportedGrantTypeError,
)
from api.accounts.tokens import AccountCaller, NewToken, Token, TokenInvalidError, sign_token
from api.http.auth import Anonymous
from api.http.responses import Response, Returns, encode
from api.http.service import Service
from domain.accounts import (
    ADMIN,
    TOKEN_SECONDS,
    USER,
    LastAdminError,
    OwnAccountError,
    PasswordWrongError,
    UsernameTakenError,
    sign_in_name,
)
from domain.timestamps import format_timestamp, shift_timestamp
from persistence import accounts as store
from persistence.accounts import Account
from persistence.database.connections import Connection
from persistence.database.errors import LostRaceError
from settings import Settings

service = Service("accounts", on_start=report_samples)


# ---- steps


class Verified(NamedTuple):
    """An account whose password was right. `new_hash` replaces a hash with other parameters than today's."""

    account: Account
    new_hash: str | None


class NewHash(NamedTuple):
    """An account whose password was right, and the hash of the one that replaces it."""

    account: Account
    new_hash: str


def _count_sign_in(request: SignIn | Login, connection: Connection) -> Account | None:
    """Returns the account after it has counted the attempt; a name that no account can have is not counted."""
    username = sign_in_name(request.username)
    if username is None:
        return None
    _count_attempt(connection, username)
    return store.find_account(connection, username)


def _count_attempt(connection: Connection, username: str) -> None:
    retry_after = store.count_failure(connection, username, now=_now())
    if retry_after is not None:
        raise TooManyFailuresError(retry_after)


def _verify_sign_in(request: SignIn | Login, prepared: Account | None, settings: Settings) -> Verified:
    """Returns the account if its password is right and it may sign in; without an account it takes as long."""
    password_hash = prepared.password_hash if prepared else DUMMY_HASH
    is_right = run_hash(settings, partial(verify_password, password_hash, request.password))
    if not is_right or prepared is None or (prepared.is_sample and not settings.permits_samples):
        raise SignInFailedError
    if not needs_rehash(password_hash):
        return Verified(prepared, None)
    return Verified(prepared, run_hash(settings, partial(renew_hash, password_hash, request.password)))


def _open_session(connection: Connection, verified: Verified) -> NewToken:
    """Returns what the token of a new session is made of.

    Raises `SignInFailedError` if the account is inactive or gone, or has another password by now.
    """
    account, new_hash = verified
    if new_hash:  # which another sign-in may have stored meanwhile: the same one
        store.renew_hash(connection, account.id, old_hash=account.password_hash, new_hash=new_hash)
    jti, now = str(uuid.uuid4()), datetime.now(UTC).replace(microsecond=0)  # times in a token are whole seconds
    expires_at = shift_timestamp(format_timestamp(now), TOKEN_SECONDS)
    key = store.insert_session(
        connection,
        account.id,
        password_hash=new_hash or account.password_hash,
        jti=jti,
        expires_at=expires_at,
        now=_now(),
    )
    if key is None:
        raise SignInFailedError
    store.forget_failures(connection, account.username)
    return NewToken(key.kid, key.secret, account.id, account.role, jti, int(now.timestamp()))


def _count_change(caller: AccountCaller, connection: Connection) -> Account:
    """Returns the caller's account after it has counted the attempt."""
    account = store.find_account_by_id(connection, caller.account_id)
    if account is None:
        raise TokenInvalidError
    _count_attempt(connection, account.username)
    return account


def _verify_change(request: ChangePassword, prepared: Account, settings: Settings) -> NewHash:
    if not run_hash(settings, partial(verify_password, prepared.password_hash, request.password)):
        raise PasswordWrongError
    return NewHash(prepared, run_hash(settings, partial(hash_password, request.new_password)))


def _hash_new(request: CreateAccount, settings: Settings) -> str:
    return run_hash(settings, partial(hash_password, request.password))


def _now() -> str:
    return format_timestamp(datetime.now(UTC))


# ---- endpoints

_SIGN_IN: Final[dict[str, Any]] = {
    "auth": Anonymous(),
    "limit": admit_hashing,
    "before": (_count_sign_in, _verify_sign_in),
    "before_writes": True,
    "writes": True,
}


@service.endpoint(
    "accounts_sign_in",
    route="api/v1/sign-in",
    body=SignIn,
    **_SIGN_IN,
    render=lambda new: encode(SignedIn(token=sign_token(new), expires_in=TOKEN_SECONDS)),
    returns={200: Returns(SignedIn, "Signed in; the token is sent as `Authorization: Bearer <token>`")},
    errors=[SignInFailedError, TooManyFailuresError, PasswordsBusyError],
)
def sign_in(connection: Connection, prepared: Verified) -> Response:
    """Signs in and returns a token."""
    return Response(_open_session(connection, prepared))


@service.endpoint(
    "accounts_login",
    route="login",
    form=Login,
    **_SIGN_IN,
    render=lambda new: encode(
        LoggedIn(access_token=sign_token(new), token_type="bearer", expires_in=TOKEN_SECONDS)  # noqa: S106 - the type
    ),
    returns={200: Returns(LoggedIn, "Signed in; the token is sent as `Authorization: Bearer <token>`")},
    errors=[SignInFailedError, TooManyFailuresError, PasswordsBusyError, UnsupportedGrantTypeError],
    problem_members={400: INVALID_REQUEST, 401: {"error": "invalid_grant"}},
)
def login(connection: Connection, prepared: Verified) -> Response:
    """Signs in by the password form of OAuth 2.0 and returns a token."""
    return Response(_open_session(connection, prepared))


@service.endpoint(
    "accounts_sign_out",
    route="api/v1/sign-out",
    auth=Token(),
    ignore_body=True,
    writes=True,
    returns={200: Returns(Message, "The token is not valid any more")},
)
def sign_out(caller: AccountCaller, connection: Connection) -> Response:
    """Signs out: the token is rejected from now on."""
    store.delete_session(connection, caller.jti)
    return Response(Message(message="Signed out successfully"))


@service.endpoint(
    "accounts_change_password",
    route="api/v1/change-password",
    auth=Token(),
    body=ChangePassword,
    limit=admit_hashing,
    before=(_count_change, _verify_change),
    before_writes=True,
    writes=True,
    returns={200: Returns(Message, "The password is changed, and no token of the account is valid any more")},
    errors=[PasswordWrongError, TooManyFailuresError, PasswordsBusyError],
)
def change_password(connection: Connection, prepared: NewHash) -> Response:
    """Changes the password and ends every session of the account."""
    account, new_hash = prepared
    if not store.replace_password(connection, account.id, old_hash=account.password_hash, new_hash=new_hash):
        raise LostRaceError  # a retry notices if another change has ended the session; a renewed hash has not
    store.forget_failures(connection, account.username)
    return Response(Message(message="Password changed successfully"))


@service.endpoint(
    "accounts_create_user",
    route="create-user",
    auth=Token(ADMIN),
    body=CreateAccount,
    limit=admit_hashing,
    before=_hash_new,
    writes=True,
    returns={201: Returns(CreatedAccount, "The account")},
    errors=[UsernameTakenError, PasswordsBusyError],
)
def create_user(request: CreateAccount, connection: Connection, prepared: str) -> Response:
    """Creates an account with the role USER."""
    store.insert_account(connection, request.username, prepared, role=USER, now=_now())
    return Response(CreatedAccount(username=request.username, role="USER"), 201)


@service.endpoint(
    "accounts_delete_user",
    route="delete-user/{username}",
    auth=Token(ADMIN),
    path=AccountPath,
    writes=True,
    returns={200: Returns(Message, "The account and all that it owned are deleted")},
    errors=[OwnAccountError, LastAdminError],
)
def delete_user(path: AccountPath, caller: AccountCaller, connection: Connection) -> Response:
    """Deletes an account and all that it owns."""
    store.delete_account(connection, path.username, by_id=caller.account_id)
    return Response(Message(message="User deleted successfully"))
