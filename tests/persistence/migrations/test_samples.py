"""Sample accounts: only where they are asked for, and the same in an embedded database as in the script."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import argon2
import pytest

from domain.accounts import SAMPLE_PASSWORD, SAMPLE_ROLES
from persistence.accounts.tables import ACCOUNTS
from persistence.database import connections
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.scripts import SQL, split_batches

SAMPLES = SQL / "accounts" / "samples.sql"


def _accounts(path: Path, **options: bool) -> list[dict[str, Any]]:
    """Returns the accounts of a new embedded database."""
    connections.connect(f"sqlite:///{path}", threads=1)
    upgrade_embedded(("shared", "accounts"), **options)
    with connections.reading() as connection:
        accounts = [dict(row) for row in connection.execute(ACCOUNTS.select().order_by(ACCOUNTS.c.id)).mappings()]
    connections.close()
    return accounts


@pytest.fixture
def scripted() -> Iterator[sqlite3.Connection]:
    """A database whose table dbo.accounts was filled by the script."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("ATTACH ':memory:' AS dbo")
        columns = ", ".join(column.name for column in ACCOUNTS.c if column.name != "id")
        connection.execute(f"CREATE TABLE dbo.accounts (id INTEGER PRIMARY KEY, {columns}, UNIQUE (username))")
        connection.row_factory = sqlite3.Row
        _run_script(connection)
        yield connection


def _run_script(connection: sqlite3.Connection) -> None:
    _, insert = split_batches(SAMPLES.read_text("utf-8"))
    connection.execute(insert)


def _rows(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute("SELECT * FROM dbo.accounts ORDER BY id")]


def test_an_embedded_database_has_sample_accounts_only_on_request(tmp_path: Path) -> None:
    assert _accounts(tmp_path / "without.db") == []
    accounts = _accounts(tmp_path / "with.db", samples=True)
    assert {account["username"]: account["role"] for account in accounts} == SAMPLE_ROLES
    assert all(account["is_active"] and account["is_sample"] for account in accounts)


def test_a_database_that_is_migrated_gets_no_samples_later(tmp_path: Path) -> None:
    assert _accounts(tmp_path / "accounts.db") == []
    assert _accounts(tmp_path / "accounts.db", samples=True) == []


def test_the_password_of_a_sample_is_the_public_one(tmp_path: Path) -> None:
    hashes = [account["password_hash"] for account in _accounts(tmp_path / "with.db", samples=True)]
    hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # OWASP: 19 MiB, 2 passes, 1 lane
    for password_hash in hashes:
        assert hasher.verify(password_hash, SAMPLE_PASSWORD)
        assert not hasher.check_needs_rehash(password_hash)
    assert len({*hashes}) == len(SAMPLE_ROLES)  # each with a salt of its own


def test_the_script_has_the_accounts_of_an_embedded_database(scripted: sqlite3.Connection, tmp_path: Path) -> None:
    accounts = _accounts(tmp_path / "with.db", samples=True)
    for account in accounts:
        account["created_at"] = account["created_at"].removesuffix("Z")  # which DATETIME2 does not hold
    assert _rows(scripted) == accounts


def test_the_script_run_again_adds_what_is_missing_and_changes_nothing(scripted: sqlite3.Connection) -> None:
    scripted.execute("UPDATE dbo.accounts SET password_hash = 'own', is_sample = 0 WHERE username = 'admin'")
    scripted.execute("DELETE FROM dbo.accounts WHERE username = 'user'")
    before = _rows(scripted)
    _run_script(scripted)
    added = [row for row in _rows(scripted) if row not in before]
    assert [row["username"] for row in added] == ["user"]
    assert len(_rows(scripted)) == len(SAMPLE_ROLES)
