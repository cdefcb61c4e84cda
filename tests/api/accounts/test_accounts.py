"""Accounts made, changed and deleted over HTTP."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
import pytest
from sqlalchemy import func, insert, select

from domain.accounts import ADMIN, USER
from persistence import accounts as store
from persistence.accounts.tables import ACCOUNTS, SESSIONS
from persistence.database import connections
from persistence.database.idempotency import KEYS as STORED
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
    now,
    problem,
    sign_in,
)
from tests.support.hashing import Hashing
from tests.support.threads import at_once

NEW = "a new password"


# ---- create-user


def create(client: httpx.Client, admin: Added, **body: Any) -> httpx.Response:
    return client.post("/create-user", headers=bearer(admin), json={"username": "new", "password": PASSWORD, **body})


def test_an_admin_makes_a_user_who_can_sign_in(client: httpx.Client, admin: Added) -> None:
    response = create(client, admin, username="New.User_1-x")
    assert (response.status_code, response.json()) == (201, {"username": "new.user_1-x", "role": "USER"})
    assert sign_in(client, "new.user_1-x").status_code == 200
    assert (account("new.user_1-x")["role"], account("new.user_1-x")["is_sample"]) == (USER, False)
    assert problem(create(client, admin, username="NEW.user_1-x")) == (409, "username-taken", ["/username"])


def test_of_two_that_make_one_name_at_once_one_succeeds(client: httpx.Client, admin: Added) -> None:
    statuses = Counter(at_once(4, lambda _: create(client, admin).status_code))
    assert (statuses[201], statuses[409]) == (1, 3)


BAD_NAMES = ["", "no", "a" * 65, ".abc", "_abc", "-abc", "a b", "abc\n", "as\u212aa", "\u0130abc", "ASHÄ", "\uff41bc"]
BAD_PASSWORDS = ["", "1234567", "x" * 129, "🔑" * 7]


def test_every_fault_of_a_new_account_is_named_with_its_place(client: httpx.Client, admin: Added) -> None:
    for username in BAD_NAMES:
        assert problem(create(client, admin, username=username)) == (400, "body-invalid", ["/username"]), username
    for password in BAD_PASSWORDS:
        assert problem(create(client, admin, password=password)) == (400, "body-invalid", ["/password"]), password
    response = create(client, admin, username=1, password="short", role="ADMIN")  # noqa: S106
    assert problem(response) == (400, "body-invalid", ["/username", "/password", "/role"])
    assert [error["code"] for error in response.json()["errors"]] == ["wrong-type", "password-invalid", "unknown-key"]
    content = b'{"username": "asha", "password": "12345678\\ud800"}'
    assert client.post("/create-user", headers=bearer(admin), content=content).status_code == 400


@pytest.mark.parametrize(
    "password", ["12345678", " " * 8, "🔑" * 128, "e\u0301" * 4 + "\u00e9", "\0" * 8, "a\nb\tc\r\n "]
)
def test_a_password_is_used_as_it_is(client: httpx.Client, admin: Added, password: str) -> None:
    assert create(client, admin, password=password).status_code == 201
    assert sign_in(client, "new", password).status_code == 200
    for other in (
        password + " ",
        password[:-1],
        password.replace("\u00e9", "e\u0301") + "x",
        password.swapcase() + "x",
    ):
        assert sign_in(client, "new", other).status_code == 401


# ---- delete-user


def delete(client: httpx.Client, admin: Added, username: str, **options: Any) -> httpx.Response:
    return client.post(f"/delete-user/{username}", headers=bearer(admin), **options)


def test_a_deletion_takes_all_that_the_account_owned(client: httpx.Client, admin: Added, asha: Added) -> None:
    other, headers = add_account("other"), bearer(asha)
    bearer(other)
    add_failures("asha", [1.0])
    with connections.transaction() as connection:
        for caller in (asha, other):
            values = {"trigger_name": "x", "idempotency_key": "k", "request_hash": "", "created_at": now()}
            connection.execute(insert(STORED), {**values, "caller": f"account:{caller.id}"})
    response = delete(client, admin, "ASHA")
    assert (response.status_code, response.json()) == (200, {"message": "User deleted successfully"})
    with connections.reading() as connection:
        assert connection.execute(select(STORED.c.caller)).scalars().all() == [f"account:{other.id}"]
        sessions = select(func.count()).select_from(SESSIONS).where(SESSIONS.c.account_id == asha.id)
        assert connection.execute(sessions).scalar_one() == 0
        assert connection.execute(select(ACCOUNTS.c.id).where(ACCOUNTS.c.id == asha.id)).all() == []
    assert failures() == []
    assert client.post("/api/v1/sign-out", headers=headers).status_code == 401
    assert problem(delete(client, admin, "asha")) == (404, "account-not-found", [])


@pytest.mark.parametrize("name", ["unknown", "no", "a%20b", "as%E2%84%AAa", "asha%0A", "a" * 65, "%00", "..%2Fasha"])
def test_an_unknown_or_malformed_name_is_a_404(client: httpx.Client, admin: Added, asha: Added, name: str) -> None:
    assert problem(delete(client, admin, name)) == (404, "account-not-found", [])
    assert account("asha")["id"] == asha.id


def test_nobody_deletes_their_own_account(client: httpx.Client, admin: Added) -> None:
    assert problem(delete(client, admin, "ROOT")) == (409, "own-account", [])
    assert problem(delete(client, admin, "root", json={})) == (400, "body-not-expected", [])


def test_two_admins_who_delete_each_other_leave_one(client: httpx.Client, admin: Added) -> None:
    with connections.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM accounts WHERE username = 'admin'")  # the sample
    other = add_account("other", ADMIN)
    pairs = [(admin, "other"), (other, "root")]
    headers = [bearer(one) for one, _ in pairs]
    responses = at_once(2, lambda at: client.post(f"/delete-user/{pairs[at][1]}", headers=headers[at]).status_code)
    assert sorted(responses) in ([200, 401], [200, 409])
    with connections.reading() as connection:
        assert connection.execute(select(ACCOUNTS.c.role).where(ACCOUNTS.c.role == ADMIN)).scalars().all() == [ADMIN]


# ---- change-password


def change(client: httpx.Client, headers: dict[str, str], password: str = PASSWORD, **body: Any) -> httpx.Response:
    content = {"password": password, "new_password": NEW, **body}
    return client.post("/api/v1/change-password", headers=headers, json=content)


def test_a_changed_password_ends_every_session_and_clears_the_count(client: httpx.Client, asha: Added) -> None:
    first, second = bearer(asha), bearer(asha)
    add_failures("asha", [1.0] * 9)
    response = change(client, first)
    assert (response.status_code, [*response.json()]) == (200, ["message"])
    assert (count_sessions(), failures()) == (0, [])
    assert [change(client, headers).status_code for headers in (first, second)] == [401, 401]
    assert [sign_in(client, "asha", password).status_code for password in (PASSWORD, NEW)] == [401, 200]


def test_a_change_clears_the_mark_of_a_sample(client: httpx.Client) -> None:
    assert change(client, bearer(add_account("marked", is_sample=True))).status_code == 200
    assert account("marked")["is_sample"] is False


def test_a_wrong_password_is_counted_as_a_failed_sign_in(client: httpx.Client, asha: Added) -> None:
    headers = bearer(asha)
    for number in range(1, 11):
        assert problem(change(client, headers, WRONG)) == (403, "password-wrong", ["/password"])
        assert failures() == ["asha"] * number
    response = change(client, headers)
    assert problem(response) == (429, "too-many-failures", [])
    assert 590 <= int(response.headers["retry-after"]) <= 600
    assert sign_in(client, "asha").status_code == 429
    assert client.post("/api/v1/sign-out", headers=headers).status_code == 200


def test_the_new_password_is_checked_and_the_old_one_is_not(client: httpx.Client, asha: Added) -> None:
    headers = bearer(asha)
    for password in BAD_PASSWORDS:
        response = change(client, headers, new_password=password)
        assert problem(response) == (400, "body-invalid", ["/new_password"])
    response = client.post("/api/v1/change-password", headers=headers, json={"password": 1, "username": "asha"})
    assert problem(response) == (400, "body-invalid", ["/password", "/new_password", "/username"])
    assert failures() == []
    assert problem(change(client, headers, "x" * 999)) == (403, "password-wrong", ["/password"])


def test_of_two_changes_at_once_one_succeeds(client: httpx.Client, asha: Added, hashing: Hashing) -> None:
    headers = [bearer(asha), bearer(asha)]

    def act(number: int) -> int:
        if number == 2:
            hashing.wait_for(2)
            hashing.release()
            return 0
        return change(client, headers[number], new_password=f"{NEW} {number}").status_code

    hashing.hold()
    assert sorted(at_once(3, act)) == [0, 200, 401]


def test_a_change_that_overlaps_the_deletion_of_the_account_is_a_401(
    client: httpx.Client, asha: Added, hashing: Hashing
) -> None:
    headers = bearer(asha)

    def act(number: int) -> Any:
        if number:
            return change(client, headers)
        hashing.wait_for(1)
        with connections.transaction() as connection:
            store.delete_account(connection, "asha", by_id=0)
        return hashing.release()

    hashing.hold()
    _, response = at_once(2, act)
    assert problem(response) == (401, "token-invalid", [])
