"""Health checks of the app and of its database.

`GET /health` is anonymous and does not use the database: a probe every minute would keep a serverless one awake. `GET
/health?database=1` probes the database, at most every `PROBE_SECONDS`, and requires the function key. A function has
one level of authorization, so on Azure this request is redirected to the function `/health/database`.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Final, NamedTuple, NotRequired, TypedDict
from urllib.parse import urlencode

from pydantic import ConfigDict

from api import __version__, load_services
from api.http.auth import Anonymous
from api.http.requests import OPTIONAL, Request
from api.http.responses import Response
from api.http.service import Service
from persistence.database.connections import logins_fail
from persistence.database.errors import DatabaseLoginError, UnavailableError
from persistence.database.retries import run_with_retries
from persistence.migrations.state import SchemaState, migration_branches, schema_state
from settings import Settings

PROBE_SECONDS: Final = 30
"""How long the result of a probe is reused, whether it succeeded or failed."""

CHECK_SECONDS: Final = 0.1
"""How often a call that waits for the probe of another one checks whether waiting still makes sense."""


class SchemaOutdatedError(UnavailableError):
    """The database lacks a migration that this version requires."""

    code = "schema-outdated"
    detail = "The database lacks migrations of this version: python -m admin migrate applies them."


class Probe(NamedTuple):
    """A finished probe of the database: when it ended (`time.monotonic()`), and its schema or its error."""

    ended: float
    schema: SchemaState | None = None
    error: Exception | None = None


_started = time.monotonic()
_probe_lock = threading.Lock()
_waiter = threading.BoundedSemaphore(1)
_last_probe: Probe | None = None


class Health(TypedDict):
    """The app is alive. `database` is present if it was probed, `schema` if it is newer than the app."""

    status: str
    version: str
    uptime_seconds: int
    database: NotRequired[str]
    schema: NotRequired[str]


class HealthQuery(Request):
    """The query of `/health`: `database=1` probes the database. A redirect keeps every other parameter."""

    model_config = ConfigDict(extra="allow")

    database: str = OPTIONAL
    code: str = OPTIONAL  # the function key; only a model that declares it receives it


service = Service("health", enabled=lambda settings: settings.health_check)


@service.endpoint("health", methods="GET", auth=Anonymous(), query=HealthQuery, ignore_body=True, returns={200: Health})
def health(query: HealthQuery, settings: Settings) -> Response:
    """Returns whether the app is alive and, with database=1, whether its database is."""
    if query.database != "1":
        return Response(_alive())
    if settings.on_azure:
        rest = urlencode(query.model_dump(exclude_unset=True, exclude={"database"}))
        return Response(b"", 307, headers={"Location": "/health/database" + (f"?{rest}" if rest else "")})
    return _database_health(settings)


@service.endpoint("health_database", methods="GET", route="health/database", ignore_body=True, returns={200: Health})
def health_database(settings: Settings) -> Response:
    """Returns whether the database can be reached and has the schema that this version requires."""
    return _database_health(settings)


def _alive() -> Health:
    return Health(status="ok", version=__version__, uptime_seconds=int(time.monotonic() - _started))


def _database_health(settings: Settings) -> Response:
    probe = _probe_database(settings)
    if probe is not None and isinstance(probe.error, DatabaseLoginError):
        raise DatabaseLoginError from probe.error.__cause__
    if probe is None or probe.error is not None:
        raise UnavailableError from (probe and probe.error)
    if probe.schema == "outdated":
        raise SchemaOutdatedError
    reachable = Health(**_alive(), database="reachable")
    return Response({**reachable, "schema": "newer"} if probe.schema == "newer" else reachable)


def _probe_database(settings: Settings) -> Probe | None:
    """Returns the last probe or a new one, or None if neither is available within the retry budget.

    Only one of several concurrent calls probes. The others get the previous probe, unless it is older than
    `PROBE_SECONDS` and the budget together. Without such a probe one call waits for the new one and the rest get None,
    so hanging probes never occupy more than two threads, and only one while logins fail.
    """
    budget = settings.db_retry_seconds
    if (last := _recent_probe(PROBE_SECONDS)) is not None:
        return last
    if _probe_lock.acquire(blocking=False):
        return _probe_and_release(settings)
    if (last := _recent_probe(PROBE_SECONDS + budget)) is not None:
        return last
    if not _waiter.acquire(blocking=False):
        return None
    try:
        return _probe_and_release(settings) if _wait_for_probe(budget) else None
    finally:
        _waiter.release()


def _wait_for_probe(seconds: float) -> bool:
    """Returns whether this call acquired `_probe_lock`. It stops waiting when logins fail, as in an outage."""
    deadline = time.monotonic() + seconds
    while not _probe_lock.acquire(timeout=CHECK_SECONDS):
        if logins_fail() or time.monotonic() >= deadline:
            return False
    return True


def _recent_probe(seconds: float) -> Probe | None:
    """Returns the last probe, or None if it ended more than `seconds` ago."""
    last = _last_probe
    return last if last is not None and time.monotonic() - last.ended <= seconds else None


def _probe_and_release(settings: Settings) -> Probe:
    """Returns a new probe, or a recent one of another call. Releases `_probe_lock`, which the caller holds."""
    global _last_probe
    try:
        if (last := _recent_probe(PROBE_SECONDS)) is not None:
            return last
        _last_probe = _new_probe(settings)
        return _last_probe
    finally:
        _probe_lock.release()


def _new_probe(settings: Settings) -> Probe:
    branches = migration_branches(service.name for service in load_services(settings.services))
    try:
        # Retried: a stale pooled connection does not mean that the database is unreachable.
        schema = run_with_retries(partial(schema_state, branches))
    except Exception as error:  # noqa: BLE001 - also a rejected login means unavailable
        return Probe(time.monotonic(), error=error)
    return Probe(time.monotonic(), schema)
