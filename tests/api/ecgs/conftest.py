"""The service and accounts over HTTP, and two accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from api.accounts import service as accounts
from api.ecgs import service as ecgs
from persistence.database import connections
from persistence.ecgs import ECGS
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.state import migration_branches
from tests.support.accounts import add_account
from tests.support.ecg_calls import Person
from tests.support.serving import serving_services


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded database with the tables of accounts and ecgs, for copies."""
    path = tmp_path_factory.mktemp("migrated") / "rollbook.db"
    connections.connect(f"sqlite:///{path}", threads=1)
    upgrade_embedded(migration_branches(["accounts", "ecgs"]))
    connections.close()
    return path


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One server for all tests, which uses the database of the running one."""
    folder = tmp_path_factory.mktemp("settings")
    with serving_services([accounts, ecgs], folder, PYTHON_THREADPOOL_THREAD_COUNT="8") as client:
        yield client


@pytest.fixture
def asha(client: httpx.Client, database_file: Path) -> Person:
    """A person with a new account."""
    return Person(client, add_account("asha"))


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


@pytest.fixture
def count_rows(database_file: Path) -> Callable[[], int]:
    """A function that returns the number of stored ECGs of all accounts."""

    def count() -> int:
        with connections.reading() as connection:
            return connection.execute(select(func.count()).select_from(ECGS)).scalar_one()

    return count
