"""Sample accounts when the app starts: made on loopback alone, and reported on Azure."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

import api
import function_app
from domain.accounts import SAMPLE_ROLES
from persistence.database import connections
from settings import Settings, load
from tests.support.programs import WAIT_SECONDS

MESSAGE = "The database has sample accounts, whose password is public. They cannot sign in; delete them."


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with a separate database, and with accounts, which have no word of their own in SERVICES."""
    monkeypatch.setattr(api, "SERVICES", (*api.SERVICES, "accounts"))
    yield replace(load({}, tmp_path), database_url=f"sqlite:///{tmp_path}/rollbook.db", services=("accounts",))
    connections.close()


def start(settings: Settings) -> None:
    """Starts the app, and waits for what it does in the background."""
    function_app.build(settings)
    for thread in background():
        thread.join(WAIT_SECONDS)


def background() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "accounts-samples"]


def marked() -> list[str]:
    with connections.reading() as connection:
        return [*connection.exec_driver_sql("SELECT username FROM accounts WHERE is_sample = 1 ORDER BY id").scalars()]


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    """The errors in the log; without storage there is also a warning about timers."""
    return [record for record in caplog.record_tuples if record[0] == "rollbook" and record[1] >= logging.ERROR]


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        ({}, [*SAMPLE_ROLES]),
        ({"host": "::1"}, [*SAMPLE_ROLES]),
        ({"host": "0.0.0.0"}, []),  # noqa: S104 - it is not bound
        ({"on_azure": True}, []),
    ],
)
def test_sample_accounts_are_made_once_and_on_loopback_alone(
    settings: Settings, changes: dict[str, Any], made: list[str]
) -> None:
    start(replace(settings, **changes))
    assert marked() == made
    with connections.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM accounts")
    start(settings)
    assert marked() == []


@pytest.mark.parametrize(
    ("changes", "remaining", "lines"),
    [
        ({"on_azure": True}, "is_sample = 1", [("rollbook", logging.ERROR, MESSAGE)]),
        ({"on_azure": True}, "username = 'user2'", [("rollbook", logging.ERROR, MESSAGE)]),
        ({"on_azure": True}, "is_sample = 0", []),
        ({}, "is_sample = 1", []),
        ({"host": "0.0.0.0"}, "is_sample = 1", []),  # noqa: S104 - it is not bound
    ],
)
def test_on_azure_a_start_logs_an_error_while_an_account_is_marked(
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    statements: list[str],
    changes: dict[str, Any],
    remaining: str,
    lines: list[tuple[str, int, str]],
) -> None:
    start(settings)
    with connections.transaction() as connection:
        connection.exec_driver_sql("UPDATE accounts SET is_sample = 0 WHERE username = 'admin'")
        connection.exec_driver_sql(f"DELETE FROM accounts WHERE NOT {remaining}")
    statements.clear()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        start(replace(settings, **changes))
    assert logged(caplog) == lines
    assert sum("accounts" in statement for statement in statements) == ("on_azure" in changes)


def test_a_start_does_not_wait_for_the_database(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    start(settings)
    goes_on = threading.Event()

    def wait(*arguments: Any) -> None:
        if "accounts" in arguments[2]:
            assert goes_on.wait(WAIT_SECONDS)

    event.listen(Engine, "before_cursor_execute", wait)
    try:
        function_app.build(replace(settings, on_azure=True))
        (thread,) = background()
        assert thread.daemon, "the end of the process would wait for it"
        assert logged(caplog) == []
        goes_on.set()
        thread.join(WAIT_SECONDS)
    finally:
        event.remove(Engine, "before_cursor_execute", wait)
    assert [line[2] for line in logged(caplog)] == [MESSAGE]


def test_a_database_that_cannot_be_read_is_one_line(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    start(settings)
    with connections.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE accounts")
    start(replace(settings, on_azure=True))
    ((_, level, line),) = logged(caplog)
    assert level == logging.ERROR
    assert line.startswith("accounts_samples error OperationalError SQLITE_ERROR ")
    assert "no such table" not in line
