"""Fixtures: no earlier probe, a clock, and a database server that fails or hangs on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from api import health
from persistence.database import connections
from tests.support.unreliable_server import UnreliableServer


@pytest.fixture(autouse=True)
def _no_previous_probe() -> Iterator[None]:
    health._last_probe = None
    yield
    health._last_probe = None


class Clock:
    """The clock of the health check, set by tests."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that only tests move; the app started 75 seconds ago."""
    clock = Clock()
    monkeypatch.setattr(health, "time", clock)
    monkeypatch.setattr(health, "_started", clock.now - 75)
    return clock


@pytest.fixture
def server(database_file: Path) -> Iterator[UnreliableServer]:
    """The server of the app's database."""
    server = UnreliableServer(database_file)
    connections.connect_engines(
        server.engine(isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True), server.engine(), retry_seconds=2
    )
    yield server
    server.released.set()


@pytest.fixture
def problem_of() -> Callable[[httpx.Response], str]:
    """A function that returns the code of a 503, and checks that it is well-formed and shows nothing of the cause."""

    def code(response: httpx.Response) -> str:
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["retry-after"].isdecimal()
        assert int(response.headers["retry-after"]) > 0
        assert "secret-db" not in response.text
        kind: str = response.json()["type"]
        return kind.removeprefix("/problems/")

    return code
