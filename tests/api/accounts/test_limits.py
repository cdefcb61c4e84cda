"""How many passwords a process hashes at once, and what goes on meanwhile. Of 8 threads 2 hash and 2 wait."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

import httpx
import pytest

from api.accounts.passwords import hashes_at_once
from tests.support.accounts import PASSWORD, WRONG, Added, add_account, bearer, failures, problem, sign_in
from tests.support.hashing import Hashing


@pytest.mark.parametrize(
    ("threads", "expected"), [(1, 1), (3, 1), (4, 1), (7, 1), (8, 2), (12, 3), (16, 4), (32, 4), (1000, 4)]
)
def test_a_quarter_of_the_threads_hash_at_once_and_at_most_four(threads: int, expected: int) -> None:
    assert hashes_at_once(threads) == expected


def test_as_many_calls_wait_and_the_next_is_a_503_that_is_not_counted(
    client: httpx.Client, asha: Added, admin: Added, hashing: Hashing
) -> None:
    headers, root = bearer(asha), bearer(admin)
    busy: list[Callable[[], httpx.Response]] = [
        lambda: sign_in(client, "asha"),
        lambda: client.post("/login", data={"username": "asha", "password": PASSWORD}),
        lambda: client.post(
            "/api/v1/change-password", headers=headers, json={"password": PASSWORD, "new_password": "another one"}
        ),
        lambda: client.post("/create-user", headers=root, json={"username": "new", "password": PASSWORD}),
    ]
    hashing.hold()
    with ThreadPoolExecutor(4) as pool, ExitStack() as stack:
        stack.callback(hashing.release)
        running: list[Future[httpx.Response]] = [pool.submit(sign_in, client, f"user{at}", WRONG) for at in range(4)]
        hashing.wait_for(2)
        while len(failures()) < 4:  # the two that wait have been counted
            wait(running, 0.01)
        for call in busy:
            response = call()
            assert problem(response) == (503, "passwords-busy", [])
            assert int(response.headers["retry-after"]) > 0
        assert sorted(failures()) == [f"user{at}" for at in range(4)]
        assert (hashing.started, hashing.running) == (2, 2)
    assert [one.result().status_code for one in running] == [401] * 4
    assert (hashing.started, hashing.most_at_once) == (4, 2)
    assert [call().status_code for call in busy] == [200, 200, 200, 201]


def test_other_endpoints_and_token_checks_go_on_meanwhile(
    client: httpx.Client, asha: Added, admin: Added, hashing: Hashing
) -> None:
    headers, root = bearer(asha), bearer(admin)
    add_account("other")
    hashing.hold()
    with ThreadPoolExecutor(4) as pool, ExitStack() as stack:
        stack.callback(hashing.release)
        running = [pool.submit(sign_in, client, f"user{at}", WRONG) for at in range(4)]
        hashing.wait_for(2)
        assert client.get("/openapi.json").status_code == 200
        assert sign_in(client, "asha", password=1).status_code == 400
        assert client.post("/delete-user/other", headers=root).status_code == 200
        assert client.post("/api/v1/sign-out", headers=headers).status_code == 200
        assert client.post("/api/v1/sign-out", headers=headers).status_code == 401
        assert hashing.running == 2
    assert [one.result().status_code for one in running] == [401] * 4
