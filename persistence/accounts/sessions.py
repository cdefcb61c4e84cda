"""The statements over sessions and over the keys that sign their tokens.

A session and a change of its account exclude each other by the account's row.
"""

from __future__ import annotations

import re
import secrets
import uuid
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from domain.accounts import TOKEN_SECONDS
from domain.timestamps import shift_timestamp
from persistence.accounts.tables import ACCOUNTS, KEYS, SESSIONS
from persistence.database.clauses import flag, for_update, limit_any_rows, skip_locked
from persistence.database.types import RowId

SECRET_BYTES: Final = 32
"""Length of a signing key, that of the hash of HS256: RFC 7518, 3.2 requires no less."""

SWEEP_LIMIT: Final = 100
"""Maximum number of ended sessions, and of old keys, that one sign-in deletes."""


class Key(NamedTuple):
    """The key that signs tokens: its id for the header `kid`, and `SECRET_BYTES` bytes."""

    kid: str
    secret: bytes


class Session(NamedTuple):
    """What decides about a token, once its signature has been verified with `secret`."""

    secret: bytes
    replaced_at: str | None
    role: str
    is_active: bool
    is_sample: bool


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ACCOUNT_ID = bindparam("of_id", type_=RowId)
_IS_KEY = KEYS.c.kid == bindparam("kid", type_=KEYS.c.kid.type)
_IS_SESSION = SESSIONS.c.jti == bindparam("of_jti", type_=SESSIONS.c.jti.type)
_FIND_SESSION = (
    select(
        *(KEYS.c[name] for name in ("secret", "replaced_at")),
        *(ACCOUNTS.c[name] for name in ("role", "is_active", "is_sample")),
    )
    .select_from(SESSIONS.join(ACCOUNTS, ACCOUNTS.c.id == SESSIONS.c.account_id).join(KEYS, _IS_KEY))
    .where(_IS_SESSION, ACCOUNTS.c.id == _ACCOUNT_ID)
)
_NEW = {name: bindparam(f"new_{name}", type_=SESSIONS.c[name].type) for name in ("jti", "expires_at")}
_NEW_SESSION = select(_NEW["jti"], ACCOUNTS.c.id, _NEW["expires_at"]).where(
    ACCOUNTS.c.id == _ACCOUNT_ID,
    ACCOUNTS.c.password_hash == bindparam("password_hash", type_=ACCOUNTS.c.password_hash.type),
    ACCOUNTS.c.is_active,
)
# Locked: otherwise a change of the account that has not been committed yet would not be seen.
_INSERT_SESSION = insert(SESSIONS).from_select(["jti", "account_id", "expires_at"], for_update(_NEW_SESSION, ACCOUNTS))
_DELETE_SESSION = delete(SESSIONS).where(_IS_SESSION)
_INSERT_KEY = insert(KEYS).inline()
_REPLACE_KEY = update(KEYS).where(KEYS.c.replaced_at.is_(None)).values(replaced_at=bindparam("now"))
_ENDED_AT = bindparam("now", type_=SESSIONS.c.expires_at.type)
_REPLACED_AT = bindparam("replaced_at", type_=KEYS.c.replaced_at.type)
_OLD = KEYS.alias("old")
_FIND_KEY = select(
    KEYS.c.kid,
    KEYS.c.secret,
    flag(exists(SESSIONS.c.jti).where(SESSIONS.c.expires_at <= _ENDED_AT)).label("has_ended"),
    flag(exists(_OLD.c.kid).where(_OLD.c.replaced_at <= _REPLACED_AT)).label("has_old"),
).where(KEYS.c.replaced_at.is_(None))
_ENDED = limit_any_rows(skip_locked(select(SESSIONS.c.jti).where(SESSIONS.c.expires_at <= _ENDED_AT), SESSIONS))
_DELETE_ENDED = delete(SESSIONS).where(SESSIONS.c.jti.in_(_ENDED))
_OLD_KEYS = limit_any_rows(skip_locked(select(KEYS.c.kid).where(KEYS.c.replaced_at <= _REPLACED_AT), KEYS))
_DELETE_OLD_KEYS = delete(KEYS).where(KEYS.c.kid.in_(_OLD_KEYS))


def find_session(connection: Connection, *, kid: str, jti: str, account_id: int) -> Session | None:
    """Returns the session that a token names, with the key that its header names; None if one of them is not there.

    The token has not been verified yet: any values may be given. Costs one statement, or none for impossible values.
    """
    if not (_UUID.fullmatch(kid) and _UUID.fullmatch(jti) and 0 < account_id < 2**63):
        return None
    row = connection.execute(_FIND_SESSION, {"kid": kid, "of_jti": jti, "of_id": account_id}).one_or_none()
    return None if row is None else Session._make(row)


def insert_session(
    connection: Connection, account_id: int, *, password_hash: str, jti: str, expires_at: str, now: str
) -> Key | None:
    """Stores a session and returns the key that signs its token; the first session of all makes the key.

    Returns None, and stores nothing, unless `password_hash` is still that of the account and the account is active.
    `jti` is a new UUID. Deletes up to `SWEEP_LIMIT` ended sessions and old keys.
    """
    values = {"new_jti": jti, "new_expires_at": expires_at, "of_id": account_id, "password_hash": password_hash}
    if connection.execute(_INSERT_SESSION, values).rowcount != 1:
        return None
    times = {"now": now, "replaced_at": shift_timestamp(now, -TOKEN_SECONDS)}
    row = connection.execute(_FIND_KEY, times).one_or_none()
    if row is None:
        return _insert_key(connection, now=now)
    if row.has_ended:
        connection.execute(_DELETE_ENDED, {"now": now, "row_limit": SWEEP_LIMIT})
    if row.has_old:
        connection.execute(_DELETE_OLD_KEYS, {"replaced_at": times["replaced_at"], "row_limit": SWEEP_LIMIT})
    return Key(row.kid, row.secret)


def delete_session(connection: Connection, jti: str) -> None:
    """Ends a session: its token is rejected from then on."""
    connection.execute(_DELETE_SESSION, {"of_jti": jti})


def rotate_keys(connection: Connection, *, now: str) -> None:
    """Makes a new key, which signs from now on. A replaced key is accepted for `TOKEN_SECONDS` from its replacement.

    Raises `LostRaceError` at the end of the block if another transaction made a key meanwhile.
    """
    connection.execute(_REPLACE_KEY, {"now": now})
    _insert_key(connection, now=now)


def _insert_key(connection: Connection, *, now: str) -> Key:
    key = Key(str(uuid.uuid4()), secrets.token_bytes(SECRET_BYTES))
    connection.execute(_INSERT_KEY, {**key._asdict(), "created_at": now})
    return key
