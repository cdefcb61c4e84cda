"""get_changes: its contract, sentence by sentence, and a consumer that reads while others write."""

from __future__ import annotations

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from api.http.cursors import decode_cursor, encode_cursor
from domain.timestamps import shift_timestamp
from domain.users.changes import Attribution, Change, Operation
from persistence.database import connections
from persistence.database.connections import transaction
from persistence.users.changes import log_changes
from tests.conftest import TEST_DATABASE_URL
from tests.support.threads import at_once
from tests.support.users import ASHA

KEYS = ("change_id", "user_id", "version", "operation", "changed", "changed_at", "changed_by")


def _feed(api: Any, **body: Any) -> tuple[list[dict[str, Any]], str]:
    response = api.post("get_changes", body)
    assert response.status_code == 200, response.text
    assert {*response.json()} == {"changes", "next"}
    return response.json()["changes"], response.json()["next"]


def test_changes_of_all_users_are_listed_without_personal_data(api: Any, managers: list[str]) -> None:
    one, other = api.create(manager_id=managers[0]), api.create()
    api.update([one["user_id"]], manager_id=managers[1])
    api.update([other["user_id"]], full_name="Bala")
    api.post("delete_user", {"user_id": one["user_id"]})
    changes, _ = _feed(api)
    assert [tuple(change) for change in changes] == [KEYS] * 5
    given = ["full_name", "mob_num", "pan_num"]
    assert [tuple(change[key] for key in KEYS[1:5]) for change in changes] == [
        (one["user_id"], 1, "created", [*given, "manager_id"]),
        (other["user_id"], 1, "created", given),
        (one["user_id"], 2, "reassigned", ["manager_id"]),
        (other["user_id"], 1, "updated", ["full_name"]),
        (one["user_id"], 2, "deleted", []),
    ]
    assert changes[0]["changed_at"] == one["created_at"]
    assert {change["changed_by"] for change in changes} == {None}


def test_a_change_has_the_same_id_in_the_history(api: Any) -> None:
    user = api.create()
    api.update([user["user_id"]], full_name="Bala")
    history = api.post("get_user_history", {"user_id": user["user_id"]}).json()["changes"]
    changes, following = _feed(api)
    assert [change["change_id"] for change in changes] == [change["change_id"] for change in history]
    assert following == changes[-1]["change_id"]
    assert _feed(api, after=history[0]["change_id"])[0] == changes[1:]


def test_next_is_there_without_any_change_and_continues(api: Any) -> None:
    changes, beginning = _feed(api)
    assert changes == []
    assert _feed(api, after=beginning) == ([], beginning)
    user = api.create()
    changes, following = _feed(api, after=beginning)
    assert [change["user_id"] for change in changes] == [user["user_id"]]
    assert _feed(api, after=following) == ([], following)


def test_100_changes_are_listed_unless_limit_says_otherwise(api: Any, managers: list[str]) -> None:
    ids = [api.create()["user_id"] for _ in range(60)]
    api.update(ids, manager_id=managers[0])
    whole, _ = _feed(api, limit=1000)
    assert len(whole) == 120
    first, following = _feed(api)
    assert first == whole[:100]
    assert _feed(api, after=following)[0] == whole[100:]
    assert _feed(api, limit=1) == (whole[:1], whole[0]["change_id"])
    assert _feed(api, after=whole[0]["change_id"], limit=1) == (whole[1:2], whole[1]["change_id"])


def test_a_deletion_delivers_nothing_again(api: Any) -> None:
    users = [api.create() for _ in range(3)]
    before, following = _feed(api)
    api.post("delete_user", {"user_id": users[0]["user_id"]})
    changes, _ = _feed(api, after=following)
    assert [(change["user_id"], change["operation"]) for change in changes] == [(users[0]["user_id"], "deleted")]
    assert _feed(api)[0] == before + changes


def test_after_must_be_of_this_database(api: Any, errors_of: Any) -> None:
    api.create()
    _, following = _feed(api)
    number, time = decode_cursor(following)
    unknown = [
        encode_cursor(number + 1, time),
        encode_cursor(number, shift_timestamp(time, microseconds=1)),
        encode_cursor(2**63 - 1, time),
    ]
    malformed = ["", "W10=", encode_cursor(0, time), encode_cursor(-1, time), encode_cursor(2**63, time)]
    malformed += [encode_cursor(number, "2026"), encode_cursor(number, time, 1), following.rstrip("=") + " "]
    for after in (*unknown, *malformed, 1, None):
        response = api.post("get_changes", {"after": after})
        assert (response.status_code, errors_of(response)) == (400, [("/after", "after-invalid")]), after


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"limit": 0}, [("/limit", "out-of-range")]),
        ({"limit": 1001, "more": 1}, [("/limit", "out-of-range"), ("/more", "unknown-key")]),
        ({"limit": None}, [("/limit", "wrong-type")]),
    ],
)
def test_other_bodies_are_rejected(
    api: Any, errors_of: Any, body: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    response = api.post("get_changes", body)
    assert (response.status_code, errors_of(response)) == (400, expected)


@pytest.mark.parametrize("content", [b"", b"{}"])
def test_the_body_may_be_absent(api: Any, content: bytes) -> None:
    assert api.post("get_changes", content=content).status_code == 200


def test_a_response_is_as_many_statements_for_1000_changes_as_for_one(api: Any, count_statements: Any) -> None:
    many = [Change(str(uuid.uuid4()), 1, Operation.CREATED, (), None) for _ in range(1500)]
    with transaction() as connection:
        log_changes(connection, many, Attribution(), now="2026-01-01T00:00:00.000000Z")
    _, following = _feed(api, limit=1)
    expected = 2 if TEST_DATABASE_URL else 1
    for body in ({}, {"limit": 1}, {"limit": 1000}, {"after": following}):
        count_statements()
        _feed(api, **body)
        assert count_statements() == expected


# ---- while others write


class Consumer:
    """A consumer that keeps `next` and polls."""

    def __init__(self, api: Any) -> None:
        self.api, self.next = api, _feed(api)[1]
        self.changes: list[dict[str, Any]] = []

    def poll(self, limit: int) -> int:
        """Reads once and returns how many changes there were."""
        changes, self.next = _feed(self.api, after=self.next, limit=limit)
        self.changes += changes
        return len(changes)


def test_a_consumer_gets_every_change_once_whatever_is_written_meanwhile(api: Any, managers: list[str]) -> None:
    users = [api.create(manager_id=managers[0])["user_id"] for _ in range(8)]
    consumer, done = Consumer(api), Event()

    def write(number: int) -> None:
        for step in range(6):
            api.update([users[number % 8]], full_name=f"Name {number} {step}")
            api.update(users[number % 4 : number % 4 + 3], manager_id=managers[(number + step) % 4])
            created = api.create()["user_id"]
            if step % 3 == 0:
                api.post("delete_user", {"user_id": created})

    def read() -> None:
        limits = [1, 3, 100]
        while not done.is_set():
            consumer.poll(limits[len(consumer.changes) % 3])

    with ThreadPoolExecutor(2) as pool:
        reader = pool.submit(read)
        slow = pool.submit(_write_slowly, done)
        try:
            at_once(16, write)
        finally:
            done.set()
        reader.result(60)
        slow.result(60)
    while consumer.poll(1000):
        assert len(consumer.changes) < 5000, "the feed ends"
    _assert_complete(api, consumer.changes)


def _write_slowly(done: Event) -> None:
    """Logs changes in transactions that stay open for a while after they have written.

    On SQL Server the others write meanwhile; on SQLite they wait.
    """
    version = 0
    while not done.is_set():
        version += 1
        now = f"2026-01-01T00:{version // 60:02}:{version % 60:02}.000000Z"
        change = Change(ASHA, version, Operation.UPDATED, ("full_name",), None)
        with transaction() as connection:
            log_changes(connection, [change], Attribution(), now=now)
            done.wait(0.5 if TEST_DATABASE_URL else 0.05)


def _assert_complete(api: Any, consumed: list[dict[str, Any]]) -> None:
    """The consumer has all that a reader gets afterwards, each once, those of a user in the order of time."""
    assert max(Counter(change["change_id"] for change in consumed).values()) == 1
    stored, following = _feed(api, limit=1000)
    more = [*stored]
    while more:
        more, following = _feed(api, after=following, limit=1000)
        stored += more
        assert len(stored) < 5000, "the feed ends"
    first = [change["change_id"] for change in stored].index(consumed[0]["change_id"])
    assert first == 8, "all but what was there before"
    assert consumed == stored[first:]
    with connections.reading() as connection:
        count = connection.exec_driver_sql("SELECT COUNT(*) FROM user_changes").scalar_one()
    assert len(stored) == count
    times: dict[str, list[str]] = {}
    for change in consumed:
        times.setdefault(change["user_id"], []).append(change["changed_at"])
    assert all(own == sorted({*own}) for own in times.values())
    assert len(times[ASHA]) >= 1
