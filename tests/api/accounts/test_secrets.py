"""Nothing of a password, a hash or a token is in a response, a log line or a trace, whatever happens to the call."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import select

from persistence.accounts.tables import ACCOUNTS, KEYS, SESSIONS
from persistence.database import connections
from tests.support.accounts import PASSWORD, PASSWORD_HASH, WRONG, Added, add_account, bearer
from tests.support.telemetry import Observed, observing

SHORT = "Zq7"
BROKEN = "$argon2id$v=19$m=19456,t=2,p=1$Broken"


@pytest.fixture
def observed() -> Iterator[Observed]:
    with observing() as observed:
        yield observed


def _calls(client: httpx.Client, root: dict[str, str]) -> Iterator[httpx.Response]:
    """Calls that succeed, that are rejected at every step, and that fail with a 500; two of them issue a token."""
    for username in ("asha", "unknown", "broken", "a b"):
        for password in (PASSWORD, WRONG, SHORT):
            body = {"username": username, "password": password}
            yield client.post("/api/v1/sign-in", json=body)
            yield client.post("/login", data=body)
            yield client.post("/login", data={**body, "grant_type": WRONG})
            yield client.post("/api/v1/sign-in", json={**body, "other": password})
            yield client.post("/create-user", headers=root, json=body)
            yield client.post("/create-user", headers={"Authorization": PASSWORD.encode().hex()}, json=body)
            yield client.post(
                "/api/v1/change-password", headers=root, json={"password": WRONG, "new_password": password}
            )
    yield client.post("/delete-user/unknown", headers=root)
    yield client.post("/api/v1/sign-in", content=f'{{"password": "{PASSWORD}", ')


@pytest.mark.slow  # dozens of hashes
def test_a_secret_is_only_in_the_response_that_issues_it(
    client: httpx.Client, asha: Added, admin: Added, observed: Observed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    add_account("broken", password_hash=BROKEN)
    root, issued, texts = bearer(admin), [], []
    for response in _calls(client, root):
        body = response.json()
        issued += [body.pop(name) for name in ("token", "access_token") if name in body]
        texts.append(f"{body} {dict(response.headers)}")
    with connections.transaction() as connection:
        keys = [key.hex() for key in connection.execute(select(KEYS.c.secret)).scalars()]
        jtis = [*connection.execute(select(SESSIONS.c.jti)).scalars()]
        hashes = [*connection.execute(select(ACCOUNTS.c.password_hash)).scalars()]
        connection.exec_driver_sql("DROP TABLE account_sessions")  # every statement with a token or a session fails
    texts += [client.post("/api/v1/sign-in", json={"username": "asha", "password": PASSWORD}).text]
    texts += [client.post("/api/v1/sign-out", headers=root).text]
    assert len(issued) == 2
    assert len(observed.statements()) > 100
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert sum(" error " in line for line in lines) >= 2, "an unexpected error is logged"
    everything = "\n".join([*texts, *lines, observed.text()])
    tokens = [*issued, root["Authorization"].split()[1]]
    parts = [part for token in tokens for part in token.split(".")[1:]]
    found = [
        secret
        for secret in (PASSWORD, WRONG, SHORT, PASSWORD_HASH, BROKEN, "$argon2", *hashes, *keys, *jtis, *tokens, *parts)
        if secret in everything
    ]
    assert found == []
