"""The service over HTTP, and a watch over the hashes that argon2 computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final

import argon2._password_hasher  # the place where the library calls its C functions
import httpx
import pytest

from api.accounts import service
from tests.support.accounts import Added, add_account
from tests.support.hashing import Hashing
from tests.support.serving import serving_service

Serve = Callable[..., AbstractContextManager[httpx.Client]]
_VARIABLES: Final = {"PYTHON_THREADPOOL_THREAD_COUNT": "8"}


@pytest.fixture
def serve(database_file: Path, tmp_path: Path) -> Serve:
    """A function that serves accounts with settings from variables: 8 threads, of which 2 hash at once."""
    return partial(serving_service, service, tmp_path, **_VARIABLES)


@pytest.fixture(scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving_service(service, tmp_path_factory.mktemp("settings"), **_VARIABLES) as client:
        yield client


@pytest.fixture
def client(_client: httpx.Client, database_file: Path) -> httpx.Client:
    """A client of a server for all tests of a file, on the database of the test."""
    return _client


@pytest.fixture
def asha(database_file: Path) -> Added:
    return add_account("asha")


@pytest.fixture
def admin(database_file: Path) -> Added:
    return add_account("root", "ADMIN")


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hashing]:
    """Watches the library's calls of its C functions, which run unchanged."""
    hashing = Hashing()
    for name in ("verify_secret", "hash_secret"):
        monkeypatch.setattr(argon2._password_hasher, name, hashing.watch(getattr(argon2._password_hasher, name)))
    yield hashing
    hashing.release()
