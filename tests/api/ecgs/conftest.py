"""The service and accounts over HTTP, and two accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.accounts import service as accounts
from api.ecgs import service as ecgs
from persistence.database import connections
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.state import migration_branches
from tests.support.accounts import add_account
from tests.support.ecg_calls import Person
from tests.support.serving import serving_services

Serve = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded database with the tables of accounts and ecgs, for copies."""
    path = tmp_path_factory.mktemp("migrated") / "rollbook.db"
    connections.connect(f"sqlite:///{path}", threads=1)
    upgrade_embedded(migration_branches(["accounts", "ecgs"]))
    connections.close()
    return path


@pytest.fixture
def serve(database_file: Path, tmp_path: Path) -> Serve:
    """A function that serves ecgs with settings from variables."""
    return partial(serving_services, [accounts, ecgs], tmp_path, PYTHON_THREADPOOL_THREAD_COUNT="8")


@pytest.fixture
def asha(serve: Serve) -> Iterator[Person]:
    """A person with a new account."""
    with serve() as client:
        yield Person(client, add_account("asha"))


@pytest.fixture
def ravi(asha: Person) -> Person:
    """Another person."""
    return Person(asha.client, add_account("ravi"))


@pytest.fixture
def problem_of(errors_of: Callable[[httpx.Response], list[tuple[str, str]]]) -> Callable[[httpx.Response], Any]:
    """A function that returns the status, the code, and the pointers with their codes, of a problem."""

    def problem(response: httpx.Response) -> tuple[int, str, list[tuple[str, str]]]:
        return response.status_code, response.json()["type"].removeprefix("/problems/"), errors_of(response)

    return problem
