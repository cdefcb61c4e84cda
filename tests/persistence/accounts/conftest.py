"""Accounts of a test, and the functions of the store, each in a transaction of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select

from domain.accounts import ADMIN, USER
from domain.timestamps import shift_timestamp
from persistence import accounts as store
from persistence.accounts.tables import ACCOUNTS, SESSIONS
from persistence.database.connections import reading, transaction
from persistence.database.retries import run_with_retries

NOW = "2026-01-01T12:00:00.000000Z"


def later(seconds: int) -> str:
    """Returns the timestamp so many seconds after `NOW`."""
    return shift_timestamp(NOW, seconds)


def change(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Returns the result of a function of the store in a transaction, as an endpoint calls it."""

    def work() -> Any:
        with transaction() as connection:
            return function(connection, *arguments, **options)

    return run_with_retries(work)


def rows(statement: Any) -> list[Any]:
    """Returns the rows of a query, those of one column as values."""
    with reading() as connection:
        return [row[0] if len(row) == 1 else tuple(row) for row in connection.execute(statement)]


def sign_in(account: store.Account, *, password_hash: str = "", now: str = NOW, lifetime: int = 3600) -> str | None:
    """Opens a session of an account and returns its `jti`, or None if there is none."""
    jti = str(uuid.uuid4())
    options = {"jti": jti, "expires_at": shift_timestamp(now, lifetime), "now": now}
    key = change(store.insert_session, account.id, password_hash=password_hash or account.password_hash, **options)
    return jti if key else None


def sessions_of(account: store.Account) -> list[str]:
    """Returns the sessions of an account."""
    return rows(select(SESSIONS.c.jti).where(SESSIONS.c.account_id == account.id))


def active_admins() -> list[str]:
    """Returns the names of the active ADMINs."""
    query = select(ACCOUNTS.c.username).where(ACCOUNTS.c.role == ADMIN, ACCOUNTS.c.is_active)
    return rows(query.order_by(ACCOUNTS.c.username))


@pytest.fixture
def new_account(app_database: None) -> Callable[..., store.Account]:
    """A function that makes an account; there are no others, samples included."""

    def clear(connection: Connection) -> None:
        connection.execute(delete(ACCOUNTS))

    change(clear)

    def make(username: str = "ann", role: str = USER) -> store.Account:
        change(store.insert_account, username, f"hash of {username}", role=role, now=NOW)
        with reading() as connection:
            account = store.find_account(connection, username)
        assert account is not None
        return account

    return make


def insert_all(table: Any, values: list[dict[str, Any]]) -> None:
    """Stores rows directly."""
    with transaction() as connection:
        connection.execute(insert(table), values)
