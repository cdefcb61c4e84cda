"""The stand-in counts what pyodbc 5.5 and Microsoft's driver 18.6 were measured to send."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.counting_driver import URL, Connection, counting_driver

ONE, OTHER, LONG = "SELECT 1", "SELECT 1 + 0", "x" * 2001
TEXT: Final = (-9, 0, 0)
"""What setinputsizes gets for nvarchar(max)."""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with counting_driver(tmp_path / "empty.db") as server:
        yield server.connect(URL, autocommit=True)


def _once(connection: Connection, *values: Any, sizes: Any = None) -> None:
    cursor = connection.cursor()
    cursor.setinputsizes(sizes)
    cursor.execute(ONE, values)
    cursor.close()


def _twice(connection: Connection, second: str, *values: Any) -> None:
    cursor = connection.cursor()
    for text in (ONE, second):
        cursor.execute(text, values).fetchall()
    cursor.close()


def _in_transaction(connection: Connection) -> None:
    connection.autocommit = False
    _once(connection)
    connection.commit()
    connection.rollback()  # of the next transaction, which the commit began
    connection.autocommit = True
    connection.commit()


@pytest.mark.parametrize(
    ("use", "requests"),
    [
        (_once, "batch"),
        (lambda connection: _once(connection, 1), "prepexec unprepare"),
        (lambda connection: _twice(connection, ONE, 1), "prepexec prepexec unprepare"),
        (lambda connection: _twice(connection, OTHER, 1), "prepexec unprepare prepexec unprepare"),
        (lambda connection: _twice(connection, ONE, None), "describe prepexec prepexec unprepare"),
        (lambda connection: _once(connection, None, sizes=[TEXT]), "describe prepexec unprepare"),
        (
            lambda connection: _once(connection, sys.modules["pyodbc"].BinaryNull, sizes=[TEXT]),
            "prepexec unprepare",
        ),
        (lambda connection: _once(connection, LONG), "prepare execute unprepare"),
        (_in_transaction, "begin batch commit rollback commit"),
    ],
)
def test_requests_follow_the_rules_of_the_driver(
    connection: Connection, use: Callable[[Connection], None], requests: str
) -> None:
    sent = connection.server.sent_by(lambda: use(connection))
    assert " ".join(request.kind for request in sent) == requests


def test_a_long_text_without_a_type_is_an_error_with_maxwrite(connection: Connection) -> None:
    connection.maxwrite = 1 << 30
    assert [request.kind for request in connection.server.sent_by(lambda: _once(connection, LONG, sizes=[TEXT]))] == [
        "prepexec",
        "unprepare",
    ]
    with pytest.raises(sys.modules["pyodbc"].ProgrammingError, match="HY104"):
        _once(connection, LONG)


@pytest.mark.parametrize(
    ("size", "value", "declared"),
    [
        (None, "ab", "nvarchar(4)"),
        ((-9, 400, 0), "ab", "nvarchar(400)"),
        ((1, 10, 0), "ab", "char(10)"),
        (None, 1, "int"),
        (None, 1 << 40, "bigint"),
        ((-5, 19, 0), 1, "bigint"),
        ((1, 1, 0), "ab", None),
        ((4, 10, 0), 1 << 40, None),
    ],
)
def test_a_parameter_has_its_declared_type_and_has_to_fit(
    connection: Connection, size: Any, value: object, declared: str | None
) -> None:
    server = connection.server
    if declared is None:
        server.requests.clear()
        with pytest.raises(sys.modules["pyodbc"].DataError):
            _once(connection, value, sizes=[size])
        assert server.requests == []
    else:
        _once(connection, value, sizes=[size])
        assert server.executions[-1].declared == (declared,)


def test_a_second_result_on_a_connection_is_an_error(connection: Connection) -> None:
    first, second = connection.cursor(), connection.cursor()
    first.execute(ONE)
    with pytest.raises(sys.modules["pyodbc"].OperationalError, match="busy"):
        second.execute(ONE)
    first.fetchone()
    assert second.execute(ONE).fetchall() == [(1,)]


def test_a_cursor_has_the_timeout_of_its_creation(connection: Connection) -> None:
    connection.timeout = 3
    cursor = connection.cursor()
    connection.timeout = 5
    cursor.execute(ONE)
    assert connection.server.executions[-1].timeout == 3
