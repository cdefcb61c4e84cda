"""Responses if the embedded database is locked, full or gone; no change is lost or partial."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Column, Integer, MetaData, Table, Unicode, bindparam, event, insert
from sqlalchemy.pool import Pool

from persistence.database.connections import connect, reading, transaction
from persistence.database.errors import UnavailableError
from persistence.database.sqlite import execute_prepared


def _is_unavailable(response: Any) -> bool:
    return bool(
        response.status_code == 503
        and response.headers["retry-after"].isdigit()
        and response.json()["type"] == "/problems/database-unavailable"
    )


@pytest.fixture
def impatient_api(api: Any, database_file: Path) -> Any:
    """The app with a lock timeout of a tenth of a second."""
    connect(f"sqlite:///{database_file}?timeout=0.1", threads=8)
    return api


def test_a_lock_of_another_process_is_a_503_for_writers_only(impatient_api: Any, database_file: Path) -> None:
    user = impatient_api.create()
    other = sqlite3.connect(database_file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert _is_unavailable(impatient_api.post("create_user", impatient_api.new_user()))
    assert _is_unavailable(impatient_api.update([user["user_id"]], full_name="New"))
    assert _is_unavailable(impatient_api.post("delete_user", {"user_id": user["user_id"]}))
    assert impatient_api.get() == [user]
    other.execute("ROLLBACK")
    other.close()
    assert impatient_api.update([user["user_id"]], full_name="New").status_code == 200


def test_a_writer_that_waits_too_long_for_another_one_is_a_503(impatient_api: Any) -> None:
    holds, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction():
            holds.set()
            may_end.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert holds.wait(30)
        assert _is_unavailable(impatient_api.post("create_user", impatient_api.new_user()))
        assert impatient_api.get() == []
    finally:
        may_end.set()
        thread.join()
    assert impatient_api.create()


@pytest.fixture
def small_disk(database_file: Path) -> Iterator[list[int]]:
    """A list with the maximum number of pages of a database file, for connections opened from now on."""
    assert database_file.exists()
    pages = [1_000_000]

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages[0]}")

    event.listen(Pool, "connect", limit)
    yield pages
    event.remove(Pool, "connect", limit)


def test_a_full_disk_is_a_503_that_changes_nothing_while_reads_work(
    small_disk: list[int], api: Any, managers: list[str], database_file: Path
) -> None:
    users = [api.create(manager_id=managers[0]) for _ in range(200)]
    connection = sqlite3.connect(database_file)
    (small_disk[0],) = connection.execute("PRAGMA page_count").fetchone()
    connection.close()
    connect(f"sqlite:///{database_file}", threads=8)
    assert _is_unavailable(api.update([user["user_id"] for user in users], manager_id=managers[1]))
    assert api.get() == users
    small_disk[0] = 1_000_000
    connect(f"sqlite:///{database_file}", threads=8)
    assert api.update([user["user_id"] for user in users], manager_id=managers[1]).status_code == 200
    assert len(api.get()) == 400


def test_an_error_inside_a_transaction_rolls_back_and_frees_the_lock(api: Any, managers: list[str]) -> None:
    user = api.create()

    def fail() -> None:
        with transaction() as connection:
            connection.exec_driver_sql("DELETE FROM users")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert api.get() == [user]
    assert api.update([user["user_id"]], manager_id=managers[0]).status_code == 200


def test_the_next_writer_does_not_get_a_broken_connection(api: Any, database_file: Path) -> None:
    assert database_file.exists()
    user = api.create()

    def fail() -> None:
        with transaction() as connection:
            connection.exec_driver_sql("DELETE FROM users")
            connection.connection.driver_connection.close()  # type: ignore[union-attr]
            connection.exec_driver_sql("DELETE FROM users")

    with pytest.raises(UnavailableError):
        fail()
    assert api.get() == [user]
    assert api.update([user["user_id"]], full_name="New").status_code == 200


def test_the_next_reader_does_not_get_a_broken_connection(database_file: Path) -> None:
    assert database_file.exists()

    def read() -> int:
        with reading() as connection:
            return int(connection.exec_driver_sql("SELECT COUNT(*) FROM managers").scalar_one())

    assert read() == 5
    with reading() as connection:
        connection.connection.driver_connection.close()  # type: ignore[union-attr]
    with pytest.raises(UnavailableError):
        read()
    assert read() == 5


def test_a_list_that_fails_half_way_does_not_keep_its_snapshot(api: Any, database_file: Path) -> None:
    for _ in range(5):
        api.create()
    other = sqlite3.connect(database_file)
    with other:
        other.execute("UPDATE users SET full_name = CAST(x'ff' AS TEXT) WHERE id = 3")  # cannot be decoded
    assert api.post("get_users").status_code == 500
    api.create()
    # Busy would be 1 while a connection still read an older state.
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    other.close()


def test_a_writer_holds_the_file_from_the_start_of_its_transaction(api: Any, database_file: Path) -> None:
    api.create()
    other = sqlite3.connect(database_file, timeout=0, isolation_level=None)
    with transaction() as connection:
        connection.exec_driver_sql("SELECT 1")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_a_prepared_statement_writes_what_its_statement_does(database_file: Path) -> None:
    connect(f"sqlite:///{database_file}", threads=1)
    table = Table("prepared", MetaData(), Column("text", Unicode(9)), Column("flag", Boolean), Column("no", Integer))
    values = {"no": 7, "flag": True, "text": None, "unused": 0}
    given = {name: bindparam(name, type_=table.c[name].type) for name in ("flag", "text", "no")}
    statement = insert(table).inline().values(given)
    heard: list[object] = []
    with transaction() as connection:
        table.create(connection)
        event.listen(connection, "before_execute", lambda _, executed, *__: heard.append(executed))
        assert execute_prepared(connection, statement, values).rowcount == 1
        assert heard == [statement]
        rows = connection.exec_driver_sql("SELECT text, flag, no FROM prepared").all()
    assert rows == [(None, 1, 7)]
