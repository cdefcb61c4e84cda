"""The log of changes: what each call appends, what a deletion erases, and that both are one transaction."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from domain.timestamps import format_timestamp
from domain.users.changes import Attribution
from domain.users.versions import plan_update
from persistence import users as store
from persistence.database.connections import reading, transaction
from persistence.users.tables import CHANGES, VALUES

ENTRY = ("version", "operation", "changed", "manager_id")
AFTER = ("full_name", "mob_num", "pan_num", "created_at", "updated_at")
NUMBERS = ("9876501234", "9876505678")


def _log(user_id: str) -> list[dict[str, Any]]:
    """The entries of a user with their values, in the order of their timestamps."""
    columns = [column for column in (*CHANGES.c, *VALUES.c) if not column.system and column is not VALUES.c.change_id]
    joined = CHANGES.outerjoin(VALUES, VALUES.c.change_id == CHANGES.c.change_id)
    entries = select(*columns).select_from(joined).where(CHANGES.c.user_id == user_id).order_by(CHANGES.c.changed_at)
    with reading() as connection:
        return [dict(row) for row in connection.execute(entries).mappings()]


def _pick(entry: dict[str, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(entry[name] for name in names)


def _count() -> tuple[int, ...]:
    with reading() as connection:
        return tuple(
            connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (CHANGES, VALUES)
        )


def _delete(user_id: str, attribution: Attribution = Attribution(), now: datetime | None = None) -> None:  # noqa: B008 - immutable
    with transaction() as connection:
        assert store.delete_user(connection, "user_id", user_id, attribution, now=now or datetime.now(UTC))


def test_every_kind_of_change_is_logged_with_what_the_user_is_after_it(api: Any, managers: list[str]) -> None:
    user = api.create(mob_num=NUMBERS[0])
    records = [user]
    for changes in (
        {"full_name": "New", "mob_num": NUMBERS[1]},
        {"manager_id": managers[0]},
        {"manager_id": managers[1]},
    ):
        assert api.update([user["user_id"]], **changes).status_code == 200
        records += api.get(user_id=user["user_id"], is_active=True)
    assert api.update([user["user_id"]], full_name="New").json()["updated"] == []
    log = _log(user["user_id"])
    assert [_pick(entry, ENTRY) for entry in log] == [
        (1, "created", "full_name,mob_num,pan_num", None),
        (1, "updated", "full_name,mob_num", None),
        (1, "updated", "manager_id", managers[0]),
        (2, "reassigned", "manager_id", managers[1]),
    ]
    assert [_pick(entry, AFTER) for entry in log] == [_pick(record, AFTER) for record in records]
    assert [entry["changed_at"] for entry in log] == [one["updated_at"] or one["created_at"] for one in records]


def test_a_bulk_update_logs_each_changed_user_once(
    api: Any, managers: list[str], store_users: Any, unknown_id: str
) -> None:
    ids = [*store_users(30, managers[0]), *(api.create()["user_id"] for _ in range(2))]
    same = api.create(manager_id=managers[1])["user_id"]
    before = _count()
    assert api.update([*ids, same, unknown_id], manager_id=managers[1]).status_code == 207
    assert [after - count for after, count in zip(_count(), before, strict=True)] == [32, 32]
    last = [_log(user_id)[-1] for user_id in ids]
    assert [entry["operation"] for entry in last] == ["reassigned"] * 30 + ["updated"] * 2
    assert {entry["version"] for entry in last[:30]} == {2}
    assert [entry["mob_num"] for entry in last] == [api.get(user_id=one, is_active=True)[0]["mob_num"] for one in ids]


def test_who_and_why_are_stored_with_each_of_several_changes(api: Any, managers: list[str]) -> None:
    ids = [api.create()["user_id"] for _ in range(2)]
    attribution = Attribution("desk-7", "moved office")
    with transaction() as connection:
        current, _ = store.load_for_update(connection, ids, managers[0])
        plan = plan_update(ids, current, {"manager_id": managers[0]})
        now = format_timestamp(datetime.now(UTC))
        store.save_update(connection, plan, {"manager_id": managers[0]}, attribution, now=now)
    entries = [_log(user_id)[-1] for user_id in ids]
    assert {_pick(entry, ("changed_by", "reason", "changed_at")) for entry in entries} == {(*attribution, now)}
    assert [entry["reason"] for user_id in ids for entry in _log(user_id)[:-1]] == [None, None]


@pytest.mark.parametrize("reason", [None, "asked for it"])
def test_a_deletion_erases_values_and_touches_no_entry(api: Any, managers: list[str], reason: str | None) -> None:
    user_id, other = (api.create(manager_id=managers[0])["user_id"] for _ in range(2))
    api.update([user_id], manager_id=managers[1])
    before, kept = _log(user_id), _log(other)
    _delete(user_id, Attribution("desk-7", reason))
    *entries, deletion = _log(user_id)
    names = ("change_id", "changed_by", "changed_at", *ENTRY)
    assert [_pick(entry, names) for entry in entries] == [_pick(entry, names) for entry in before]
    assert {value for entry in (*entries, deletion) for value in _pick(entry, AFTER)} == {None}
    assert _pick(deletion, ("changed_by", "reason", *ENTRY)) == ("desk-7", reason, 2, "deleted", "", managers[1])
    assert [entry["reason"] for entry in entries] == [None, None]
    assert _log(other) == kept
    assert _count() == (4, 1 + (reason is not None))


@pytest.mark.parametrize("table", ["user_changes", "user_change_values"])
def test_a_log_that_fails_leaves_no_change(
    api: Any, managers: list[str], database_file: Path, stored: Any, table: str
) -> None:
    ids = [api.create(manager_id=managers[0])["user_id"] for _ in range(2)]
    before = (stored("user_id", "version", "is_active"), _count())
    with closing(sqlite3.connect(database_file)) as connection:
        for event in ("INSERT", "DELETE"):
            fail = f"BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'the disk burns'); END"
            connection.execute(f"CREATE TRIGGER fail_{event} {fail}")
    calls = [
        api.post("create_user", api.new_user()),
        api.update(ids[:1], full_name="New"),
        api.update(ids, manager_id=managers[1]),
        api.post("delete_user", {"user_id": ids[0]}),
    ]
    assert [response.status_code for response in calls] == [500] * 4
    assert (stored("user_id", "version", "is_active"), _count()) == before


def test_timestamps_of_a_user_increase_also_when_the_clock_goes_back(api: Any, managers: list[str]) -> None:
    user_id = api.create()["user_id"]
    past = datetime.now(UTC) - timedelta(days=1)
    with reading() as connection:
        created_at = connection.execute(select(CHANGES.c.changed_at)).scalar_one()
    _delete(user_id, now=past)
    times = [entry["changed_at"] for entry in _log(user_id)]
    assert times[0] == created_at < times[1]
    assert times[1][:-8] == created_at[:-8]


def test_concurrent_writers_of_one_user_leave_an_ordered_log(api: Any, managers: list[str]) -> None:
    user_id = api.create(manager_id=managers[0])["user_id"]

    def write(number: int) -> None:
        for turn in range(5):
            api.update([user_id], manager_id=managers[1 + (number + turn) % 3])
            api.update([user_id], full_name=f"Name {number} {turn}")

    threads = [threading.Thread(target=write, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = _log(user_id)
    assert [entry["change_id"] for entry in log] == sorted(entry["change_id"] for entry in log)
    assert [entry["version"] for entry in log if entry["operation"] != "updated"] == [*range(1, log[-1]["version"] + 1)]
    assert len({entry["changed_at"] for entry in log}) == len(log)
    assert all(one["version"] <= after["version"] for one, after in itertools.pairwise(log))


def test_no_statement_updates_the_log_or_writes_its_feed_position(
    api: Any, managers: list[str], statements: list[str]
) -> None:
    ids = [api.create(manager_id=managers[0])["user_id"] for _ in range(2)]
    api.update(ids[:1], full_name="New")
    api.update(ids, manager_id=managers[1])
    _delete(ids[0], Attribution(None, "asked for it"))
    of_log = [text for text in statements if "user_change" in text]
    assert {text.split(" (")[0].split()[0] for text in of_log} == {"INSERT", "DELETE"}
    assert not [text for text in of_log if "feed_position" in text]


def test_deleted_values_are_not_in_the_database_file(api: Any, managers: list[str], database_file: Path) -> None:
    user = api.create(full_name="Erased Person", mob_num=NUMBERS[0], pan_num="ZZZPE9876Z", manager_id=managers[0])
    api.create()
    api.update([user["user_id"]], manager_id=managers[1], mob_num=NUMBERS[1])

    def found() -> list[bytes]:
        with closing(sqlite3.connect(database_file)) as connection:
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        content = database_file.read_bytes()
        return [value for value in (b"Erased Person", b"ZZZPE9876Z", *map(str.encode, NUMBERS)) if value in content]

    assert len(found()) == 4
    _delete(user["user_id"])
    assert found() == []


@pytest.mark.parametrize(("versions", "reason", "expected"), [(1, None, 4), (1, "why", 5), (2, None, 5), (2, "why", 6)])
def test_a_deletion_takes_as_many_statements_as_it_needs(
    api: Any, managers: list[str], statements: list[str], versions: int, reason: str | None, expected: int
) -> None:
    user_id = api.create(manager_id=managers[0])["user_id"]
    for manager_id in managers[1:versions]:
        api.update([user_id], manager_id=manager_id)
    statements.clear()
    _delete(user_id, Attribution(None, reason))
    assert (
        len(statements) == expected
    )  # the current and superseded versions, stored responses, values; the entry, its reason
