"""The elements of the tables of requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_NOT_GIVEN: Any = object()


@dataclass(frozen=True)
class Call:
    """A request. A string `$name` in `body` or `path` is replaced by the value that an earlier call saved."""

    method: str
    path: str
    body: Any = _NOT_GIVEN
    content: bytes | Sequence[bytes] = b""
    """Sent as it is where there is no `body`; a sequence is sent in chunks."""
    headers: Sequence[tuple[str, str]] = ()
    save: Mapping[str, str] = field(default_factory=dict)
    """Names for values of the response, each by its path: `users.0.user_id`."""
    records_body: bool = True

    @property
    def has_body(self) -> bool:
        return self.body is not _NOT_GIVEN


@dataclass(frozen=True)
class Sql:
    """A statement that another program executes on the database file."""

    text: str


@dataclass(frozen=True)
class Lock:
    """Another program begins a write transaction, or ends it."""

    held: bool


@dataclass(frozen=True)
class ForgetProbes:
    """Removes the results of earlier health checks."""


Step = Call | Sql | Lock | ForgetProbes
Scenarios = Mapping[str, Sequence[Step]]


def post(path: str, body: Any = _NOT_GIVEN, /, **options: Any) -> Call:
    """Returns a POST with a JSON body, or with raw `content=`."""
    return Call("POST", f"/{path}", body, **options)


def get(path: str, **options: Any) -> Call:
    """A GET."""
    return Call("GET", f"/{path}", **options)


def keyed(call: Call, *keys: str) -> Call:
    """Returns the call with one or more idempotency keys."""
    return Call(call.method, call.path, call.body, call.content, [("Idempotency-Key", key) for key in keys], call.save)
