"""Whether the app is alive, and whether its database can be reached."""

from __future__ import annotations

import time
from typing import Any

import pytest

from api import __version__, health
from persistence.database import connections
from tests.support.unreliable_server import UnreliableServer, driver_error

PROBE = "SELECT version_num \nFROM alembic_version"
DATABASE = ["/health?database=1", "/health/database"]
"""Where the database's health is returned."""


# ---- alive


def test_the_app_returns_its_version_and_uptime_in_whole_seconds(api: Any, clock: Any) -> None:
    clock.now += 0.9
    response = api.client.get("/health")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {"status": "ok", "version": __version__, "uptime_seconds": 75}


def test_the_uptime_goes_by_the_real_clock(api: Any) -> None:
    first = api.client.get("/health").json()["uptime_seconds"]
    assert first == int(time.monotonic() - health._started)
    assert first >= 0


def test_a_liveness_check_executes_no_statement_and_logs_in_nowhere(
    api: Any, server: UnreliableServer, statements: list[str]
) -> None:
    for _ in range(20):
        assert api.client.get("/health").status_code == 200
    assert statements == []
    assert server.logins == 0
    assert health._last_probe is None


def test_a_liveness_check_needs_no_open_database(api: Any) -> None:
    connections.close()
    assert api.client.get("/health").json()["status"] == "ok"


def test_the_app_is_alive_while_the_database_is_away(api: Any, server: UnreliableServer, problem_of: Any) -> None:
    server.fault = driver_error()
    assert problem_of(api.client.get("/health?database=1")) == "database-unavailable"
    response = api.client.get("/health")
    assert response.status_code == 200
    assert "database" not in response.json()


@pytest.mark.parametrize(
    "query",
    ["database", "database=", "database=0", "database=2", "database=11", "database=true", "database=on",
     "database=%201", "database=1&database=0", "Database=1", "other=1", "database[]=1", "status=1&model_config=x"],
)  # fmt: skip
def test_a_query_without_database_1_checks_liveness_alone(api: Any, statements: list[str], query: str) -> None:
    response = api.client.get(f"/health?{query}")
    assert response.status_code == 200
    assert sorted(response.json()) == ["status", "uptime_seconds", "version"]
    assert statements == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/health", "/health/database"])
def test_health_serves_get_alone(api: Any, method: str, path: str) -> None:
    assert api.client.request(method, path).status_code == 404


def test_no_part_of_health_is_in_the_openapi_document(api: Any) -> None:
    response = api.client.get("/openapi.json")
    assert response.status_code == 200
    assert "health" not in response.text.lower()


# ---- the database


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("path", [*DATABASE, "/health?a=1&database=1&code=x", "/health/database?database=0&a=1"])
def test_a_probe_of_a_reachable_database_is_one_statement(api: Any, statements: list[str], path: str) -> None:
    response = api.client.get(path)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "status": "ok",
        "version": __version__,
        "uptime_seconds": 75,
        "database": "reachable",
    }
    assert statements == [PROBE]


@pytest.mark.parametrize("path", DATABASE)
@pytest.mark.parametrize("place", ["connect", "execute"])
def test_a_database_that_cannot_be_reached_is_a_503(
    api: Any, server: UnreliableServer, problem_of: Any, path: str, place: str
) -> None:
    server.place, server.fault = place, driver_error()
    assert problem_of(api.client.get(path)) == "database-unavailable"


@pytest.mark.parametrize(
    ("number", "code"),
    [("18456", "database-login"), ("40613", "database-unavailable"), ("208", "schema-outdated")],
)
def test_any_error_of_the_server_is_a_503_from_one_probe(
    api: Any, server: UnreliableServer, problem_of: Any, number: str, code: str
) -> None:
    server.fault = driver_error(number)
    assert problem_of(api.client.get(DATABASE[0])) == code
    logins = server.logins
    for path in DATABASE * 2:
        assert problem_of(api.client.get(path)) == code
    assert server.logins == logins


def test_a_pooled_connection_that_died_unnoticed_fails_no_probe(api: Any, server: UnreliableServer, clock: Any) -> None:
    assert api.client.get("/health?database=1").status_code == 200
    clock.now += 31
    server.place, server.fault, server.times = "execute", driver_error("10054"), 1
    assert api.client.get("/health?database=1").json()["database"] == "reachable"


def test_a_health_check_is_one_log_line_like_any_request(
    api: Any, server: UnreliableServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault = driver_error()
    with caplog.at_level("INFO", "rollbook"):
        for path in ("/health", *DATABASE):
            api.client.get(path)
    logged = [record.getMessage().split()[:3] for record in caplog.records]
    assert logged == [["health", "ok", "200"], ["health", "failed", "503"], ["health_database", "failed", "503"]]
    assert "secret-db" not in caplog.text
