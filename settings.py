"""The only reader of the environment: environment variables, then `.env`, then the `Values` of `local.settings.json`.

A setting that is unset or blank has its default. A service declares its own settings as a dataclass of `switch`,
`number` and `text` fields, and gets an instance from `Settings.section`. docs/settings.md lists all settings.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from dotenv import dotenv_values

PROJECT: Final = Path(__file__).resolve().parent

Values = Mapping[str, str]
S = TypeVar("S")


class SettingsError(Exception):
    """A setting that the app cannot start with; the message names the setting and the permitted values."""


# ---- declarations: fields of dataclasses, each with the function that reads it


def switch(name: str, *, default: bool) -> Any:
    """A field that is on or off."""
    return _field(default, functools.partial(_switch, name=name, default=default))


def number(name: str, *, default: int, least: int, most: int) -> Any:
    """A field that is a whole number."""
    return _field(default, functools.partial(_number, name=name, default=default, least=least, most=most))


def text(name: str, *, default: str = "", secret: bool = False) -> Any:
    """A field that is any text. `repr()` leaves a secret out."""
    return _field(default, lambda values: values.get(name, default), shown=not secret)


def _field(default: object, read: Callable[[Values], object], *, shown: bool = True) -> Any:
    return field(default=default, repr=shown, metadata={"read": read})


def _read(section: type[S], values: Values) -> dict[str, Any]:
    return {
        declared.name: declared.metadata["read"](values)
        for declared in fields(section)  # type: ignore[arg-type]  # a dataclass
        if "read" in declared.metadata
    }


def _switch(values: Values, name: str, *, default: bool) -> bool:
    if name not in values:
        return default
    value = values[name].lower()
    if value not in ("on", "off", "true", "false"):
        raise SettingsError(f"{name} must be on or off, not {values[name]!r}.")
    return value in ("on", "true")


def _number(values: Values, name: str, *, default: int, least: int, most: int) -> int:
    value = values.get(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) <= 9 and least <= int(value) <= most):
        raise SettingsError(f"{name} must be a whole number from {least} to {most}, not {value!r}.")
    return int(value)


# ---- the settings of the app itself

_THREADS: Final = min(32, (os.cpu_count() or 1) + 4)  # the worker's own default


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of this process. `threads` is the size of the worker's thread pool."""

    database_url: str = field(repr=False)  # a password may be part of it
    services: tuple[str, ...]
    on_azure: bool
    timers: bool
    idempotency_hours: int = number("IDEMPOTENCY_HOURS", default=24, least=1, most=8760)
    threads: int = number("PYTHON_THREADPOOL_THREAD_COUNT", default=_THREADS, least=1, most=1000)
    db_pool_recycle_seconds: int = number("DB_POOL_RECYCLE_SECONDS", default=1800, least=1, most=86400)
    db_retry_seconds: int = number("DB_RETRY_SECONDS", default=20, least=1, most=200)
    api_docs: bool = switch("API_DOCS", default=False)
    health_check: bool = switch("HEALTH_CHECK", default=False)
    telemetry: bool = switch("TELEMETRY", default=False)
    applicationinsights_connection_string: str = text("APPLICATIONINSIGHTS_CONNECTION_STRING", secret=True)
    applicationinsights_authentication_string: str = text("APPLICATIONINSIGHTS_AUTHENTICATION_STRING")
    host: str = text("HOST", default="127.0.0.1")
    port: int = number("PORT", default=7071, least=0, most=65535)
    values: Values = field(default_factory=dict, repr=False, compare=False)  # passwords may be among them

    def section(self, declared: type[S]) -> S:
        """The settings that a service declares. Raises `SettingsError`."""
        return declared(**_read(declared, self.values))


@functools.cache
def current() -> Settings:
    """The settings of this process, read once. `SETTINGS_FOLDER` names another folder for the two files."""
    return load(os.environ, Path(os.environ.get("SETTINGS_FOLDER", "").strip() or PROJECT))


def load(environment: Mapping[str, str], folder: Path) -> Settings:
    """Settings from `environment` and the two files of `folder`. Raises `SettingsError`."""
    values: dict[str, str] = {}
    # Azure sets it; local settings must not give the app a SQLite there.
    on_azure = bool(environment.get("WEBSITE_SITE_NAME", "").strip())
    local = {} if on_azure else _local_settings(folder / "local.settings.json")
    for source in (local, _dotenv(folder / ".env"), environment):
        # Blanks are left out source by source: a blank value hides nothing.
        values |= {name: value.strip() for name, value in source.items() if value and value.strip()}
    return Settings(
        **_read(Settings, values),
        database_url=_database_url(values, on_azure=on_azure),
        services=_services(values),
        on_azure=on_azure,
        timers=_timers(values),
        values=values,
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


def _services(values: Values) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in values.get("SERVICES", "users").split(",") if name.strip()))
    if not names:
        raise SettingsError("SERVICES names no service.")
    return names


def _database_url(values: Values, *, on_azure: bool) -> str:
    if url := values.get("DATABASE_URL"):
        return url
    if on_azure:  # a file there is lost with its instance
        raise SettingsError(
            "DATABASE_URL is not set. On Azure it must be the ODBC connection string of the Azure SQL database "
            "(Azure portal, Connection strings, ODBC) or an mssql+pyodbc:// URL."
        )
    return "sqlite:///rollbook.db"


def _timers(values: Values) -> bool:
    """Whether timers can run: the host keeps their leases in storage; the development host sets TIMERS instead."""
    has_storage = any(values.get(name) for name in ("AzureWebJobsStorage", "AzureWebJobsStorage__accountName"))
    return _switch(values, "TIMERS", default=has_storage)
