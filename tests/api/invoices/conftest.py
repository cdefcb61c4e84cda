"""The invoices service over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import httpx
import pytest

from api.invoices import service
from persistence.database import connections
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.state import migration_branches
from tests.support.invoices import Shop
from tests.support.serving import serving_service

Serve = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded database with the tables of invoices, for copies."""
    path = tmp_path_factory.mktemp("migrated") / "rollbook.db"
    connections.connect(f"sqlite:///{path}", threads=1)
    upgrade_embedded(migration_branches(["invoices"]))
    connections.close()
    return path


@pytest.fixture
def serve(database_file: Path, tmp_path: Path) -> Serve:
    """A function that serves invoices with settings from variables."""
    return partial(serving_service, service, tmp_path)


@pytest.fixture(scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving_service(service, tmp_path_factory.mktemp("settings")) as client:
        yield client


@pytest.fixture
def shop(_client: httpx.Client, database_file: Path) -> Shop:
    """A shop without items and customers."""
    return Shop(_client)
