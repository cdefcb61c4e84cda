"""What the rest of the app need not know of the engines: URLs, error codes, column types, pools."""

from __future__ import annotations

import sys
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.dialects.mssql import pyodbc as sql_server_dialect
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from persistence.database import clauses, connection_string, connections, errors
from persistence.database.errors import LostRaceError, UnavailableError
from persistence.users import _LOAD, _LOAD_WITH_MANAGER, USERS
from settings import SettingsError

SQL_SERVER = sql_server_dialect.dialect()  # type: ignore[no-untyped-call]
ODBC = (
    "Driver={ODBC Driver 18 for SQL Server};Server=tcp:rollbook.database.windows.net,1433;Database=rollbook;"
    "Encrypt=yes;TrustServerCertificate=no;Connection Timeout=30;Authentication=ActiveDirectoryMsi"
)


def test_an_odbc_connection_string_as_the_portal_shows_it_reaches_the_driver_as_it_is() -> None:
    url = connection_string.parse_database_url(ODBC)
    assert url.drivername == "mssql+pyodbc"
    arguments, _ = SQL_SERVER.create_connect_args(url)
    assert arguments == (ODBC,)


def test_a_password_may_look_like_a_url() -> None:
    text = "Server=x;Driver={ODBC Driver 18 for SQL Server};Pwd=a://b"
    assert connection_string.parse_database_url(text).query["odbc_connect"] == text


@pytest.mark.parametrize("url", ["mssql+pyodbc://server/rollbook?driver=ODBC+Driver+18+for+SQL+Server", "sqlite:///x"])
def test_a_sqlalchemy_url_is_taken(url: str) -> None:
    assert connection_string.parse_database_url(url).render_as_string(hide_password=False) == url


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rollbook.db", "SQLAlchemy URL"),
        ("Server=tcp:x.database.windows.net;Initial Catalog=rollbook;Password=secret;", "ODBC connection string"),
        ("postgresql://user:secret@host/rollbook", "postgresql"),
        ("mssql+pymssql://user:secret@host/rollbook", "mssql+pymssql"),
        ("://secret", "SQLAlchemy URL"),
        ("mssql+pyodbc://user:secret@host:port/rollbook", "SQLAlchemy URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///file::memory:?uri=true", "names no file"),
        ("sqlite:///x.db?timeout=soon", "timeout"),
    ],
)
def test_another_url_is_refused_and_its_password_is_not_shown(text: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        connection_string.parse_database_url(text)
    assert told in str(caught.value)
    assert "DATABASE_URL" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("content", [b"this is a text and no database, " * 100, None])
def test_a_file_that_cannot_be_a_database_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file.db" if content else tmp_path / "no" / "such" / "folder.db"
    if content:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="DATABASE_URL names a file that cannot be used as a database"):
        connections.connect(f"sqlite:///{path}", threads=1)
    connections.close()


def test_no_error_repeats_the_parameters_of_its_statement(database_file: Path) -> None:
    assert database_file.exists()
    with pytest.raises(OperationalError) as caught, connections.reading() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:name)"), {"name": "Unmistakable"})
    assert "Unmistakable" not in str(caught.value)


@pytest.mark.parametrize("masked", [{"mob_num": "XXXXXX3210"}, {"pan_num": "XXXXXX234F"}])
def test_a_masked_value_is_never_stored(api: Any, masked: dict[str, str]) -> None:
    user = api.create()
    with pytest.raises((IntegrityError, LostRaceError)), connections.transaction() as connection:
        connection.execute(update(USERS).values(masked))
    assert api.get() == [user]


def test_without_the_driver_manager_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyodbc", None)  # as if its import failed
    with pytest.raises(SettingsError, match="install unixODBC"):
        connections.connect(ODBC, threads=1)


class _DriverError(Exception):
    """As pyodbc raises: SQLSTATE, then a text that ends in the server's number and the ODBC function's name."""


def _driver_error(kind: type[DBAPIError], state: str, text: str) -> DBAPIError:
    return kind("INSERT INTO users", {}, _DriverError(state, text))


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
        (_driver_error(OperationalError, "08S01", "[08S01] [Microsoft] Communication link failure"), "08S01"),
        (_driver_error(OperationalError, "HYT00", "[HYT00] Login timeout expired (0) (SQLDriverConnect)"), "HYT00"),
        (ValueError("2601) (SQL"), ""),
        (OperationalError("x", {}, Exception()), ""),
    ],
)
def test_an_error_has_the_code_of_its_driver(error: Exception, expected: str) -> None:
    assert errors.error_code(error) == expected


@pytest.mark.parametrize(
    ("state", "text", "refusal"),
    [
        ("40001", "[40001] Transaction was deadlocked (1205) (SQLExecDirectW)", LostRaceError),
        ("23000", "[23000] Cannot insert duplicate key (2601) (SQLExecDirectW)", LostRaceError),
        ("23000", "[23000] The INSERT conflicted with the FOREIGN KEY (547) (SQLExecDirectW)", LostRaceError),
        ("08001", "[08001] Client unable to establish connection", UnavailableError),
        ("08S01", "[08S01] TCP Provider: Error code 0x68 (104) (SQLExecDirectW)", UnavailableError),
        ("HYT00", "[HYT00] Login timeout expired (0) (SQLDriverConnect)", UnavailableError),
        ("42000", "[42000] Database 'x' is not currently available (40613) (SQLDriverConnect)", UnavailableError),
        (
            "42000",
            "[42000] Resource ID : 1. The request limit has been reached (10928) (SQLExecDirectW)",
            UnavailableError,
        ),
        ("42S02", "[42S02] Invalid object name 'users'. (208) (SQLExecDirectW)", OperationalError),
    ],
)
@pytest.mark.usefixtures("database_file")
def test_a_fault_of_sql_server_is_a_lost_race_an_absence_or_an_error(state: str, text: str, refusal: Any) -> None:
    def work() -> None:
        with connections.transaction():
            raise _driver_error(OperationalError, state, text)

    with pytest.raises(refusal):
        work()


@pytest.mark.usefixtures("database_file")
def test_an_exhausted_pool_is_an_absence() -> None:
    with pytest.raises(UnavailableError), connections.reading():
        raise PoolTimeoutError


def _processors(column: Any) -> tuple[Any, Any]:
    implementation = column.type.dialect_impl(SQL_SERVER)
    return implementation.bind_processor(SQL_SERVER), implementation.result_processor(SQL_SERVER, None)


def test_sql_server_gets_uuids_and_answers_text_in_lower_case() -> None:
    bind, result = _processors(USERS.c.user_id)
    text = "abcdefab-1111-4111-8111-abcdefabcdef"
    assert bind(text) == uuid.UUID(text)
    assert result(text.upper()) == text
    assert bind(None) is None
    assert result(None) is None


def test_sql_server_gets_times_without_a_zone_and_answers_them_with_it() -> None:
    bind, result = _processors(USERS.c.updated_at)
    assert bind("2026-11-20T10:11:12.000130Z") == datetime(2026, 11, 20, 10, 11, 12, 130)  # noqa: DTZ001 - DATETIME2
    assert result(datetime(2026, 11, 20, 10, 11, 12)) == "2026-11-20T10:11:12.000000Z"  # noqa: DTZ001
    assert bind(None) is None
    assert result(None) is None


def test_a_list_of_any_length_is_one_parameter_in_both_engines() -> None:
    statement = select(USERS.c.id).where(clauses.in_json_array(USERS.c.user_id, "ids"))
    on_sql_server = statement.compile(dialect=SQL_SERVER)
    assert "SELECT CAST(anon_1.value AS UNIQUEIDENTIFIER) AS value \nFROM OPENJSON(:ids)" in str(on_sql_server)
    assert list(on_sql_server.params) == ["ids"]


def test_a_page_is_cut_in_both_engines() -> None:
    statement = clauses.limit_rows(select(USERS.c.id).order_by(USERS.c.id))
    assert str(statement.compile(dialect=SQL_SERVER)).strip().endswith("OFFSET 0 ROWS FETCH NEXT :row_limit ROWS ONLY")


def test_rows_that_are_loaded_for_an_update_are_locked_on_sql_server() -> None:
    for statement in (_LOAD, _LOAD_WITH_MANAGER):
        assert "FROM users WITH (UPDLOCK, ROWLOCK)" in str(statement.compile(dialect=SQL_SERVER))
