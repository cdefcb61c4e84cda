"""The service and accounts over HTTP, two accounts, and a local random.org."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from api.accounts import service as accounts
from api.calculator import service as calculator
from persistence.database import connections
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.state import migration_branches
from tests.support.accounts import add_account
from tests.support.calculator import Calculator
from tests.support.random_org import API_KEY, RandomOrg, random_org
from tests.support.serving import serving_services

Serve = Callable[..., AbstractContextManager[httpx.Client]]
_SERVED: Final = [accounts, calculator]
_VARIABLES: Final = {"PYTHON_THREADPOOL_THREAD_COUNT": "8"}


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded database with the tables of accounts and calculator, for copies."""
    path = tmp_path_factory.mktemp("migrated") / "rollbook.db"
    connections.connect(f"sqlite:///{path}", threads=1)
    upgrade_embedded(migration_branches(["accounts", "calculator"]))
    connections.close()
    return path


@pytest.fixture
def serve(database_file: Path, tmp_path: Path) -> Serve:
    """A function that serves the calculator with settings from variables."""
    return partial(serving_services, _SERVED, tmp_path, **_VARIABLES)


@pytest.fixture(scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving_services(_SERVED, tmp_path_factory.mktemp("settings"), **_VARIABLES) as client:
        yield client


@pytest.fixture
def asha(_client: httpx.Client, database_file: Path) -> Calculator:
    """A person with a new account; random strings are made locally."""
    return Calculator(_client, add_account("asha"))


@pytest.fixture
def ravi(asha: Calculator) -> Calculator:
    """Another person."""
    return Calculator(asha.client, add_account("ravi"))


@pytest.fixture
def server() -> Iterator[RandomOrg]:
    """A local random.org."""
    with random_org() as server:
        yield server


@pytest.fixture
def meera(serve: Serve, server: RandomOrg) -> Iterator[Calculator]:
    """A person whose random strings come from random.org; at most 4 calls may wait for it."""
    with serve(RANDOM_ORG_API_KEY=API_KEY, RANDOM_ORG_URL=server.url) as client:
        yield Calculator(client, add_account("meera"))


@pytest.fixture
def problem_of(errors_of: Callable[[httpx.Response], list[tuple[str, str]]]) -> Callable[[httpx.Response], Any]:
    """A function that returns the status, the code, and the pointers with their codes, of a problem."""

    def problem(response: httpx.Response) -> tuple[int, str, list[tuple[str, str]]]:
        return response.status_code, response.json()["type"].removeprefix("/problems/"), errors_of(response)

    return problem
