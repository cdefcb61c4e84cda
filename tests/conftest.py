"""A server of the real app in this process, a separate database per test, and checks of statements and responses.

Every statement is compiled for SQL Server; every response of the server is checked against the OpenAPI document.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import pkgutil
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from api import SERVICES, load_services

gc.disable()  # until all tests are collected: nothing of them is garbage, and each worker scanned it again and again

# Before the app is imported: tests must not use a developer's settings or database.
_FOLDER = tempfile.mkdtemp(prefix="rollbook-")
atexit.register(shutil.rmtree, _FOLDER)
os.environ |= {
    "SETTINGS_FOLDER": _FOLDER,  # has no local.settings.json and no .env; programs that tests start inherit it
    "DATABASE_URL": f"sqlite:///{_FOLDER}/imported.db",
    "SERVICES": ",".join(SERVICES),
    "PAN_HOLDER_CHECK": "on",
    "POINTS_ALLOW_FLUSH": "on",
    "IDEMPOTENCY_HOURS": "24",
    "API_DOCS": "off",
    "HEALTH_CHECK": "on",
    "TELEMETRY": "off",
    "PYTHON_THREADPOOL_THREAD_COUNT": "8",
    "HOST": "127.0.0.1",
    "PORT": "0",
}

import httpx
import pytest
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Connection, Engine, event, inspect, select
from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.sql import ClauseElement
from sqlmodel import SQLModel

import function_app
import persistence
import settings
from api.http.openapi import build_document
from api.http.service import Endpoint
from devhost.indexing import read_route_prefix
from persistence.database import connections
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.history import list_branches
from persistence.migrations.scripts import apply_scripts
from persistence.migrations.state import migration_branches
from persistence.migrations.upgrade import upgrade
from persistence.users.tables import USERS
from tests.conformance import Conformance
from tests.support.rows import insert_rows, reset_database
from tests.support.seed import SEED_MANAGERS
from tests.support.serving import serving
from tests.support.tsql import check_tsql, compile_tsql

TEST_DATABASE_URL = os.environ.get("TEST_DATABASE_URL", "")
"""A SQL Server whose database belongs to the caller: the tests make their schema in it and remove it."""

PROJECT = Path(__file__).resolve().parent.parent
# Every branch and all models, also those of services without a word in SERVICES: a test database has all tables.
BRANCHES = migration_branches((*(service.name for service in load_services(SERVICES)), *list_branches()))
for _module in pkgutil.iter_modules(persistence.__path__, "persistence."):
    importlib.import_module(_module.name)

# Without a deadline, because machines may be busy; derandomized, so that failures are repeatable.
hypothesis_settings.register_profile("rollbook", deadline=None, derandomize=True, print_blob=True)
hypothesis_settings.load_profile("rollbook")

# Begun first, so that none of them is left alone at the end: files whose tests wait or start programs for long.
_LONG: Final = {"test_checkov.py", "test_outage.py", "test_commands.py", "test_docs_page.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the files."""
    items.sort(key=lambda item: item.path.name not in _LONG)


def pytest_collection_finish() -> None:
    """Leaves what was imported and collected out of garbage collections from now on."""
    gc.freeze()
    gc.enable()


class Api:
    """The app over HTTP."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self._numbers = iter(range(6_000_000_000, 10_000_000_000))

    def post(self, route: str, body: Any = None, **options: Any) -> httpx.Response:
        """Calls an endpoint with a JSON body, or with httpx's `content=` and `headers=`."""
        if body is not None:
            options["json"] = body
        return self.client.post(f"/{route}", **options)

    def new_user(self, **fields: Any) -> dict[str, Any]:
        """Returns a body for create_user with an unused number."""
        return {"full_name": "Asha Rao", "mob_num": str(next(self._numbers)), "pan_num": "ABCPE1234F", **fields}

    def create(self, **fields: Any) -> dict[str, Any]:
        """Creates a user and returns the record."""
        response = self.post("create_user", self.new_user(**fields))
        assert response.status_code == 201, response.text
        user: dict[str, Any] = response.json()["user"]
        return user

    def get(self, **filters: Any) -> list[dict[str, Any]]:
        """Returns the matching records, in order."""
        response = self.post("get_users", filters)
        assert response.status_code == 200, response.text
        users: list[dict[str, Any]] = response.json()["users"]
        return users

    def update(self, user_ids: list[str], **update_data: Any) -> httpx.Response:
        """Returns the response to an update."""
        return self.post("update_user", {"user_ids": user_ids, "update_data": update_data})


def endpoints() -> list[Endpoint]:
    """The endpoints of every service."""
    configured = settings.current()
    return [endpoint for service in load_services(SERVICES) for endpoint in service.build(configured).endpoints]


@pytest.fixture(scope="session")
def conformance() -> Conformance:
    """The check of every HTTP response against the OpenAPI document of all services."""
    return Conformance(build_document(endpoints()))


@pytest.fixture(scope="session")
def _client(conformance: Conformance) -> Iterator[httpx.Client]:
    with serving(
        function_app.app,
        read_route_prefix(PROJECT / "host.json"),
        limits=httpx.Limits(max_connections=200, max_keepalive_connections=200),
        event_hooks={"response": [conformance.check]},  # runs in the calling thread
    ) as client:
        yield client


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded database with every migration, for copies: copying is faster than migrating."""
    path = tmp_path_factory.mktemp("migrated") / "rollbook.db"
    connections.connect(f"sqlite:///{path}", threads=1)
    upgrade_embedded(BRANCHES, samples=True)
    connections.close()
    return path


@pytest.fixture
def database_file(tmp_path: Path, migrated_file: Path) -> Iterator[Path]:
    """The file of the app's embedded database for this test: new, with the seeded managers.

    A test that requests it runs on SQLite alone, because it tests SQLite's file, locks or plans, needs another table,
    or injects faults; with TEST_DATABASE_URL it is skipped.
    """
    if TEST_DATABASE_URL:
        pytest.skip("tests SQLite's file, locks or plans, needs another table, or injects faults")
    path = tmp_path / "rollbook.db"
    shutil.copy(migrated_file, path)
    connections.connect(f"sqlite:///{path}?timeout=10", threads=8)
    yield path
    connections.close()


@pytest.fixture(scope="session")
def _sql_server() -> Iterator[None]:
    """Creates the schema in the database of TEST_DATABASE_URL by the migrations, and removes it at the end."""
    connections.connect(TEST_DATABASE_URL, threads=8)
    tables = ["alembic_version", *(table.name for table in reversed(SQLModel.metadata.sorted_tables))]
    with connections.reading() as connection:
        taken = {*inspect(connection).get_table_names()} & set(tables)
    if taken:  # data of others
        pytest.exit(f"the database of TEST_DATABASE_URL has tables of these names: {', '.join(sorted(taken))}", 1)
    try:
        upgrade(BRANCHES, lambda _: None)
        apply_scripts(BRANCHES, lambda _: None)
        yield
    finally:
        connections.connect(TEST_DATABASE_URL, threads=8)
        with connections.transaction() as connection:
            for table in tables:
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")
            connection.exec_driver_sql("DROP ROLE IF EXISTS rollbook_app")
        connections.close()


@pytest.fixture
def app_database(request: pytest.FixtureRequest) -> Iterator[None]:
    """The app's database for this test, with the seeded managers and no users: SQLite, or that of TEST_DATABASE_URL."""
    if not TEST_DATABASE_URL:
        request.getfixturevalue("database_file")
        yield
        return
    request.getfixturevalue("_sql_server")
    connections.connect(TEST_DATABASE_URL, threads=8)
    with connections.transaction() as connection:
        reset_database(connection)
    yield
    connections.close()


@pytest.fixture
def api(_client: httpx.Client, app_database: None) -> Api:
    """The app over HTTP, with a separate database."""
    return Api(_client)


@pytest.fixture
def stored(app_database: None) -> Callable[..., list[tuple[Any, ...]]]:
    """A function that returns columns of all stored versions, in the order of their rows."""

    def select_columns(*columns: str) -> list[tuple[Any, ...]]:
        with connections.reading() as connection:
            rows = connection.execute(select(*(USERS.c[name] for name in columns)).order_by(USERS.c.id)).fetchall()
        return [tuple(row) for row in rows]

    return select_columns


@pytest.fixture
def store_users(app_database: None) -> Callable[[int, str | None], list[str]]:
    """A function that stores users directly, for tests that need thousands of them."""
    numbers = iter(range(7_000_000_000, 10_000_000_000))

    def store(count: int, manager_id: str | None) -> list[str]:
        same = {"version": 1, "manager_id": manager_id, "full_name": "Asha", "pan_num": "ABCPE1234F", "is_active": True}
        users = [{"mob_num": str(next(numbers)), "user_id": str(uuid.uuid4())} for _ in range(count)]
        with connections.transaction() as connection:
            insert_rows(connection, USERS, users, created_at="2026-01-01T00:00:00.000000Z", **same)
        return [user["user_id"] for user in users]

    return store


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """The executed statements in order, without BEGIN and COMMIT."""
    executed: list[str] = []

    def record(*arguments: Any) -> None:
        executed.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", record)
    yield executed
    event.remove(Engine, "before_cursor_execute", record)


@pytest.fixture
def count_statements(statements: list[str]) -> Callable[[], int]:
    """A function that returns the number of statements executed since its last call."""

    def count() -> int:
        number = len(statements)
        statements.clear()
        return number

    return count


@pytest.fixture
def plans(database_file: Path) -> Iterator[Callable[[Callable[[], Any]], list[str]]]:
    """A function that makes a call and returns the steps of the query plans of its statements."""
    executed: list[tuple[str, Any]] = []

    def record(*arguments: Any) -> None:
        executed.append(arguments[2:4])

    def explain(call: Callable[[], Any]) -> list[str]:
        executed.clear()
        call()
        connection = sqlite3.connect(database_file)
        steps = [
            str(row[3])
            for statement, parameters in executed
            for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
        connection.close()
        assert steps
        return steps

    event.listen(Engine, "before_cursor_execute", record)
    yield explain
    event.remove(Engine, "before_cursor_execute", record)


_compiled: set[tuple[Any, ...]] = set()  # SQLAlchemy's cache keys: equal ones have the same text


@pytest.fixture(autouse=True)
def _every_statement_compiles_for_sql_server() -> Iterator[None]:
    failures: list[str] = []

    def compile_too(connection: Connection, statement: object, multiparams: Any, params: Any, _options: object) -> None:
        if not isinstance(statement, ClauseElement) or isinstance(statement, ExecutableDDLElement):
            return
        given = multiparams[0] if multiparams else params
        key = statement._generate_cache_key()
        known = key and (key.key, tuple(given))  # without a key SQLAlchemy caches no text either
        if known in _compiled:
            return
        try:
            check_tsql(compile_tsql(statement, given))
        except Exception as error:  # noqa: BLE001 - raised in a server's thread, reported in the test's
            failures.append(f"{type(error).__name__}: {error}")
        else:
            if known:
                _compiled.add(known)

    event.listen(Engine, "before_execute", compile_too)
    yield
    event.remove(Engine, "before_execute", compile_too)
    assert not failures, "\n".join(failures)


@pytest.fixture
def unknown_id() -> str:
    """A UUID that belongs to no user and no manager."""
    return str(uuid.uuid4())


@pytest.fixture
def managers() -> list[str]:
    """The ids of the four active seeded managers."""
    return [str(manager["manager_id"]) for manager in SEED_MANAGERS if manager["is_active"]]


@pytest.fixture
def retired_manager() -> str:
    """The id of the inactive seeded manager."""
    return next(str(manager["manager_id"]) for manager in SEED_MANAGERS if not manager["is_active"])


@pytest.fixture
def errors_of() -> Callable[[httpx.Response], list[tuple[str, str]]]:
    """A function that returns the sorted pointers and codes of a problem."""

    def errors(response: httpx.Response) -> list[tuple[str, str]]:
        assert response.headers["content-type"] == "application/problem+json"
        return sorted((error["pointer"], error["code"]) for error in response.json()["errors"])

    return errors
