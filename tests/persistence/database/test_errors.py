"""Classification of driver errors."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ResourceClosedError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from persistence.database.connections import reading, transaction
from persistence.database.errors import (
    LostRaceError,
    TransientError,
    UnavailableError,
    error_code,
    raise_on_duplicate_key,
    translate_driver_errors,
)


class _DriverError(Exception):
    """An error like those of pyodbc: SQLSTATE, and a message that ends in the server's number and the ODBC function."""


def _driver_error(kind: type[DBAPIError], state: str, message: str) -> DBAPIError:
    return kind("INSERT INTO users", {}, _DriverError(state, message))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            _driver_error(IntegrityError, "23000", "[23000] duplicate key (2601) (SQLExecDirectW); ended. (3621)"),
            "2601",
        ),
        (_driver_error(IntegrityError, "23000", "[23000] value is (1205). (2627) (SQLExecute)"), "2627"),
        (
            _driver_error(OperationalError, "28000", "[28000] no (18456) (SQLDriverConnect); [28000] x (4060)"),
            "4060",
        ),
        (_driver_error(OperationalError, "28000", "[28000] failed (18456) (SQLDriverConnect)"), "18456"),
        (_driver_error(OperationalError, "FA004", "[FA004] no token (0) (SQLDriverConnect)"), "FA004"),
        (_driver_error(OperationalError, "08004", "[08004] no access (916) (SQLDriverConnect)"), "916"),
        (_driver_error(OperationalError, "08S01", "[08S01] [Microsoft] Communication link failure"), "08S01"),
        (_driver_error(OperationalError, "HYT00", "[HYT00] Login timeout expired (0) (SQLDriverConnect)"), "HYT00"),
        (ValueError("2601) (SQL"), ""),
        (OperationalError("x", {}, Exception()), ""),
    ],
)
def test_an_error_has_the_code_of_its_driver(error: Exception, expected: str) -> None:
    assert error_code(error) == expected


@pytest.mark.parametrize(
    ("state", "message", "kind"),
    [
        ("40001", "[40001] Transaction was deadlocked (1205) (SQLExecDirectW)", LostRaceError),
        ("23000", "[23000] Cannot insert duplicate key (2601) (SQLExecDirectW)", LostRaceError),
        ("23000", "[23000] The INSERT conflicted with the CHECK (547) (SQLExecDirectW)", OperationalError),
        ("28000", "[28000] Login failed. (18456) (SQLDriverConnect); [28000] upgrade (18401)", TransientError),
        ("HY000", "The driver did not supply an error!", TransientError),
        ("HY000", "[HY000] Another error (0) (SQLExecDirectW)", OperationalError),
        ("HYT00", "[HYT00] Query timeout expired (0) (SQLExecDirectW)", TransientError),
        ("08001", "[08001] Client unable to establish connection", TransientError),
        ("08S01", "[08S01] TCP Provider: Error code 0x68 (104) (SQLExecDirectW)", TransientError),
        ("HYT00", "[HYT00] Login timeout expired (0) (SQLDriverConnect)", TransientError),
        ("42000", "[42000] Database 'x' is not currently available (40613) (SQLDriverConnect)", TransientError),
        ("42000", "[42000] Resource ID : 1. The request limit is reached (10928) (SQLExecDirectW)", TransientError),
        ("42S02", "[42S02] Invalid object name 'users'. (208) (SQLExecDirectW)", OperationalError),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("database_file")
def test_sql_servers_errors_are_translated(state: str, message: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, transaction():
        raise _driver_error(OperationalError, state, message)
    assert type(caught.value) is kind


def test_an_exhausted_pool_means_unavailable() -> None:
    with pytest.raises(UnavailableError), translate_driver_errors():
        raise PoolTimeoutError


def test_a_connection_lost_in_its_initial_queries_is_transient() -> None:
    with pytest.raises(TransientError), translate_driver_errors():
        raise ResourceClosedError


@pytest.mark.parametrize(
    ("manager_id", "mob_num", "foreign_key", "kind"),
    [
        ("nobody", "9876543210", True, LostRaceError),
        ("nobody", "9876543210", False, IntegrityError),
        (None, "XXXXXX3210", True, IntegrityError),  # a CHECK
    ],
)
def test_a_foreign_key_is_a_lost_race_where_a_block_expects_one(
    database_file: Path, manager_id: str | None, mob_num: str, foreign_key: bool, kind: type[Exception]
) -> None:
    assert database_file.exists()
    with (
        pytest.raises(kind),
        transaction() as connection,
        raise_on_duplicate_key(LostRaceError(), foreign_key=foreign_key),
    ):
        connection.exec_driver_sql(
            "INSERT INTO users (user_id, version, manager_id, full_name, mob_num, pan_num, created_at, is_active) "
            "VALUES ('1', 1, ?, 'x', ?, 'ABCPE1234F', '2026', 1)",
            (manager_id, mob_num),
        )


_DUPLICATE = (
    "INSERT INTO users (user_id, version, full_name, mob_num, pan_num, created_at, is_active) "
    "SELECT user_id, 2, full_name, mob_num, pan_num, created_at, 1 FROM users"
)


def test_a_duplicate_key_is_a_lost_race_by_default(api: Any) -> None:
    api.create()
    with pytest.raises(LostRaceError), transaction() as connection:
        connection.exec_driver_sql(_DUPLICATE)


def test_a_duplicate_key_raises_the_error_that_a_block_names(api: Any) -> None:
    api.create()
    named = LookupError("taken")
    with pytest.raises(LookupError) as caught, transaction() as connection, raise_on_duplicate_key(named):  # type: ignore[arg-type]
        connection.exec_driver_sql(_DUPLICATE)
    assert caught.value is named
    assert caught.value.__suppress_context__


def test_no_error_repeats_the_parameters_of_its_statement(database_file: Path) -> None:
    assert database_file.exists()
    with pytest.raises(OperationalError) as caught, reading() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:name)"), {"name": "Unmistakable"})
    assert "Unmistakable" not in str(caught.value)


@pytest.mark.parametrize("name", ["SQLITE_BUSY_SNAPSHOT", "SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_CANTOPEN"])
def test_sqlites_own_errors_are_unavailable_and_not_retried(name: str) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorname = name
    with pytest.raises(UnavailableError) as caught, translate_driver_errors():
        raise error
    assert type(caught.value) is UnavailableError
