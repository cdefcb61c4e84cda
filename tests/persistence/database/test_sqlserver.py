"""Responses and data if Azure SQL pauses, fails over or throttles."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from api import health
from persistence.database import connections
from persistence.database.retries import MAX_RACE_ATTEMPTS
from tests.support.faulty_driver import CONSTRAINT, NO_DIAGNOSTIC, NUMBERS, STATES, Faults


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
    [
        ("execute", "1205"),
        *((place, code) for place in ("connect", "execute") for code in (*NUMBERS, *STATES, NO_DIAGNOSTIC)),
    ],
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


@pytest.mark.parametrize("code", ["40197", NO_DIAGNOSTIC])
def test_a_list_that_is_lost_half_way_is_read_again(faults: Faults, api: Any, code: str) -> None:
    users = [api.create() for _ in range(3)]
    faults.waiting["fetch"] = [code]
    assert api.get() == users


@pytest.mark.parametrize("place", ["execute", "fetch"])
def test_a_read_that_takes_too_long_is_not_retried(faults: Faults, api: Any, place: str) -> None:
    user = api.create()
    assert api.get() == [user]  # logs in: SQLAlchemy's initial queries are part of a login
    faults.waiting[place] = ["HYT00", "HYT00"]
    response = api.post("get_users", {})
    assert response.status_code == 503
    assert response.json()["type"] == "/problems/statement-timeout"
    assert "`limit`" in response.json()["detail"]
    assert faults.waiting[place] == ["HYT00"]
    faults.waiting[place] = []
    assert api.get() == [user]


def test_a_login_for_a_read_that_takes_too_long_is_retried(faults: Faults, api: Any) -> None:
    faults.waiting["connect"] = ["HYT00", "HYT00"]
    assert api.get() == []
    assert faults.waiting["connect"] == []


@pytest.mark.parametrize("code", ["18456", "18463", "FA004", "916", "40615"])
def test_a_rejected_login_is_a_503_and_not_retried(faults: Faults, api: Any, caplog: Any, code: str) -> None:
    faults.waiting["connect"] = [code, code]
    with caplog.at_level(logging.INFO, "rollbook"):
        response = api.post("create_user", api.new_user())
    assert response.status_code == 503
    assert response.headers["retry-after"].isdigit()
    assert response.json()["type"] == "/problems/database-login"
    assert faults.waiting["connect"] == [code]
    (line,) = caplog.records
    assert line.getMessage().endswith(f" database-login:{code}")
    assert line.levelno == logging.ERROR


def test_a_health_probe_reports_a_rejected_login(faults: Faults, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_last_probe", None)  # that of an earlier test is reused for seconds
    faults.waiting["connect"] = ["18456"]
    response = api.client.get("/health/database")
    assert (response.status_code, response.json()["type"]) == (503, "/problems/database-login")


def test_a_foreign_key_that_is_gone_is_a_lost_race(faults: Faults, api: Any, managers: list[str]) -> None:
    faults.waiting["write"] = [CONSTRAINT]
    user = api.create(manager_id=managers[0])
    for ids in ([user["user_id"]], [user["user_id"], api.create()["user_id"]]):
        faults.waiting["write"] = [CONSTRAINT]
        assert api.update(ids, manager_id=managers[len(ids)]).status_code == 200
    assert not any(faults.waiting.values())


def test_a_violated_check_is_a_500_after_one_attempt(faults: Faults, api: Any) -> None:
    user = api.create()
    calls: dict[str, Any] = {
        "create_user": api.new_user(),
        "update_user": {"user_ids": [user["user_id"]], "update_data": {"full_name": "New"}},
        "delete_user": {"user_id": user["user_id"]},
    }
    for route, body in calls.items():
        faults.waiting["write"] = [CONSTRAINT, CONSTRAINT]
        assert api.post(route, body).status_code == 500
        assert faults.waiting["write"] == [CONSTRAINT]
    faults.waiting["write"] = []
    assert api.get() == [user]


def test_a_connection_that_cannot_roll_back_leaves_the_pool(faults: Faults, api: Any, database_file: Path) -> None:
    user = api.create(full_name="Old")
    api.create(mob_num="9876543210")
    logins = faults.logins
    faults.waiting["rollback"] = ["3903"]
    assert api.update([user["user_id"]], mob_num="9876543210").status_code == 409  # the original error
    assert api.create()
    assert faults.logins == logins + 1
    assert [name for name, _ in _active(database_file)] == ["Old", "Asha Rao", "Asha Rao"]


@pytest.mark.parametrize("code", ["10928", "40501", "HYT00", "701", "40553", "8645", "9002"])
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


@pytest.mark.parametrize(
    ("faulty", "route", "level", "line"),
    [
        ([], "create_user", "INFO", "ok 201"),
        (["40613", "1205"], "create_user", "WARNING", "ok 201 lost-race:1205"),
        (["1205", "40613"], "create_user", "WARNING", "ok 201 database-unavailable:40613"),
        (["1205"] * 100, "create_user", "WARNING", "refused 409 lost-race:1205"),
        (["40197"], "delete_user", "WARNING", "refused 404 user-not-found database-unavailable:40197"),
        ([], "delete_user", "INFO", "refused 404 user-not-found"),
        (["208"], "create_user", "ERROR", "failed 500 internal-error"),
    ],
)
def test_a_retried_call_is_a_warning_with_the_last_cause(
    faults: Faults, api: Any, caplog: Any, faulty: list[str], route: str, level: str, line: str
) -> None:
    api.create()
    caplog.clear()
    faults.waiting["execute"] = faulty
    with caplog.at_level(logging.INFO, "rollbook"):
        api.post(route, api.new_user() if route == "create_user" else {"mob_num": "9999999999"})
    written = caplog.records[-1]
    words = written.getMessage().split()
    assert (written.levelname, " ".join(words[1:3] + words[6:])) == (level, line)


def test_nothing_is_sent_to_test_or_reset_a_pooled_connection(faults: Faults, api: Any) -> None:
    api.create()
    api.get()
    logins = faults.logins
    places: list[str] = []
    faults.meet = places.append  # type: ignore[method-assign,assignment]
    api.create()
    assert places == ["execute", "execute", "execute", "commit", "committed"]
    places.clear()
    api.get()
    assert places == ["execute", "fetch"]
    assert faults.logins == logins


def test_an_error_that_is_not_transient_is_not_retried(faults: Faults, api: Any) -> None:
    faults.waiting["execute"] = ["208", "208"]
    assert api.post("create_user", api.new_user()).status_code == 500
    assert faults.waiting["execute"] == ["208"]
