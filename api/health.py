"""Whether the app is alive, and whether its database answers.

`GET /health` is anonymous and touches no database: a serverless one would never sleep under a probe that asks it
every minute. `GET /health?database=1` asks it, at most every `DATABASE_SECONDS`, and needs the function key. A function
has one level of authorization, so that on Azure it is a function of its own to which the anonymous one points.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final, NotRequired, TypedDict
from urllib.parse import urlencode

import azure.functions as func

import settings
from api import __version__
from api.http import Answer, endpoint_of_query, endpoint_without_body
from persistence.database.connections import ping
from persistence.database.errors import UnavailableError
from persistence.database.retries import run_with_retries

DATABASE_SECONDS: Final = 30
"""How long an answer of the database, good or bad, is believed."""

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

_started = time.monotonic()
_asking = threading.Lock()
_seen: tuple[float, Exception | None] | None = None  # when the database was asked, and what went wrong


class Health(TypedDict):
    """A sign of life. `database` is there where it was asked."""

    status: str
    version: str
    uptime_seconds: int
    database: NotRequired[str]


def _health() -> Health:
    return Health(status="ok", version=__version__, uptime_seconds=int(time.monotonic() - _started))


@blueprint.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@endpoint_of_query
def health(query: Mapping[str, str]) -> Answer:
    """Answers whether the app is alive and, with database=1, whether its database is within reach."""
    if query.get("database") != "1":
        return Answer(_health())
    if settings.current().on_azure:
        rest = urlencode({key: value for key, value in query.items() if key != "database"})
        return Answer(b"", 307, headers={"Location": "/health/database" + (f"?{rest}" if rest else "")})
    return _database_health()


@blueprint.route(route="health/database", methods=["GET"])
@endpoint_without_body
def health_database() -> Answer:
    """Answers whether the database is within reach."""
    return _database_health()


def _database_health() -> Answer:
    error = _database_error()
    if error is not None:
        raise UnavailableError from error
    return Answer(Health(**_health(), database="reachable"))


def _database_error() -> Exception | None:
    """What kept the database from answering when it was last asked. Of many probes at once one asks, and none waits."""
    global _seen
    if _seen is not None and time.monotonic() - _seen[0] <= DATABASE_SECONDS:
        return _seen[1]
    if not _asking.acquire(blocking=False):  # those who waited would take all threads from the others
        return _seen[1] if _seen is not None else UnavailableError()
    try:
        error = _failure_of_ping()
        _seen = time.monotonic(), error  # before the next one may ask
    finally:
        _asking.release()
    return error


def _failure_of_ping() -> Exception | None:
    try:
        run_with_retries(ping)  # a pooled connection that died unnoticed is no news of the database
    except Exception as failure:  # noqa: BLE001 - a login that is refused is out of reach, too
        return failure
    return None
