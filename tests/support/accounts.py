"""Accounts and their tokens for tests, without the time that hashing takes."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import httpx
from sqlalchemy import func, insert, select

from api.accounts.passwords import hash_password
from api.accounts.tokens import NewToken, sign_token
from domain.accounts import TOKEN_SECONDS, USER
from domain.timestamps import format_timestamp
from persistence import accounts as store
from persistence.accounts.tables import ACCOUNTS, FAILURES, SESSIONS
from persistence.database import connections

PASSWORD: Final = "a password: π🔑"  # noqa: S105 - of tests
WRONG: Final = "another password"
PASSWORD_HASH: Final = hash_password(PASSWORD)


class Added(NamedTuple):
    """A stored account."""

    id: int
    username: str


def now() -> str:
    """The current time as text."""
    return format_timestamp(datetime.now(UTC))


def add_account(
    username: str, role: str = USER, *, is_sample: bool = False, password_hash: str = PASSWORD_HASH
) -> Added:
    """Stores an account with the password `PASSWORD`."""
    with connections.transaction() as connection:
        store.insert_account(connection, username, password_hash, role=role, is_sample=is_sample, now=now())
    return Added(account(username)["id"], username)


def account(username: str) -> dict[str, Any]:
    """The row of an account."""
    with connections.reading() as connection:
        return dict(connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.username == username)).mappings().one())


def new_token(account_id: int, *, issued_at: int | None = None) -> NewToken:
    """Stores a session, and returns what its token is made of."""
    jti, issued_at = str(uuid.uuid4()), int(time.time()) if issued_at is None else issued_at
    expires_at = format_timestamp(datetime.fromtimestamp(issued_at + TOKEN_SECONDS, UTC))
    with connections.transaction() as connection:
        row = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.id == account_id)).mappings().one()
        key = store.insert_session(
            connection, account_id, password_hash=row["password_hash"], jti=jti, expires_at=expires_at, now=now()
        )
    assert key is not None
    return NewToken(key.kid, key.secret, account_id, row["role"], jti, issued_at)


def bearer(account: Added) -> dict[str, str]:
    """A header with the token of a new session."""
    return {"Authorization": f"Bearer {sign_token(new_token(account.id))}"}


def sign_in(client: httpx.Client, username: object, password: object = PASSWORD, **more: object) -> httpx.Response:
    """The response to a sign-in; `more` are further keys of its body."""
    return client.post("/api/v1/sign-in", json={"username": username, "password": password, **more})


def count_sessions() -> int:
    """How many sessions are stored."""
    with connections.reading() as connection:
        return connection.execute(select(func.count()).select_from(SESSIONS)).scalar_one()


def failures() -> list[str]:
    """The usernames of the counted failures, in their order."""
    with connections.reading() as connection:
        return [*connection.execute(select(FAILURES.c.username).order_by(FAILURES.c.failed_at)).scalars()]


def add_failures(username: str, ages: list[float]) -> None:
    """Counts failures so many seconds ago."""
    times = [format_timestamp(datetime.fromtimestamp(time.time() - age, UTC)) for age in ages]
    with connections.transaction() as connection:
        for failed_at in times:
            connection.execute(insert(FAILURES), {"username": username, "failed_at": failed_at})


def problem(response: httpx.Response) -> tuple[int, str, list[str]]:
    """The status, the code and the pointers of a problem."""
    body = response.json()
    return response.status_code, body["type"].rpartition("/")[2], [error["pointer"] for error in body["errors"]]
