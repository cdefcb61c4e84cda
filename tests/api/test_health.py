"""Whether the app is alive, and whether its database is within reach: who is asked for it, and how often."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import QueuePool

import settings
from api import __version__, health
from persistence.database import connections
from tests.support.threads import at_once

QUESTION = "SELECT 1"
DATABASE = ["/health?database=1", "/health/database"]
"""Where the database's health is told."""


@pytest.fixture(autouse=True)
def _nothing_was_seen() -> Iterator[None]:
    health._seen = None
    yield
    health._seen = None


class Clock:
    """The clock of the health check, which a test moves."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still until it is moved."""
    clock = Clock()
    monkeypatch.setattr(health, "time", clock)
    monkeypatch.setattr(health, "_started", clock.now - 75)
    return clock


class Connected(sqlite3.Connection):
    """A connection whose statements meet the server's fault, too."""

    server: Server

    def cursor(self, *_: Any) -> Any:
        self.server.meet("execute")
        return super().cursor()


class Server:
    """A SQL Server as far as logins and statements go, over SQLite; `fault` is what its driver raises at a place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logins = 0
        self.place = "connect"
        self.fault: Exception | None = None
        self.times = 10**9

    def meet(self, place: str) -> None:
        if self.fault is not None and self.place == place and self.times > 0:
            self.times -= 1
            raise self.fault

    def connect(self) -> Connected:
        self.logins += 1
        self.meet("connect")
        connection = sqlite3.connect(self.path, factory=Connected, check_same_thread=False)
        connection.server = self
        return connection


@pytest.fixture
def server(database_file: Path) -> Server:
    """The app's database: a server that may go away."""
    server = Server(database_file)

    def engine(**options: Any) -> Engine:
        return create_engine(
            "sqlite://", creator=server.connect, poolclass=QueuePool, pool_reset_on_return=None, **options
        )

    connections.connect_engines(
        engine(isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True), engine(), retry_seconds=2
    )
    return server


def absence(number: str = "40613") -> sqlite3.OperationalError:
    """An error as pyodbc raises it, with something that nobody may read."""
    text = f"[42000] [Microsoft][SQL Server]Database 'secret-db' is away. ({number}) (SQLDriverConnect)"
    return sqlite3.OperationalError("42000", text)


@pytest.fixture
def on_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app takes itself for one on Azure."""
    here = replace(settings.current(), on_azure=True)
    monkeypatch.setattr(settings, "current", lambda: here)


def _problem(response: httpx.Response) -> str:
    """The code of a 503."""
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"].isdecimal()
    assert int(response.headers["retry-after"]) > 0
    assert "secret-db" not in response.text
    kind: str = response.json()["type"]
    return kind.removeprefix("/problems/")


# ---- alive


def test_the_app_says_its_version_and_how_many_whole_seconds_it_is_up(api: Any, clock: Clock) -> None:
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


def test_a_sign_of_life_executes_no_statement_and_logs_in_nowhere(
    api: Any, server: Server, statements: list[str]
) -> None:
    for _ in range(20):
        assert api.client.get("/health").status_code == 200
    assert statements == []
    assert server.logins == 0
    assert health._seen is None


def test_a_sign_of_life_needs_no_database_that_is_open(api: Any) -> None:
    connections.close()
    assert api.client.get("/health").json()["status"] == "ok"


def test_a_sign_of_life_is_given_while_the_database_is_away(api: Any, server: Server) -> None:
    server.fault = absence()
    assert _problem(api.client.get("/health?database=1")) == "database-unavailable"
    response = api.client.get("/health")
    assert response.status_code == 200
    assert "database" not in response.json()


@pytest.mark.parametrize(
    "query",
    ["database", "database=", "database=0", "database=2", "database=11", "database=true", "database=on",
     "database=%201", "database=1&database=0", "Database=1", "other=1", "database[]=1"],
)  # fmt: skip
def test_whatever_does_not_say_database_1_asks_for_a_sign_of_life_alone(
    api: Any, statements: list[str], query: str
) -> None:
    response = api.client.get(f"/health?{query}")
    assert response.status_code == 200
    assert sorted(response.json()) == ["status", "uptime_seconds", "version"]
    assert statements == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/health", "/health/database"])
def test_health_answers_get_alone(api: Any, method: str, path: str) -> None:
    assert api.client.request(method, path).status_code == 404


def test_nothing_of_it_is_in_the_description(api: Any) -> None:
    response = api.client.get("/openapi.json")
    assert response.status_code == 200
    assert "health" not in response.text.lower()


# ---- the database


@pytest.mark.parametrize("path", DATABASE)
def test_a_database_that_answers_is_reachable_and_the_question_is_one_statement(
    api: Any, clock: Clock, statements: list[str], path: str
) -> None:
    response = api.client.get(path)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "status": "ok",
        "version": __version__,
        "uptime_seconds": 75,
        "database": "reachable",
    }
    assert statements == [QUESTION]


@pytest.mark.parametrize("path", DATABASE)
@pytest.mark.parametrize("place", ["connect", "execute"])
def test_a_database_out_of_reach_is_a_503(api: Any, server: Server, path: str, place: str) -> None:
    server.place, server.fault = place, absence()
    assert _problem(api.client.get(path)) == "database-unavailable"


def test_many_questions_within_30_seconds_are_one_statement(api: Any, clock: Clock, statements: list[str]) -> None:
    for seconds in (0, 1, 14, 14.9):
        clock.now += seconds
        for path in (*DATABASE, "/health?database=1&other=2"):
            assert api.client.get(path).json()["database"] == "reachable"
    assert statements == [QUESTION]
    clock.now += 0.2
    for path in DATABASE:
        assert api.client.get(path).json()["database"] == "reachable"
    assert statements == [QUESTION] * 2


def test_an_answer_does_not_get_older_by_being_told_nor_younger(api: Any, clock: Clock, statements: list[str]) -> None:
    for _ in range(10):
        api.client.get("/health?database=1")
        clock.now += 16
    assert statements == [QUESTION] * 5


def test_a_bad_answer_is_believed_for_30_seconds_and_asked_again_afterwards(
    api: Any, server: Server, clock: Clock
) -> None:
    server.fault = absence()
    assert _problem(api.client.get("/health?database=1")) == "database-unavailable"
    logins = server.logins
    server.fault = None
    for seconds in (0, 15, 14.9):
        clock.now += seconds
        for path in DATABASE:
            assert _problem(api.client.get(path)) == "database-unavailable"
    assert server.logins == logins
    clock.now += 0.2
    assert api.client.get("/health?database=1").json()["database"] == "reachable"
    assert server.logins == logins + 1


def test_a_good_answer_is_believed_for_30_seconds_and_asked_again_afterwards(
    api: Any, server: Server, clock: Clock
) -> None:
    assert api.client.get("/health?database=1").status_code == 200
    server.place, server.fault = "execute", absence()
    clock.now += 29.9
    assert api.client.get("/health?database=1").status_code == 200
    clock.now += 0.2
    assert _problem(api.client.get("/health?database=1")) == "database-unavailable"


@pytest.mark.parametrize("number", ["18456", "40613", "208"])
def test_whatever_keeps_the_database_from_answering_it_is_out_of_reach_and_asked_once(
    api: Any, server: Server, number: str
) -> None:
    server.fault = absence(number)
    assert _problem(api.client.get(DATABASE[0])) == "database-unavailable"
    logins = server.logins
    for path in DATABASE * 2:
        assert _problem(api.client.get(path)) == "database-unavailable"
    assert server.logins == logins


def test_a_pooled_connection_that_died_unnoticed_is_no_news_of_the_database(
    api: Any, server: Server, clock: Clock
) -> None:
    assert api.client.get("/health?database=1").status_code == 200
    clock.now += 31
    server.place, server.fault, server.times = "execute", absence("10054"), 1
    assert api.client.get("/health?database=1").json()["database"] == "reachable"


@pytest.fixture
def slow_statements(api: Any) -> Iterator[None]:
    """Every statement takes a while, so that many questions wait for its answer."""

    def wait(*_: Any) -> None:
        time.sleep(0.1)

    event.listen(Engine, "before_cursor_execute", wait)
    yield
    event.remove(Engine, "before_cursor_execute", wait)


@pytest.mark.usefixtures("slow_statements")
def test_of_32_questions_at_once_one_reaches_the_database_and_the_others_have_its_last_answer(
    api: Any, clock: Clock, statements: list[str]
) -> None:
    assert api.client.get("/health?database=1").status_code == 200
    clock.now += 31
    answers = at_once(32, lambda number: api.client.get(DATABASE[number % 2]))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["database"] for answer in answers} == {"reachable"}
    assert statements == [QUESTION] * 2


@pytest.mark.usefixtures("slow_statements", "clock")
def test_of_32_first_questions_one_waits_for_the_answer_and_nobody_is_told_what_is_not_known(
    api: Any, statements: list[str]
) -> None:
    answers = at_once(32, lambda _: api.client.get("/health?database=1"))
    assert statements == [QUESTION]
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert 200 in {answer.status_code for answer in answers}
    assert api.client.get("/health?database=1").status_code == 200


def test_a_sign_of_life_does_not_wait_for_the_databases_answer(api: Any) -> None:
    asked, alive = threading.Event(), threading.Event()

    def wait(*_: Any) -> None:
        asked.set()
        assert alive.wait(30)

    event.listen(Engine, "before_cursor_execute", wait)
    try:
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(api.client.get, "/health?database=1")
            assert asked.wait(30)
            assert api.client.get("/health").status_code == 200
            assert not answer.done()
            alive.set()
            assert answer.result().json()["database"] == "reachable"
    finally:
        alive.set()
        event.remove(Engine, "before_cursor_execute", wait)


# ---- on Azure, where a function has one level of authorization


@pytest.mark.usefixtures("on_azure")
@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("database=1", "/health/database"),
        ("code=abc", None),
        ("database=1&code=abc", "/health/database?code=abc"),
        ("code=abc&database=1", "/health/database?code=abc"),
        ("database=1&code=a%2Bb%2Fc%3D%3D", "/health/database?code=a%2Bb%2Fc%3D%3D"),
        ("database=1&code=a%0D%0AX-Mine:%20b", "/health/database?code=a%0D%0AX-Mine%3A+b"),
        ("database=1&code=%C3%A9", "/health/database?code=%C3%A9"),
        ("database=1&a=1&code=b%26c", "/health/database?a=1&code=b%26c"),
    ],
)
def test_on_azure_the_question_for_the_database_is_sent_on_with_its_key_and_nothing_is_asked(
    api: Any, server: Server, statements: list[str], query: str, location: str | None
) -> None:
    response = api.client.get(f"/health?{query}")
    if location is None:
        assert response.status_code == 200
        assert "database" not in response.json()
    else:
        assert (response.status_code, response.content) == (307, b"")
        assert response.headers["location"] == location
        assert response.headers["cache-control"] == "no-store"
    assert "x-mine" not in response.headers
    assert (statements, server.logins, health._seen) == ([], 0, None)


@pytest.mark.usefixtures("on_azure")
def test_on_azure_following_leads_to_the_answer(api: Any, statements: list[str]) -> None:
    response = api.client.get("/health?database=1&code=a%2Bb%3D%3D", follow_redirects=True)
    assert [step.status_code for step in response.history] == [307]
    assert response.json()["database"] == "reachable"
    assert parse_qs(urlsplit(str(response.url)).query) == {"code": ["a+b=="]}
    assert statements == [QUESTION]


@pytest.mark.usefixtures("on_azure")
def test_on_azure_the_function_with_a_key_answers_for_the_database_and_sends_nobody_on(
    api: Any, server: Server
) -> None:
    assert api.client.get("/health/database?database=1").json()["database"] == "reachable"
    health._seen = None
    server.place, server.fault = "execute", absence()
    assert _problem(api.client.get("/health/database")) == "database-unavailable"


def test_a_health_check_is_one_log_line_like_any_request(
    api: Any, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault = absence()
    with caplog.at_level("INFO", "rollbook"):
        for path in ("/health", *DATABASE):
            api.client.get(path)
    told = [record.getMessage().split()[:3] for record in caplog.records]
    assert told == [["health", "ok", "200"], ["health", "failed", "503"], ["health_database", "failed", "503"]]
    assert "secret-db" not in caplog.text
