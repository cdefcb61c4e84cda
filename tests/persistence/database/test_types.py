"""Column types on SQL Server; other tests use them on SQLite."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.mssql import pyodbc as sql_server_dialect

from persistence.users.tables import USERS

SQL_SERVER = sql_server_dialect.dialect()  # type: ignore[no-untyped-call]


def _processors(column: Any) -> tuple[Any, Any]:
    implementation = column.type.dialect_impl(SQL_SERVER)
    return implementation.bind_processor(SQL_SERVER), implementation.result_processor(SQL_SERVER, None)


def test_sql_server_gets_uuids_and_python_lower_case_text() -> None:
    bind, result = _processors(USERS.c.user_id)
    text = "abcdefab-1111-4111-8111-abcdefabcdef"
    assert bind(text) == uuid.UUID(text)
    assert result(text.upper()) == text
    assert bind(None) is None
    assert result(None) is None


def test_sql_server_gets_times_without_a_zone_and_python_utc() -> None:
    bind, result = _processors(USERS.c.updated_at)
    assert bind("2026-11-20T10:11:12.000130Z") == datetime(2026, 11, 20, 10, 11, 12, 130)  # noqa: DTZ001 - DATETIME2
    assert result(datetime(2026, 11, 20, 10, 11, 12)) == "2026-11-20T10:11:12.000000Z"  # noqa: DTZ001
    assert bind(None) is None
    assert result(None) is None
