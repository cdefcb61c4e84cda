"""Sign-in by JSON: who gets a token, what is rejected and how, and what is counted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from api.accounts import passwords
from domain.accounts import SAMPLE_PASSWORD
from persistence import accounts as store
from persistence.database import connections
from tests.support.accounts import (
    PASSWORD,
    WRONG,
    Added,
    account,
    add_account,
    add_failures,
    bearer,
    count_sessions,
    failures,
    problem,
    sign_in,
)
from tests.support.hashing import Hashing
from tests.support.programs import PROJECT
from tests.support.threads import at_once


@pytest.mark.parametrize("username", ["asha", "ASHA", "aSha"])
def test_a_right_password_gets_a_token_for_an_hour(client: httpx.Client, asha: Added, username: str) -> None:
    response = sign_in(client, username)
    assert response.status_code == 200
    assert (response.json().keys(), response.json()["expires_in"]) == ({"token", "expires_in"}, 3600)
    headers = {"Authorization": f"Bearer {response.json()['token']}"}
    assert client.post("/api/v1/sign-out", headers=headers).status_code == 200


def test_each_sign_in_has_a_session_of_its_own(client: httpx.Client, asha: Added) -> None:
    tokens = {sign_in(client, "asha").json()["token"] for _ in range(2)}
    assert (len(tokens), count_sessions()) == (2, 2)


def _deactivate(username: str) -> None:
    with connections.transaction() as connection:
        store.set_active(connection, username, False)


FAILURES = [
    ("asha", WRONG, True),
    ("asha", "", True),
    ("asha", PASSWORD + " ", True),
    ("asha", "x" * 1000, True),
    ("asha", "\0", True),
    ("inactive", PASSWORD, True),
    ("unknown", PASSWORD, True),
    ("", PASSWORD, False),
    ("asha ", PASSWORD, False),
    ("asha\n", PASSWORD, False),
    ("no", PASSWORD, False),
    ("-asha", PASSWORD, False),
    ("as\u212aa", PASSWORD, False),
    ("a" * 65, PASSWORD, False),
    ("a" * 100_000, PASSWORD, False),
]
"""Username, password, and whether the failure is counted."""


def test_every_failure_has_one_response_after_one_hash(client: httpx.Client, asha: Added, hashing: Hashing) -> None:
    add_account("inactive")
    _deactivate("inactive")
    bodies = []
    for number, (username, password, _) in enumerate(FAILURES, 1):
        response = sign_in(client, username, password)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        bodies.append(response.json() | {"instance": ""})
        assert hashing.started == number
    assert bodies == [bodies[0]] * len(FAILURES)
    assert bodies[0]["type"] == "/problems/sign-in-failed"
    assert sorted(failures()) == sorted(username for username, _, is_counted in FAILURES if is_counted)
    assert count_sessions() == 0


def test_the_dummy_hash_costs_what_a_new_hash_costs() -> None:
    assert not passwords.needs_rehash(passwords.DUMMY_HASH)
    assert not passwords.needs_rehash(passwords.hash_password(PASSWORD))
    assert passwords.DUMMY_HASH.startswith("$argon2id$v=19$m=19456,t=2,p=1$"), "OWASP's parameters"


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/username", "/password"]),
        ({"username": "asha"}, ["/password"]),
        ({"username": 1, "password": None}, ["/username", "/password"]),
        ({"username": "asha", "password": PASSWORD, "role": "ADMIN"}, ["/role"]),
        ({"username": ["asha"], "pasword": PASSWORD}, ["/username", "/password", "/pasword"]),
    ],
)
def test_keys_and_types_are_checked_before_anything_is_counted(
    client: httpx.Client, hashing: Hashing, body: Any, pointers: list[str]
) -> None:
    assert problem(client.post("/api/v1/sign-in", json=body)) == (400, "body-invalid", pointers)
    assert (failures(), hashing.started) == ([], 0)


def test_a_lone_surrogate_is_a_400(client: httpx.Client) -> None:
    content = b'{"username": "asha", "password": "12345678\\ud800"}'
    assert client.post("/api/v1/sign-in", content=content).status_code == 400


# ---- ten failures


def _locked(response: httpx.Response) -> int:
    """Checks that a response is the 429, and returns its `Retry-After`."""
    assert problem(response) == (429, "too-many-failures", [])
    return int(response.headers["retry-after"])


@pytest.mark.parametrize("username", ["asha", "unknown"])
def test_after_ten_failures_the_right_password_is_rejected_too(
    client: httpx.Client, asha: Added, hashing: Hashing, username: str
) -> None:
    headers = bearer(asha)
    for _ in range(10):
        assert sign_in(client, username, WRONG).status_code == 401
    for password in (WRONG, PASSWORD):
        assert 590 <= _locked(sign_in(client, username, password)) <= 600
    assert (len(failures()), hashing.started) == (10, 10)
    assert sign_in(client, "other", WRONG).status_code == 401
    assert client.post("/api/v1/sign-out", headers=headers).status_code == 200


def test_retry_after_counts_to_the_end_of_the_oldest_failure(client: httpx.Client, asha: Added) -> None:
    add_failures("asha", [*range(100, 190, 10), 570.5])
    assert 25 <= _locked(sign_in(client, "asha")) <= 30
    add_failures("unknown", [*range(100, 190, 10), 601])
    assert sign_in(client, "unknown").status_code == 401
    assert 410 <= _locked(sign_in(client, "unknown")) <= 420


def test_a_success_clears_the_count(client: httpx.Client, asha: Added) -> None:
    for _ in range(2):
        for _ in range(9):
            assert sign_in(client, "asha", WRONG).status_code == 401
        assert sign_in(client, "ASHA").status_code == 200
        assert failures() == []


def test_at_most_ten_passwords_are_tried_whatever_the_concurrency(
    client: httpx.Client, asha: Added, hashing: Hashing
) -> None:
    for _ in range(4):
        statuses = {response.status_code for response in at_once(16, lambda _: sign_in(client, "asha", WRONG))}
        assert statuses <= {401, 429, 503}
    while sign_in(client, "asha", WRONG).status_code == 401:
        pass
    assert (hashing.started, len(failures())) == (10, 10)


# ---- what changes while the password is verified


def _delete(username: str) -> None:
    with connections.transaction() as connection:
        store.delete_account(connection, username, by_id=0)


def _change_password(username: str) -> None:
    found = account(username)
    with connections.transaction() as connection:
        assert store.replace_password(connection, found["id"], old_hash=found["password_hash"], new_hash="$another")


def _make_anew(username: str) -> None:
    _delete(username)
    add_account(username, password_hash="$another")  # noqa: S106 - a hash


@pytest.mark.parametrize("change", [_delete, _deactivate, _change_password, _make_anew])
def test_a_sign_in_that_overlaps_a_change_leaves_no_session(
    client: httpx.Client, asha: Added, hashing: Hashing, change: Callable[[str], None]
) -> None:
    def act(number: int) -> Any:
        if number:
            return sign_in(client, "asha")
        hashing.wait_for(1)
        change("asha")
        return hashing.release()

    hashing.hold()
    _, response = at_once(2, act)
    assert problem(response) == (401, "sign-in-failed", [])
    assert count_sessions() == 0


def test_a_hash_with_other_parameters_is_renewed_at_sign_in(client: httpx.Client, hashing: Hashing) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    add_account("asha", password_hash=old)
    hashing.started = 0
    assert sign_in(client, "asha", WRONG).status_code == 401
    assert account("asha")["password_hash"] == old
    assert sign_in(client, "asha").status_code == 200
    renewed = account("asha")["password_hash"]
    assert renewed != old
    assert not passwords.needs_rehash(renewed)
    assert passwords.verify_password(renewed, PASSWORD)
    assert sign_in(client, "asha").status_code == 200
    assert account("asha")["password_hash"] == renewed


def test_a_renewal_at_once_with_another_sign_in_rejects_neither(client: httpx.Client, hashing: Hashing) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    add_account("asha", password_hash=old)

    def act(number: int) -> int:
        if number:
            return sign_in(client, "asha").status_code
        hashing.wait_for(2)  # both have read the old hash
        hashing.release()
        return 200

    hashing.hold()
    assert at_once(3, act) == [200, 200, 200]
    assert count_sessions() == 2
    assert not passwords.needs_rehash(account("asha")["password_hash"])


# ---- sample accounts


@pytest.mark.parametrize(
    ("variables", "status"),
    [
        ({}, 200),
        ({"HOST": "127.0.0.1"}, 200),
        ({"HOST": "0.0.0.0"}, 401),  # noqa: S104
        ({"WEBSITE_SITE_NAME": "app", "DATABASE_URL": "not used"}, 401),
    ],
)
def test_a_marked_account_signs_in_on_loopback_only(serve: Any, variables: dict[str, str], status: int) -> None:
    password_hash = passwords.hash_password(SAMPLE_PASSWORD)
    add_account("marked", is_sample=True, password_hash=password_hash)
    add_account("changed", password_hash=password_hash)
    with serve(**variables) as client:
        assert sign_in(client, "marked", SAMPLE_PASSWORD).status_code == status
        assert sign_in(client, "changed", SAMPLE_PASSWORD).status_code == 200


@pytest.mark.slow  # starts a program
def test_what_sign_in_needs_is_imported_at_first_use() -> None:
    program = "import sys, api.accounts; print(*{'argon2', 'jwt', 'cryptography'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
