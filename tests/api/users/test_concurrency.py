"""Concurrent clients: a race has one winner and clear responses, and no change is partial."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Event
from typing import Any

from tests.support.threads import at_once


def test_one_of_64_threads_that_create_one_number_succeeds(api: Any) -> None:
    body = api.new_user()
    statuses = at_once(64, lambda _: api.post("create_user", body).status_code)
    assert Counter(statuses) == {201: 1, 409: 63}
    assert len(api.get()) == 1


def test_one_of_16_updates_that_take_one_number_succeeds(api: Any) -> None:
    ids = [api.create()["user_id"] for _ in range(16)]
    statuses = at_once(16, lambda number: api.update([ids[number]], mob_num="9876543210").status_code)
    assert Counter(statuses) == {200: 1, 409: 15}


def test_32_threads_that_move_one_user_leave_one_current_row_and_no_gap(
    api: Any, managers: list[str], stored: Any
) -> None:
    user = api.create(manager_id=managers[0])

    def move(number: int) -> list[int]:
        return [
            api.update([user["user_id"]], manager_id=managers[(number + step) % 4]).status_code for step in range(4)
        ]

    statuses = Counter(status for moves in at_once(32, move) for status in moves)
    assert all(status < 500 for status in statuses)
    assert statuses[200] >= 0.95 * statuses.total()
    versions = stored("version", "is_active", "manager_id", "updated_at")
    assert [version for version, *_ in versions] == list(range(1, len(versions) + 1))
    assert [is_active for _, is_active, *_ in versions] == [False] * (len(versions) - 1) + [True]
    assert all(one[2] != next_one[2] for one, next_one in pairwise(versions))
    assert all(one[3] <= next_one[3] for one, next_one in pairwise(versions))  # timestamps never decrease


def test_concurrent_deletions_and_updates_leave_nothing_and_never_fail(
    api: Any, managers: list[str], stored: Any
) -> None:
    user = api.create(manager_id=managers[0])

    def act(number: int) -> int:
        if number % 4 == 0:
            return int(api.post("delete_user", {"user_id": user["user_id"]}).status_code)
        return int(api.update([user["user_id"]], manager_id=managers[number % 4]).status_code)

    statuses = Counter(at_once(32, act))
    assert set(statuses) <= {200, 404}
    assert stored("id") == []


def test_reads_during_writes_never_fail_and_see_whole_changes(api: Any, managers: list[str]) -> None:
    users = [api.create(manager_id=managers[0]) for _ in range(20)]
    ids = [user["user_id"] for user in users]
    done = Event()

    def read(_: int) -> int:
        reads = 0
        while not done.is_set() or not reads:
            current = api.get(is_active=True)
            assert [user["user_id"] for user in current] == ids
            assert len({user["manager_id"] for user in current}) == 1  # a bulk update is seen as a whole
            assert [user["is_active"] for user in api.get(user_id=ids[0])].count(True) == 1
            reads += 1
        return reads

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, number) for number in range(4)]
        try:
            for step in range(25):
                assert api.update(ids, manager_id=managers[(step + 1) % 4]).status_code == 200
        finally:
            done.set()
        assert all(reader.result(60) for reader in readers)


def test_small_reads_succeed_while_everything_is_listed(api: Any) -> None:
    user = api.create()
    for _ in range(300):
        api.create()
    listings = at_once(16, lambda number: api.get(**({"user_id": user["user_id"]} if number % 2 else {})))
    assert [len(users) for users in listings] == [301, 1] * 8
