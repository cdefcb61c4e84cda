"""The effects of a request: response, log lines and statements, without values that differ between runs."""

from __future__ import annotations

import http.client
import json
import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, Pool, event
from sqlalchemy.dialects.mssql import pyodbc
from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.sql import ClauseElement, Insert

from tests.golden import adapter
from tests.golden.calls import Call, ForgetProbes, Lock, Sql, Step

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z"
_VOLATILE: Final = re.compile(f"(?P<uuid>{_UUID})|(?P<time>{_TIME})")
_KNOWN_UUIDS: Final = ("11111111-", "99999999-")
"""The prefixes of ids in the tables of requests."""
_LEFT_OUT: Final = {"date", "server", "content-length"}
_TRANSACTION: Final = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT")

Statement = tuple[str, str]
"""A statement's text on SQLite and on SQL Server; the latter is empty for statements of the driver itself."""


class Masks:
    """Generated ids and times by placeholders, numbered by their first appearance in a scenario."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def name(self, kind: str, value: str) -> str:
        """Returns the placeholder of a value."""
        if value not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[value] = f"<{kind} {self._counts[kind]}>"
        return self._names[value]

    def text(self, text: str) -> str:
        """Returns the text with placeholders for ids and times."""
        return _VOLATILE.sub(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        value = match[0]
        if match["uuid"]:
            return value if value.startswith(_KNOWN_UUIDS) else self.name("id", value)
        is_now = abs(datetime.now(UTC) - datetime.fromisoformat(value)) < timedelta(days=1)
        return self.name("time", value) if is_now else value

    def json(self, value: Any) -> Any:
        """Returns a body without the parts that are not recorded."""
        if isinstance(value, dict):
            return {
                self.text(key): self._member(key, inner)
                for key, inner in value.items()
                if key not in ("title", "detail")
            }
        if isinstance(value, list):
            return [self.json(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value

    def _member(self, key: str, value: Any) -> Any:
        if key == "uptime_seconds" and type(value) is int:
            return "<number>"
        if key == "next_cursor" and isinstance(value, str):
            return self.name("cursor", value)
        return self.json(value)


_SQL_SERVER = pyodbc.dialect(paramstyle="qmark")  # type: ignore[no-untyped-call]
_compiled: dict[int, tuple[ClauseElement, str]] = {}  # holds each statement, so that no other one gets its id


def _for_sql_server(statement: ClauseElement, given: Any) -> str:
    if id(statement) not in _compiled:
        is_values = isinstance(statement, Insert) and statement.select is None
        compiled = statement.compile(dialect=_SQL_SERVER, column_keys=list(given) if is_values else None)
        _compiled[id(statement)] = statement, str(compiled)
    return _compiled[id(statement)][1]


@contextmanager
def statements() -> Iterator[list[Statement]]:
    """Yields the list of executed statements of new connections, including BEGIN, COMMIT and ROLLBACK."""
    executed: list[Statement] = []
    compiled = threading.local()

    def compile_too(_: Connection, statement: object, multiparams: Any, params: Any, _options: object) -> None:
        if isinstance(statement, ClauseElement) and not isinstance(statement, ExecutableDDLElement):
            compiled.text = _for_sql_server(statement, multiparams[0] if multiparams else params)

    def record(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        executed.append((statement, compiled.__dict__.pop("text", "")))

    def trace(connection: sqlite3.Connection, _: object) -> None:
        connection.set_trace_callback(lambda sql: executed.append((sql, "")) if sql.startswith(_TRANSACTION) else None)

    listeners: list[tuple[type, str, Callable[..., None]]] = [
        (Engine, "before_execute", compile_too),
        (Engine, "before_cursor_execute", record),
        (Pool, "connect", trace),
    ]
    for target, name, listener in listeners:
        event.listen(target, name, listener)
    try:
        yield executed
    finally:
        for target, name, listener in listeners:
            event.remove(target, name, listener)


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


@contextmanager
def log_lines() -> Iterator[list[str]]:
    """Yields the list of lines that the app logs."""
    logger, handler = logging.getLogger("rollbook"), _Lines()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def mask_log_line(line: str) -> str:
    """Returns a log line without milliseconds, frames and invocation id."""
    line = re.sub(r"\d+\.\d ms", "# ms", line)
    line = re.sub(r"^(\w+ \w+ error \S+ \S+) .+ (\S+)$", r"\1 <frames> \2", line)
    return re.sub(_UUID, "<invocation>", line)


class Client:
    """Sends requests unchanged, and records the responses."""

    def __init__(self, host: str, port: int) -> None:
        self.address = host, port
        self.saved: dict[str, str] = {}
        self.masks = Masks()

    def send(self, call: Call, log: list[str]) -> dict[str, Any]:
        """Returns request, status, headers, body, and the lines that were added to `log`."""
        seen = len(log)
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        headers = [("Content-Type", "application/json")] if call.has_body else []
        connection.putrequest(call.method, self._filled(call.path), skip_accept_encoding=True)
        for name, value in [*headers, *call.headers]:
            connection.putheader(name, value.encode("latin-1"))
        self._send_body(connection, call)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        lines = log[seen:]
        return {
            "request": _describe(call),
            "status": response.status,
            "headers": {
                name.lower(): value for name, value in sorted(response.getheaders()) if name.lower() not in _LEFT_OUT
            },
            "body": self._body(call, body, lines),
            "log": [mask_log_line(line) for line in lines],
        }

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._filled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._filled(inner) for inner in value]
        return self.saved.get(value[1:], value) if isinstance(value, str) and value.startswith("$") else value

    def _send_body(self, connection: http.client.HTTPConnection, call: Call) -> None:
        if not call.has_body and not isinstance(call.content, bytes):
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders(iter(call.content), encode_chunked=True)
            return
        content = json.dumps(self._filled(call.body)).encode() if call.has_body else call.content
        assert isinstance(content, bytes)
        if content or call.method == "POST":
            connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content or None)

    def _body(self, call: Call, body: bytes, lines: list[str]) -> Any:
        if not call.records_body or not body:
            return "<not recorded>" if body else ""
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            return self.masks.text(body.decode("utf-8", "backslashreplace"))
        for name, path in call.save.items():
            value = content
            for key in path.split("."):
                value = value[int(key)] if isinstance(value, list) else value[key]
            self.saved[name] = value
        if isinstance(content, dict) and "instance" in content:
            assert all(content["instance"] in line for line in lines)
            content["instance"] = "<invocation>"
        return (
            self.masks.json(content)
            if orjson.dumps(orjson.loads(body)) == body
            else {"spaced": self.masks.json(content)}
        )


def _describe(call: Call) -> str:
    """Returns a description of a request; long bodies are cut."""
    content = call.content if isinstance(call.content, bytes) else b"|".join(call.content)
    body = json.dumps(call.body, ensure_ascii=False) if call.has_body else repr(content)[2:-1]
    chunked = "" if call.has_body or isinstance(call.content, bytes) else "in chunks"
    headers = [f"[{name}: {value[:40]}]" for name, value in call.headers]
    return " ".join(filter(None, [call.method, call.path, *headers, chunked, body[:160]]))


class World:
    """The app on a new database, and other programs that use the file."""

    def __init__(self, client: Client, database_file: Path) -> None:
        self.client = client
        self.database_file = database_file
        self._other: sqlite3.Connection | None = None

    def play(self, steps: list[Step] | tuple[Step, ...]) -> list[dict[str, Any]]:
        """Runs the steps and returns the effects of the calls."""
        with log_lines() as log, statements() as executed:
            # Connections that were made before are not traced.
            adapter.connect_with_short_lock_timeout(self.database_file)
            played = []
            for step in steps:
                if isinstance(step, Call):
                    executed.clear()
                    played.append({**self.client.send(step, log), "sql": executed.copy()})
                else:
                    self._disturb(step)
        return played

    def _disturb(self, step: Sql | Lock | ForgetProbes) -> None:
        if isinstance(step, ForgetProbes):
            adapter.forget_probes()
        elif isinstance(step, Sql):
            with sqlite3.connect(self.database_file) as connection:
                connection.execute(step.text)
            connection.close()
        elif step.held:
            self._other = sqlite3.connect(self.database_file, isolation_level=None)
            self._other.execute("BEGIN IMMEDIATE")
        elif self._other is not None:
            self._other.close()


def attributes(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the attributes of a span or data point, without values that differ between runs."""
    masked = {
        name: re.sub(_UUID, "<id>", value) if isinstance(value, str) else value
        for name, value in (values or {}).items()
    }
    return dict(sorted(masked.items()))
