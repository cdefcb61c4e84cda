"""The index of an app: its routes, its timers, and the functions that only the real host can run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import azure.functions as func
from azure.functions.decorators import function_app
from azure.functions.decorators.http import HttpOutput, HttpTrigger
from azure.functions.decorators.timer import TimerTrigger

from devhost.functions import UnsupportedError, read_function
from devhost.routes import Route, read_route
from devhost.timers import Timer, read_timer


class HostJsonError(Exception):
    """host.json cannot be read."""


class Index(NamedTuple):
    """The functions of an app, sorted by name. Routes are matched in this order.

    `unsupported` has one sentence per function that is not served.
    """

    routes: list[Route]
    timers: list[Timer]
    unsupported: list[str]


def read_route_prefix(host_json: Path) -> str:
    """Returns the prefix of every route: `extensions.http.routePrefix`, by default `api`. Raises `HostJsonError`."""
    return str(_read_http(host_json).get("routePrefix", "api")).strip("/")


def read_custom_headers(host_json: Path) -> dict[str, str]:
    """Returns the headers of every response: `extensions.http.customHeaders`. Raises `HostJsonError`."""
    try:
        return {name.lower(): str(value) for name, value in _read_http(host_json).get("customHeaders", {}).items()}
    except AttributeError as error:
        raise HostJsonError(f"{host_json.name} cannot be read: {error}.") from error


def _read_http(host_json: Path) -> dict[str, Any]:
    try:
        settings = json.loads(host_json.read_text("utf-8-sig")) if host_json.exists() else {}
        http: dict[str, Any] = settings.get("extensions", {}).get("http", {})
        http.keys()
    except (ValueError, AttributeError) as error:
        raise HostJsonError(f"{host_json.name} cannot be read: {error}.") from error
    return http


def index_functions(app: func.FunctionApp, route_prefix: str, app_settings: Mapping[str, str] | None = None) -> Index:
    """Returns the functions of `app`, which can be indexed only once. Schedules may refer to `app_settings`."""
    index = Index([], [], [])
    for indexed in sorted(app.get_functions(), key=lambda indexed: str(indexed.get_function_name())):
        try:
            _add(index, indexed, route_prefix, app_settings or {})
        except UnsupportedError as error:
            index.unsupported.append(f"{indexed.get_function_name()}: {error}")
    return index


def _add(index: Index, indexed: function_app.Function, route_prefix: str, app_settings: Mapping[str, str]) -> None:
    trigger = indexed.get_trigger()
    others = [binding for binding in indexed.get_bindings() if binding is not trigger]
    if isinstance(trigger, HttpTrigger):
        if any(not isinstance(binding, HttpOutput) for binding in others):
            raise UnsupportedError("it has a binding besides HTTP")
        index.routes.append(read_route(read_function(indexed, trigger), trigger, route_prefix))
    elif isinstance(trigger, TimerTrigger):
        if others:
            raise UnsupportedError("it has a binding besides its timer")
        index.timers.append(read_timer(read_function(indexed, trigger), trigger, app_settings))
    else:
        raise UnsupportedError("it has neither an HTTP nor a timer trigger")
