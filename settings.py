"""The only reader of the environment: environment variables, then `.env`, then the `Values` of `local.settings.json`.

An unset or blank setting has its default. A service declares its settings as a dataclass of `switch`, `number`,
`fraction`, `text` and `parsed` fields, and gets an instance from `Settings.section`. docs/settings.md lists all.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, TypeVar

from dotenv import dotenv_values

PROJECT: Final = Path(__file__).resolve().parent

Values = Mapping[str, str]
S = TypeVar("S")


class SettingsError(Exception):
    """A setting prevents the start. The message names the setting and what it permits."""


# ---- declarations: fields of dataclasses, each with the function that reads it


def switch(name: str, *, default: bool) -> Any:
    """Returns a dataclass field for a setting that is on or off (or true or false)."""
    return _field(default, functools.partial(_switch, name=name, default=default))


def number(name: str, *, default: int, least: int, most: int) -> Any:
    """Returns a dataclass field for a whole number from `least` to `most`."""
    return _field(default, functools.partial(_number, name=name, default=default, least=least, most=most))


def thread_count() -> Any:
    """Returns a dataclass field for the size of the worker's thread pool."""
    # The default is the worker's own.
    return number("PYTHON_THREADPOOL_THREAD_COUNT", default=min(32, (os.cpu_count() or 1) + 4), least=1, most=1000)


def fraction(name: str, *, default: float) -> Any:
    """Returns a dataclass field for a number from 0 to 1, such as 0.1."""
    return _field(default, functools.partial(_fraction, name=name, default=default))


def text(name: str, *, default: str = "", secret: bool = False) -> Any:
    """Returns a dataclass field for any text in UTF-8. `repr()` omits a secret."""
    return _field(default, functools.partial(_text, name=name, default=default), shown=not secret)


def parsed(name: str, *, default: str, parse: Callable[[str], object]) -> Any:
    """Returns a dataclass field for the result of `parse`, which raises `ValueError` with what the value must be."""
    return _field(parse(default), functools.partial(_parsed, name=name, default=default, parse=parse))


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


def _text(values: Values, name: str, *, default: str) -> str:
    value = values.get(name, default)
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes of the environment that are not UTF-8 are lone surrogates in os.environ
        raise SettingsError(f"{name} is not text in UTF-8.") from None
    return value


def _parsed(values: Values, name: str, *, default: str, parse: Callable[[str], object]) -> object:
    value = values.get(name, default)
    try:
        return parse(value)
    except ValueError as error:
        raise SettingsError(f"{name} must be {error}, not {value!r}.") from None


def _fraction(values: Values, name: str, *, default: float) -> float:
    value = values.get(name, str(default))
    if not re.fullmatch(r"0(\.[0-9]{1,9})?|1(\.0{1,9})?", value):
        raise SettingsError(f"{name} must be a number from 0 to 1, such as 0.1, not {value!r}.")
    return float(value)


# ---- the settings of the app itself


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of an app. `threads` is the size of the worker's thread pool."""

    database_url: str = field(repr=False)  # may contain a password
    services: tuple[str, ...]
    on_azure: bool
    timers: bool
    idempotency_hours: int = number("IDEMPOTENCY_HOURS", default=24, least=1, most=8760)
    threads: int = thread_count()
    db_pool_recycle_seconds: int = number("DB_POOL_RECYCLE_SECONDS", default=1800, least=1, most=86400)
    db_pool_idle_seconds: int = number("DB_POOL_IDLE_SECONDS", default=120, least=1, most=86400)
    db_retry_seconds: int = number("DB_RETRY_SECONDS", default=20, least=1, most=200)
    db_read_seconds: int = number("DB_READ_SECONDS", default=30, least=1, most=200)
    db_write_seconds: int = number("DB_WRITE_SECONDS", default=10, least=1, most=200)
    api_docs: bool = switch("API_DOCS", default=False)
    health_check: bool = switch("HEALTH_CHECK", default=False)
    telemetry: bool = switch("TELEMETRY", default=False)
    telemetry_sampling: float = fraction("TELEMETRY_SAMPLING", default=0.1)
    applicationinsights_connection_string: str = text("APPLICATIONINSIGHTS_CONNECTION_STRING", secret=True)
    applicationinsights_authentication_string: str = text("APPLICATIONINSIGHTS_AUTHENTICATION_STRING")
    host: str = text("HOST", default="127.0.0.1")
    port: int = number("PORT", default=7071, least=0, most=65535)
    values: Values = field(default_factory=dict, repr=False, compare=False)  # may contain passwords

    def section(self, declared: type[S]) -> S:
        """Returns an instance of the dataclass `declared` with the values of its settings. Raises `SettingsError`."""
        return declared(**_read(declared, self.values))

    @property
    def permits_samples(self) -> bool:
        """Whether sample accounts are made and can sign in: their password is public, so only on loopback."""
        return not self.on_azure and _is_loopback(self.host)


@functools.cache
def current() -> Settings:
    """Returns the settings of this process, read once. Raises `SettingsError`.

    The environment variable `SETTINGS_FOLDER` names another folder for the two files.
    """
    return load(os.environ, _folder())


def load(environment: Mapping[str, str], folder: Path) -> Settings:
    """Returns the settings in `environment` and in the two files in `folder`. Raises `SettingsError`."""
    on_azure = bool(environment.get("WEBSITE_SITE_NAME", "").strip())
    values = _values(environment, folder, on_azure=on_azure)
    return Settings(
        **_read(Settings, values),
        database_url=_database_url(values, on_azure=on_azure),
        services=_services(values),
        on_azure=on_azure,
        timers=_timers(values),
        values=values,
    )


def _folder() -> Path:
    return Path(os.environ.get("SETTINGS_FOLDER", "").strip() or PROJECT)


def _values(environment: Mapping[str, str], folder: Path, *, on_azure: bool) -> dict[str, str]:
    values: dict[str, str] = {}
    # On Azure, local settings must not make the app use SQLite.
    local = {} if on_azure else _local_values(folder / "local.settings.json")
    for source in (local, _dotenv(folder / ".env"), environment):
        # Blank values are dropped per source, so they do not hide values of a lower source.
        values |= {name: value.strip() for name, value in source.items() if value and value.strip()}
    return values


def _dotenv(path: Path) -> dict[str, str | None]:
    try:
        return dotenv_values(path, interpolate=False)  # a password may contain ${
    except UnicodeDecodeError:
        raise SettingsError(f"{path.name} is not text in UTF-8.") from None


def _local_values(path: Path) -> dict[str, str | None]:
    values = _local_settings(path).get("Values", {})
    return {str(name): None if value is None else str(value) for name, value in values.items()}


def _local_settings(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8-sig"))
        content["Values"].items()
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path.name} is not a JSON object with an object named Values.") from error
    return content


def _services(values: Values) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in values.get("SERVICES", "users").split(",") if name.strip()))
    if not names:
        raise SettingsError("SERVICES names no service.")
    return names


def _database_url(values: Values, *, on_azure: bool) -> str:
    if url := values.get("DATABASE_URL"):
        return url
    if on_azure:  # a file is lost with the instance
        raise SettingsError(
            "DATABASE_URL is not set. On Azure it must be the ODBC connection string of the Azure SQL database "
            "(Azure portal, Connection strings, ODBC) or an mssql+pyodbc:// URL."
        )
    return "sqlite:///rollbook.db"


def _timers(values: Values) -> bool:
    """Returns whether timers can run: the host needs storage for their leases, the development host sets TIMERS."""
    has_storage = any(values.get(name) for name in ("AzureWebJobsStorage", "AzureWebJobsStorage__accountName"))
    return _switch(values, "TIMERS", default=has_storage)


def _is_loopback(host: str) -> bool:
    """Returns whether `host` is loopback by itself; other names than localhost are not resolved."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


# ---- the settings of the development host

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Cors:
    """The further web origins (in lower case) that may call the development host; `*` alone means all origins."""

    origins: tuple[str, ...] = ()
    credentials: bool = False

    @property
    def any_origin(self) -> bool:
        """Whether every origin may call the development host."""
        return self.origins == ("*",)

    def allows(self, origin: str | None) -> bool:
        """Returns whether requests of `origin` may be served; None means a request without `Origin`."""
        return self.any_origin or (origin is not None and origin.lower() in self.origins)


def enable_timers() -> None:
    """Sets `TIMERS=on` unless it is set, so that the app registers its timers without storage.

    The development host, which runs timers itself, calls this before `current()`. Raises `SettingsError`.
    """
    if "TIMERS" not in load(os.environ, _folder()).values:
        os.environ["TIMERS"] = "on"


def load_cors(folder: Path | None = None) -> Cors:
    """Returns `Host.CORS` and `Host.CORSCredentials` of local.settings.json. Raises `SettingsError`.

    `folder` contains the file; by default it is the folder of `current()`.
    """
    host = _local_settings((folder or _folder()) / "local.settings.json").get("Host") or {}
    if not isinstance(host, dict):
        raise SettingsError("Host in local.settings.json must be an object.")
    listed, credentials = host.get("CORS") or "", host.get("CORSCredentials") or False
    if not isinstance(listed, str):
        raise SettingsError("Host.CORS in local.settings.json must be a string: origins separated by commas, or *.")
    if not isinstance(credentials, bool):
        raise SettingsError("Host.CORSCredentials in local.settings.json must be true or false.")
    origins = tuple(dict.fromkeys(origin.strip().lower() for origin in listed.split(",") if origin.strip()))
    cors = Cors(origins, credentials)
    if cors.any_origin and credentials:
        raise SettingsError("Host.CORSCredentials in local.settings.json needs origins by name: browsers reject *.")
    if not cors.any_origin and (wrong := [origin for origin in origins if not _ORIGIN.fullmatch(origin)]):
        raise SettingsError(
            f"Host.CORS in local.settings.json has {wrong[0]!r}; an origin is scheme://name or scheme://name:port, "
            "and * stands alone."
        )
    return cors
