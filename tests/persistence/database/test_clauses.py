"""Clauses compiled for SQL Server; other tests execute them on SQLite."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.mssql import pyodbc as sql_server_dialect
from sqlalchemy.sql import ClauseElement

from persistence.database.clauses import (
    check_by_seek,
    count_rows,
    for_update,
    for_update_by_seek,
    for_update_of_range,
    in_json_array,
    in_order,
    limit_any_rows,
    limit_rows,
    optimize_for_first,
    seek_rows,
    skip_locked,
)
from persistence.users.tables import USERS


def _on_sql_server(statement: ClauseElement) -> str:
    return str(statement.compile(dialect=sql_server_dialect.dialect()))  # type: ignore[no-untyped-call]


def test_a_list_of_any_length_is_one_parameter() -> None:
    statement = select(USERS.c.id).where(in_json_array(USERS.c.user_id, "ids"))
    compiled = statement.compile(dialect=sql_server_dialect.dialect())  # type: ignore[no-untyped-call]
    assert "SELECT CAST(anon_1.value AS UNIQUEIDENTIFIER) AS value \nFROM OPENJSON(:ids)" in str(compiled)
    assert list(compiled.params) == ["ids"]


def test_a_row_limit_is_offset_fetch() -> None:
    statement = limit_rows(select(USERS.c.id).order_by(USERS.c.id))
    assert _on_sql_server(statement).strip().endswith("OFFSET 0 ROWS FETCH NEXT :row_limit ROWS ONLY")


def test_the_rows_of_an_insert_keep_their_order() -> None:
    copies = insert(USERS).from_select(["mob_num"], in_order(select(USERS.c.mob_num), USERS.c.id))
    assert _on_sql_server(copies).strip().endswith("FROM users ORDER BY users.id")


def test_a_count_stops_by_top() -> None:
    assert "FROM (SELECT TOP (:row_limit) users.id AS id" in _on_sql_server(count_rows(select(USERS.c.id)))


def test_a_limit_to_any_rows_stays_inside_of_another_statement() -> None:
    some = limit_any_rows(select(USERS.c.id).where(USERS.c.version == 1))
    assert "users.id IN (SELECT TOP (:row_limit) users.id" in _on_sql_server(delete(USERS).where(USERS.c.id.in_(some)))


def test_hints_of_locks_and_plans_reach_sql_server_alone() -> None:
    ids = select(USERS.c.id)
    for statement, hint in (
        (for_update(ids, USERS), "FROM users WITH (UPDLOCK, ROWLOCK)"),
        (for_update_by_seek(ids, USERS), "FROM users WITH (UPDLOCK, ROWLOCK, FORCESEEK)"),
        (for_update_of_range(ids, USERS), "FROM users WITH (UPDLOCK, HOLDLOCK, ROWLOCK)"),
        (skip_locked(ids, USERS), "FROM users WITH (UPDLOCK, ROWLOCK, READPAST, READCOMMITTEDLOCK)"),
        (optimize_for_first(ids, 10), "OPTION (FAST 10)"),
        (check_by_seek(ids), "OPTION (LOOP JOIN)"),
    ):
        assert hint in _on_sql_server(statement)
        assert str(statement) == str(ids)


def test_a_hint_of_an_insert_is_at_its_end() -> None:
    copies = insert(USERS).from_select(["mob_num"], check_by_seek(select(USERS.c.mob_num)))
    assert _on_sql_server(copies).endswith("FROM users OPTION (LOOP JOIN)")


def test_a_hint_of_an_update_with_another_table_is_an_option() -> None:
    versions = update(USERS).where(USERS.c.id == 1).values(version=2)
    assert _on_sql_server(seek_rows(versions)) == f"{_on_sql_server(versions)} OPTION (TABLE HINT (users, FORCESEEK))"
    assert str(seek_rows(versions)) == str(versions)
