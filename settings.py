"""The only reader of the environment: environment variables, then `.env`, then the `Values` of `local.settings.json`.

A setting that is unset or blank has its default. README lists them all.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

PROJECT = Path(__file__).resolve().parent


class SettingsError(Exception):
    """A setting that the app cannot start with; the message names it and says what it may be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says, parsed. `threads` is the size of the worker's thread pool."""

    database_url: str
    services: tuple[str, ...]
    pan_holder_check: bool
    points_allow_flush: bool
    idempotency_hours: int
    threads: int
    db_pool_recycle_seconds: int
    db_retry_seconds: int
    api_docs: bool
    health_check: bool
    telemetry: bool
    applicationinsights_connection_string: str
    applicationinsights_authentication_string: str
    on_azure: bool
    host: str
    port: int


@functools.cache
def current() -> Settings:
    """The settings of this process, read once. `SETTINGS_FOLDER` names another folder for the two files."""
    return load(os.environ, Path(os.environ.get("SETTINGS_FOLDER", "").strip() or PROJECT))


def load(environment: Mapping[str, str], folder: Path) -> Settings:
    """Settings from `environment` and the two files of `folder`. Refuses with `SettingsError`."""
    given: dict[str, str] = {}
    # Azure sets it; local settings must not give the app a SQLite there.
    on_azure = bool(environment.get("WEBSITE_SITE_NAME", "").strip())
    local = {} if on_azure else _local_settings(folder / "local.settings.json")
    for values in (local, _dotenv(folder / ".env"), environment):
        # Blanks are left out source by source: a blank value hides nothing.
        given |= {name: value.strip() for name, value in values.items() if value and value.strip()}
    return Settings(
        database_url=_database_url(given, on_azure=on_azure),
        services=_services(given),
        pan_holder_check=_switch(given, "PAN_HOLDER_CHECK", default=True),
        points_allow_flush=_switch(given, "POINTS_ALLOW_FLUSH", default=False),
        idempotency_hours=_number(given, "IDEMPOTENCY_HOURS", default=24, least=1, most=8760),
        threads=_number(
            given, "PYTHON_THREADPOOL_THREAD_COUNT", default=min(32, (os.cpu_count() or 1) + 4), least=1, most=1000
        ),
        db_pool_recycle_seconds=_number(given, "DB_POOL_RECYCLE_SECONDS", default=1800, least=1, most=86400),
        db_retry_seconds=_number(given, "DB_RETRY_SECONDS", default=20, least=1, most=200),
        api_docs=_switch(given, "API_DOCS", default=False),
        health_check=_switch(given, "HEALTH_CHECK", default=False),
        telemetry=_switch(given, "TELEMETRY", default=False),
        applicationinsights_connection_string=given.get("APPLICATIONINSIGHTS_CONNECTION_STRING", ""),
        applicationinsights_authentication_string=given.get("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", ""),
        on_azure=on_azure,
        host=given.get("HOST", "127.0.0.1"),
        port=_number(given, "PORT", default=7071, least=0, most=65535),
    )


def _dotenv(path: Path) -> dict[str, str | None]:
    try:
        return dotenv_values(path, interpolate=False)  # a password may hold ${
    except UnicodeDecodeError:
        raise SettingsError(f"{path.name} is not text in UTF-8.") from None


def _local_settings(path: Path) -> dict[str, str | None]:
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text("utf-8-sig"))["Values"]
        return {str(name): None if value is None else str(value) for name, value in values.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path.name} is not a JSON object with an object named Values.") from error


def _services(given: Mapping[str, str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in given.get("SERVICES", "users").split(",") if name.strip()))
    if not names:
        raise SettingsError("SERVICES names no service.")
    return names


def _database_url(given: Mapping[str, str], *, on_azure: bool) -> str:
    if url := given.get("DATABASE_URL"):
        return url
    if on_azure:  # a file there is lost with its instance
        raise SettingsError(
            "DATABASE_URL is not set. On Azure it must be the ODBC connection string of the Azure SQL database "
            "(Azure portal, Connection strings, ODBC) or an mssql+pyodbc:// URL."
        )
    return "sqlite:///rollbook.db"


def _switch(given: Mapping[str, str], name: str, *, default: bool) -> bool:
    if name not in given:
        return default
    value = given[name].lower()
    if value not in ("on", "off", "true", "false"):
        raise SettingsError(f"{name} must be on or off, not {given[name]!r}.")
    return value in ("on", "true")


def _number(given: Mapping[str, str], name: str, *, default: int, least: int, most: int) -> int:
    value = given.get(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) <= 9 and least <= int(value) <= most):
        raise SettingsError(f"{name} must be a whole number from {least} to {most}, not {value!r}.")
    return int(value)
