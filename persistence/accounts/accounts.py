"""The statements over accounts.

Lock order: the active ADMINs by id, then the account, then what belongs to it. So the last active ADMIN cannot be
deleted or deactivated by two transactions at once, and they do not deadlock.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    exists,
    false,
    insert,
    literal_column,
    select,
    true,
    update,
)

from domain.accounts import ADMIN, AccountNotFoundError, LastAdminError, OwnAccountError, UsernameTakenError
from persistence.accounts.failures import forget_failures
from persistence.accounts.tables import ACCOUNTS, SESSIONS
from persistence.database.clauses import flag, for_update
from persistence.database.errors import raise_on_duplicate_key
from persistence.database.idempotency import delete_responses


class Account(NamedTuple):
    """What a sign-in reads of an account."""

    id: int
    username: str
    password_hash: str
    role: str
    is_active: bool
    is_sample: bool


_OF_NAME = ACCOUNTS.c.username == bindparam("of_username", type_=ACCOUNTS.c.username.type)
_OF_ID = ACCOUNTS.c.id == bindparam("of_id", type_=ACCOUNTS.c.id.type)
_HAS_HASH = ACCOUNTS.c.password_hash == bindparam("old_hash", type_=ACCOUNTS.c.password_hash.type)
_FIND = select(*(ACCOUNTS.c[name] for name in Account._fields)).where(_OF_NAME)
_FIND_BY_ID = select(*(ACCOUNTS.c[name] for name in Account._fields)).where(_OF_ID)
_HAS_SAMPLES = select(flag(exists(ACCOUNTS.c.id).where(ACCOUNTS.c.is_sample)))
_INSERT = insert(ACCOUNTS).inline()
_LOCK_ADMINS = for_update(
    select(ACCOUNTS.c.id, ACCOUNTS.c.username)
    .where(ACCOUNTS.c.role == literal_column(f"'{ADMIN}'"), ACCOUNTS.c.is_active)
    .order_by(ACCOUNTS.c.id),
    ACCOUNTS,
)
_DELETE = delete(ACCOUNTS).where(_OF_NAME).returning(ACCOUNTS.c.id)
_END_SESSIONS = delete(SESSIONS).where(SESSIONS.c.account_id == bindparam("of_id", type_=SESSIONS.c.account_id.type))
_END_SESSIONS_OF_NAME = delete(SESSIONS).where(SESSIONS.c.account_id.in_(select(ACCOUNTS.c.id).where(_OF_NAME)))
_ACTIVATE = update(ACCOUNTS).where(_OF_NAME).values(is_active=true())
_DEACTIVATE = update(ACCOUNTS).where(_OF_NAME).values(is_active=false())
_RENEW_HASH = update(ACCOUNTS).where(_OF_ID, _HAS_HASH).values(password_hash=bindparam("new_password_hash"))
_REPLACE_PASSWORD = _RENEW_HASH.values(is_sample=false())


def find_account(connection: Connection, username: str) -> Account | None:
    """Returns the account of a name, or None."""
    row = connection.execute(_FIND, {"of_username": username}).one_or_none()
    return None if row is None else Account._make(row)


def find_account_by_id(connection: Connection, account_id: int) -> Account | None:
    """Returns the account of an id, or None."""
    row = connection.execute(_FIND_BY_ID, {"of_id": account_id}).one_or_none()
    return None if row is None else Account._make(row)


def has_sample_accounts(connection: Connection) -> bool:
    """Returns whether an account is marked as a sample, which is one whose password is public."""
    return bool(connection.execute(_HAS_SAMPLES).scalar_one())


def insert_account(
    connection: Connection, username: str, password_hash: str, *, role: str, now: str, is_sample: bool = False
) -> None:
    """Stores an active account. Raises `UsernameTakenError`."""
    values = {"username": username, "password_hash": password_hash, "role": role, "created_at": now}
    with raise_on_duplicate_key(UsernameTakenError()):
        connection.execute(_INSERT, {**values, "is_active": True, "is_sample": is_sample})


def delete_account(connection: Connection, username: str, *, by_id: int) -> None:
    """Deletes an account for the account `by_id`, with all that belongs to it in every service.

    Its rows go by foreign keys with cascade; its stored responses and failed sign-ins refer to no row. Raises
    `AccountNotFoundError`, `OwnAccountError`, `LastAdminError`.
    """
    admins = _lock_admins(connection)
    if admins.get(username) == by_id:
        raise OwnAccountError
    _require_other_admin(admins, username)
    # First, because only its lock keeps a running call from storing a response for the account.
    account_id = connection.execute(_DELETE, {"of_username": username}).scalar()
    if account_id is None:
        raise AccountNotFoundError
    if account_id == by_id:  # deactivated meanwhile
        raise OwnAccountError
    delete_responses(connection, f"account:{account_id}")
    forget_failures(connection, username)


def set_active(connection: Connection, username: str, active: bool) -> None:
    """Activates an account, or deactivates it and ends its sessions. It may be so already.

    Raises `AccountNotFoundError`, `LastAdminError`.
    """
    if not active:
        _require_other_admin(_lock_admins(connection), username)
    statement = _ACTIVATE if active else _DEACTIVATE
    if connection.execute(statement, {"of_username": username}).rowcount != 1:
        raise AccountNotFoundError
    if not active:
        connection.execute(_END_SESSIONS_OF_NAME, {"of_username": username})


def _lock_admins(connection: Connection) -> dict[str, int]:
    """Returns the ids of the active ADMINs by name; they stay as they are until the transaction ends."""
    return {row.username: row.id for row in connection.execute(_LOCK_ADMINS)}


def _require_other_admin(admins: dict[str, int], username: str) -> None:
    if [*admins] == [username]:
        raise LastAdminError


def replace_password(connection: Connection, account_id: int, *, old_hash: str, new_hash: str) -> bool:
    """Replaces the hash of a password, ends every session of the account and takes the mark of a sample away.

    Returns False, and changes nothing, if the account is gone or its hash is not `old_hash` any more.
    """
    values = {"of_id": account_id, "old_hash": old_hash, "new_password_hash": new_hash}
    if connection.execute(_REPLACE_PASSWORD, values).rowcount != 1:
        return False
    connection.execute(_END_SESSIONS, {"of_id": account_id})
    return True


def renew_hash(connection: Connection, account_id: int, *, old_hash: str, new_hash: str) -> None:
    """Replaces the hash `old_hash`, if it is still that of the account, by one of the same password.

    In the transaction of a sign-in: before `insert_session`, which then gets the new hash and finds out whether it is
    the account's.
    """
    connection.execute(_RENEW_HASH, {"of_id": account_id, "old_hash": old_hash, "new_password_hash": new_hash})
