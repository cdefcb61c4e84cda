"""Responses and data if Azure SQL pauses, fails over or throttles."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from persistence.database import connections
from persistence.database.retries import MAX_RACE_ATTEMPTS
from tests.support.faulty_driver import NUMBERS, STATES, Faults


def _active(database_file: Path) -> list[tuple[str, int]]:
    connection = sqlite3.connect(database_file)
    try:
        return connection.execute("SELECT full_name, version FROM users WHERE is_active = 1 ORDER BY id").fetchall()
    finally:
        connection.close()


def _disconnect_writers() -> None:
    _, writer = connections.engines()
    writer.dispose()


@pytest.mark.parametrize(
    ("place", "code"),
    [("execute", "1205"), *((place, code) for place in ("connect", "execute") for code in (*NUMBERS, *STATES))],
)
def test_a_fault_before_the_commit_is_retried_unnoticed(
    faults: Faults, api: Any, managers: list[str], database_file: Path, code: str, place: str
) -> None:
    user = api.create(manager_id=managers[0])
    if place == "connect":
        _disconnect_writers()
    faults.waiting[place] = [code, code]
    assert api.update([user["user_id"]], manager_id=managers[1], full_name="New").status_code == 200
    assert faults.waiting[place] == []
    assert _active(database_file) == [("New", 2)]
    assert len(api.get()) == 2


@pytest.mark.parametrize("code", [*NUMBERS, *STATES])
def test_a_lost_commit_is_not_retried_and_writes_nothing(
    faults: Faults, api: Any, database_file: Path, code: str
) -> None:
    faults.waiting["commit"] = [code]
    response = api.post("create_user", api.new_user())
    assert response.status_code == 503
    assert response.headers["retry-after"].isdigit()
    assert response.json()["type"] == "/problems/outcome-unknown"
    assert _active(database_file) == []
    assert api.create()["full_name"] == "Asha Rao"


@pytest.mark.parametrize("code", ["40197", "08S01", "HYT00"])
def test_a_commit_with_a_lost_response_can_be_repeated_safely(
    faults: Faults, api: Any, managers: list[str], database_file: Path, code: str
) -> None:
    body = api.new_user(manager_id=managers[0])
    faults.waiting["committed"] = [code]
    assert api.post("create_user", body).json()["type"] == "/problems/outcome-unknown"
    assert api.post("create_user", body).status_code == 409  # it was committed, as a second call shows
    (user,) = api.get(mob_num=body["mob_num"])
    faults.waiting["committed"] = [code]
    assert api.update([user["user_id"]], manager_id=managers[1]).status_code == 503
    assert api.update([user["user_id"]], manager_id=managers[1]).json()["unchanged"] == [user["user_id"]]
    assert _active(database_file) == [("Asha Rao", 2)]
    faults.waiting["committed"] = [code]
    assert api.post("delete_user", {"user_id": user["user_id"]}).status_code == 503
    assert api.post("delete_user", {"user_id": user["user_id"]}).status_code == 404
    assert api.get() == []


def test_a_deadlock_victim_at_the_commit_is_retried(faults: Faults, api: Any, database_file: Path) -> None:
    faults.waiting["commit"] = ["1205"]
    api.create()
    assert _active(database_file) == [("Asha Rao", 1)]


@pytest.mark.parametrize("place", ["connect", "execute"])
def test_a_lasting_fault_is_a_503_within_the_budget(faults: Faults, api: Any, database_file: Path, place: str) -> None:
    _disconnect_writers()
    faults.waiting[place] = ["40613"] * 10_000
    response = api.post("create_user", api.new_user())
    assert response.status_code == 503
    assert response.json()["type"] == "/problems/database-unavailable"
    assert response.headers["retry-after"].isdigit()
    assert 2 < 10_000 - len(faults.waiting[place]) < 1000
    assert _active(database_file) == []
    faults.waiting[place] = []
    assert api.create()


def test_a_race_that_is_lost_every_time_is_a_409(faults: Faults, api: Any) -> None:
    faults.waiting["execute"] = ["1205"] * 100
    response = api.post("create_user", api.new_user())
    assert response.status_code == 409
    assert response.json()["type"] == "/problems/lost-race"
    assert 100 - len(faults.waiting["execute"]) == MAX_RACE_ATTEMPTS


def test_lost_races_and_other_faults_are_counted_apart(faults: Faults, api: Any) -> None:
    faults.waiting["execute"] = ["40197"] * 3 + ["1205"] * (MAX_RACE_ATTEMPTS - 1)
    assert api.create()


def test_a_dead_pooled_connection_costs_one_retry_and_one_login(faults: Faults, api: Any) -> None:
    api.create()
    logins = faults.logins
    faults.waiting["execute"] = ["10054"]
    api.create()
    assert faults.logins == logins + 1


def test_reads_are_retried_too(faults: Faults, api: Any) -> None:
    user = api.create()
    faults.waiting["execute"] = ["40197", "08S01"]
    assert api.get() == [user]


def test_a_list_that_is_lost_half_way_is_read_again(faults: Faults, api: Any) -> None:
    users = [api.create() for _ in range(3)]
    faults.waiting["fetch"] = ["40197"]
    assert api.get() == users


def test_a_connection_that_cannot_roll_back_leaves_the_pool(faults: Faults, api: Any, database_file: Path) -> None:
    user = api.create(full_name="Old")
    api.create(mob_num="9876543210")
    logins = faults.logins
    faults.waiting["rollback"] = ["3903"]
    assert api.update([user["user_id"]], mob_num="9876543210").status_code == 409  # the original error
    assert api.create()
    assert faults.logins == logins + 1
    assert [name for name, _ in _active(database_file)] == ["Old", "Asha Rao", "Asha Rao"]


@pytest.mark.parametrize("code", ["10928", "40501", "HYT00"])
def test_throttling_keeps_the_other_pooled_connections(faults: Faults, api: Any, code: str) -> None:
    def hold(depth: int) -> None:
        with connections.transaction() as connection:
            connection.exec_driver_sql("SELECT 1")
            if depth:
                hold(depth - 1)

    hold(2)  # three connections in the pool
    logins = faults.logins
    faults.waiting["execute"] = [code]
    api.create()
    hold(2)
    assert faults.logins == logins + 1


def test_a_fault_is_logged_with_its_number(faults: Faults, api: Any, caplog: Any) -> None:
    faults.waiting["commit"] = ["40613"]
    with caplog.at_level(logging.INFO, "rollbook"):
        api.post("create_user", api.new_user())
    assert caplog.records[-1].getMessage().endswith(" outcome-unknown:40613")


def test_nothing_is_sent_to_test_or_reset_a_pooled_connection(faults: Faults, api: Any) -> None:
    api.create()
    api.get()
    logins = faults.logins
    places: list[str] = []
    faults.meet = places.append  # type: ignore[method-assign,assignment]
    api.create()
    assert places == ["execute", "commit", "committed"]
    places.clear()
    api.get()
    assert places == ["execute", "fetch"]
    assert faults.logins == logins


def test_an_error_that_is_not_transient_is_not_retried(faults: Faults, api: Any) -> None:
    faults.waiting["execute"] = ["208", "208"]
    assert api.post("create_user", api.new_user()).status_code == 500
    assert faults.waiting["execute"] == ["208"]
