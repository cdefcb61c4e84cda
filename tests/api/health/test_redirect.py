"""Health on Azure, where a function has one level of authorization: a second function has the database's health."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

import function_app
import settings
from api import health
from tests.support.serving import serving
from tests.support.unreliable_server import UnreliableServer, driver_error

PROBE = "SELECT version_num \nFROM alembic_version"

pytestmark = pytest.mark.usefixtures("app_database")


@pytest.fixture(scope="module")
def azure() -> Iterator[httpx.Client]:
    """A client of the app as its settings on Azure build it."""
    with serving(function_app.build(replace(settings.current(), on_azure=True))) as client:
        yield client


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
        ("database=1&a=1&code=b%26c", "/health/database?code=b%26c&a=1"),
        ("database=1&status=x&model_config=y", "/health/database?status=x&model_config=y"),
    ],
)
def test_a_redirect_keeps_the_key_and_every_other_parameter(
    server: UnreliableServer, statements: list[str], azure: httpx.Client, query: str, location: str | None
) -> None:
    response = azure.get(f"/health?{query}")
    if location is None:
        assert response.status_code == 200
        assert "database" not in response.json()
    else:
        assert (response.status_code, response.content) == (307, b"")
        assert response.headers["location"] == location
        assert response.headers["cache-control"] == "no-store"
    assert "x-mine" not in response.headers
    assert (statements, server.logins, health._last_probe) == ([], 0, None)


def test_following_the_redirect_leads_to_the_databases_health(azure: httpx.Client, statements: list[str]) -> None:
    response = azure.get("/health?database=1&code=a%2Bb%3D%3D", follow_redirects=True)
    assert [step.status_code for step in response.history] == [307]
    assert response.json()["database"] == "reachable"
    assert parse_qs(urlsplit(str(response.url)).query) == {"code": ["a+b=="]}
    assert statements == [PROBE]


def test_the_function_with_a_key_probes_and_redirects_nowhere(
    azure: httpx.Client, server: UnreliableServer, problem_of: Any
) -> None:
    assert azure.get("/health/database?database=1").json()["database"] == "reachable"
    health._last_probe = None
    server.place, server.fault = "execute", driver_error()
    assert problem_of(azure.get("/health/database")) == "database-unavailable"
