"""The function app as the worker indexes it: which functions, with which triggers and signatures."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
import typing
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import azure.functions as func
import pytest
from azure.functions.decorators.function_app import Function
from azure.functions.decorators.http import HttpOutput, HttpTrigger

import function_app
from api import BLUEPRINTS
from persistence.database import connections
from settings import Settings, SettingsError, load

PROJECT = Path(function_app.__file__).resolve().parent


class Served(NamedTuple):
    """Where a function answers, and the module of `api` that has it."""

    module: str
    route: str
    methods: tuple[func.HttpMethod, ...] | None
    """None: every method."""


POST, GET = (func.HttpMethod.POST,), (func.HttpMethod.GET,)
SERVED = {
    "create_user": Served("users", "create_user", POST),
    "delete_user": Served("users", "delete_user", POST),
    "get_users": Served("users", "get_users", POST),
    "update_user": Served("users", "update_user", POST),
    "add_transaction": Served("points", "addTransaction", POST),
    "balance": Served("points", "balance", GET),
    "flush_db": Served("points", "flushDB", None),
    "spend": Served("points", "spend", POST),
    "openapi_json": Served("description", "openapi.json", GET),
}
NAMES = sorted(SERVED)
SERVICES = sorted({served.module for served in SERVED.values()} - {"description"})
DOCS = {
    "docs_index_html": "docs",
    "docs_page_css": "docs/page.css",
    "docs_page_js": "docs/page.js",
    "docs_swagger_ui_bundle_js": "docs/swagger-ui-bundle.js",
    "docs_swagger_ui_css": "docs/swagger-ui.css",
}
"""The functions of the page that API_DOCS turns on, and their routes."""


def _names(*modules: str) -> list[str]:
    return sorted(name for name, served in SERVED.items() if served.module in modules)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings with a database of their own."""
    yield replace(load({}, tmp_path), database_url=f"sqlite:///{tmp_path}/rollbook.db", services=("users", "points"))
    connections.close()


@pytest.fixture
def functions(settings: Settings) -> dict[str, Function]:
    """The functions of an app that was just built, by name."""
    found = function_app.build(settings).get_functions()
    by_name = {str(function.get_function_name()): function for function in found}
    assert len(by_name) == len(found)
    return by_name


def test_the_module_holds_the_app_that_the_worker_looks_for() -> None:
    assert isinstance(function_app.app, func.FunctionApp)


def test_the_app_has_exactly_the_functions_of_its_services_and_their_description(
    functions: dict[str, Function],
) -> None:
    assert sorted(functions) == NAMES


def test_the_services_are_those_whose_functions_are_known_here() -> None:
    assert sorted(BLUEPRINTS) == SERVICES


def test_no_two_functions_answer_at_one_place(functions: dict[str, Function]) -> None:
    # The host compares routes without regard to case.
    routes = [str(getattr(function.get_trigger(), "route", "")).lower() for function in functions.values()]
    assert len({*routes}) == len(routes) == len(NAMES)


def test_an_app_can_be_built_again_with_the_same_functions(settings: Settings) -> None:
    built = [function_app.build(settings), function_app.build(settings)]
    names = [sorted(str(function.get_function_name()) for function in app.get_functions()) for app in built]
    assert names == [NAMES, NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_a_function_answers_its_methods_at_its_route_and_asks_for_a_function_key(
    functions: dict[str, Function], name: str
) -> None:
    trigger = functions[name].get_trigger()
    assert isinstance(trigger, HttpTrigger)
    methods = SERVED[name].methods
    assert trigger.methods == (None if methods is None else [*methods])
    assert trigger.route == SERVED[name].route
    assert trigger.auth_level == func.AuthLevel.FUNCTION


@pytest.mark.parametrize("name", _names("users"))
def test_a_function_of_the_users_service_answers_post_alone_at_its_own_name(
    functions: dict[str, Function], name: str
) -> None:
    trigger = functions[name].get_trigger()
    assert isinstance(trigger, HttpTrigger)
    assert (trigger.methods, trigger.route) == ([func.HttpMethod.POST], name)


@pytest.mark.parametrize("name", NAMES)
def test_a_function_is_bound_to_http_and_to_nothing_else(functions: dict[str, Function], name: str) -> None:
    bindings = functions[name].get_bindings()
    assert sorted(str(binding.name) for binding in bindings) == ["$return", "req"]
    assert {type(binding) for binding in bindings} == {HttpTrigger, HttpOutput}


@pytest.mark.parametrize("name", NAMES)
def test_the_worker_reads_the_parameters_and_types_of_a_function(functions: dict[str, Function], name: str) -> None:
    handler: Any = functions[name].get_user_function()
    assert list(inspect.signature(handler).parameters) == ["req", "context"]
    assert typing.get_type_hints(handler) == {
        "req": func.HttpRequest,
        "context": func.Context,
        "return": func.HttpResponse,
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_function_is_plain_and_keeps_its_name_and_its_words(functions: dict[str, Function], name: str) -> None:
    handler: Any = functions[name].get_user_function()
    assert not inspect.iscoroutinefunction(handler), "a blocking call in a coroutine stops every other request"
    assert handler.__name__ == name
    assert handler.__module__ == f"api.{SERVED[name].module}"
    assert handler.__doc__


def test_the_module_of_a_service_has_its_name() -> None:
    assert [*BLUEPRINTS.values()] == [f"api.{service}" for service in BLUEPRINTS]


def test_building_opens_the_database_of_the_settings(settings: Settings, tmp_path: Path) -> None:
    function_app.build(settings)
    assert (tmp_path / "rollbook.db").exists()
    with connections.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM users").scalar_one() == 0


@pytest.mark.parametrize("services", [("payroll",), ("users", "payroll"), ("payroll", "users"), ("Users",)])
def test_an_unknown_service_is_refused_and_the_known_ones_are_named(
    settings: Settings, tmp_path: Path, services: tuple[str, ...]
) -> None:
    unknown = next(name for name in services if name not in SERVICES)
    with pytest.raises(SettingsError) as caught:
        function_app.build(replace(settings, services=services))
    assert str(caught.value).startswith(f"SERVICES names {unknown};")
    assert all(name in str(caught.value) for name in BLUEPRINTS)
    assert not (tmp_path / "rollbook.db").exists()


def test_every_unknown_service_is_named_at_once(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r"^SERVICES names payroll, ledger;"):
        function_app.build(replace(settings, services=("payroll", "users", "ledger")))


def test_a_service_that_is_left_out_has_no_functions(settings: Settings) -> None:
    functions = function_app.build(replace(settings, services=())).get_functions()
    assert [function.get_function_name() for function in functions] == _names("description") == ["openapi_json"]


@pytest.mark.parametrize(
    "services", [some for count in range(1, len(SERVICES) + 1) for some in permutations(SERVICES, count)]
)
def test_the_functions_are_those_of_the_enabled_services_in_whatever_order_they_are_named(
    settings: Settings, services: tuple[str, ...]
) -> None:
    functions = function_app.build(replace(settings, services=services)).get_functions()
    assert sorted(str(function.get_function_name()) for function in functions) == _names(*services, "description")


def _modules_of_an_app(tmp_path: Path, package: str = "api", **environment: str) -> list[str]:
    """The modules of a package that a process has loaded when its app is built."""
    program = f"import sys, function_app; print(sorted(name for name in sys.modules if name.startswith('{package}.')))"
    inherited = {name: os.environ[name] for name in ("PATH", "SETTINGS_FOLDER")}
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/alone.db", **inherited, **environment}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    modules: list[str] = ast.literal_eval(ran.stdout)
    return modules


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_enabled_alone_loads_no_other(tmp_path: Path, service: str) -> None:
    # An import is paid for at every cold start.
    loaded = _modules_of_an_app(tmp_path, SERVICES=service, API_DOCS="off")
    assert loaded == sorted(["api.http", "api.problems", "api.description", f"api.{service}"])


def test_the_page_is_loaded_where_it_is_wanted_and_nowhere_else(tmp_path: Path) -> None:
    loaded = {switch: _modules_of_an_app(tmp_path, SERVICES="users", API_DOCS=switch) for switch in ("on", "off")}
    assert loaded["on"] == sorted([*loaded["off"], "api.docs"])


def test_the_page_is_anonymous_and_answers_get_alone(settings: Settings) -> None:
    functions = function_app.build(replace(settings, api_docs=True)).get_functions()
    by_name = {str(function.get_function_name()): function for function in functions}
    assert len(by_name) == len(functions)
    assert sorted(by_name) == sorted([*NAMES, *DOCS])
    for name, route in DOCS.items():
        trigger = by_name[name].get_trigger()
        assert isinstance(trigger, HttpTrigger)
        assert (trigger.route, trigger.methods) == (route, [func.HttpMethod.GET])
        assert trigger.auth_level == func.AuthLevel.ANONYMOUS
    for name in NAMES:  # which ask for a key beside it as well
        trigger = by_name[name].get_trigger()
        assert isinstance(trigger, HttpTrigger)
        assert trigger.auth_level == func.AuthLevel.FUNCTION


def test_the_health_check_is_loaded_where_it_is_wanted_and_nowhere_else(tmp_path: Path) -> None:
    loaded = {
        switch: _modules_of_an_app(tmp_path, SERVICES="users", HEALTH_CHECK=switch) for switch in ("on", "off", "")
    }
    assert loaded["off"] == loaded[""]
    assert loaded["on"] == sorted([*loaded["off"], "api.health"])


def test_a_sign_of_life_is_anonymous_and_what_asks_the_database_wants_a_key(settings: Settings) -> None:
    functions = function_app.build(replace(settings, health_check=True)).get_functions()
    by_name = {str(function.get_function_name()): function for function in functions}
    assert len(by_name) == len(functions)
    assert sorted(by_name) == sorted([*NAMES, "health", "health_database"])
    for name, route, level in (
        ("health", "health", func.AuthLevel.ANONYMOUS),
        ("health_database", "health/database", func.AuthLevel.FUNCTION),
    ):
        trigger = by_name[name].get_trigger()
        assert isinstance(trigger, HttpTrigger)
        assert (trigger.route, trigger.methods, trigger.auth_level) == (route, [func.HttpMethod.GET], level)
        handler: Any = by_name[name].get_user_function()
        assert list(inspect.signature(handler).parameters) == ["req", "context"]


def test_nothing_but_the_functions_of_health_is_there_for_health(settings: Settings) -> None:
    names = [str(function.get_function_name()) for function in function_app.build(settings).get_functions()]
    assert not [name for name in names if "health" in name]


def test_telemetry_is_loaded_where_it_is_wanted_and_nowhere_else(tmp_path: Path) -> None:
    assert _modules_of_an_app(tmp_path, "opentelemetry", TELEMETRY="off") == []
    assert _modules_of_an_app(tmp_path, "opentelemetry", TELEMETRY="on")


def test_without_swagger_ui_the_page_is_refused_and_the_package_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "flask_swagger_ui", None)  # as Python notes what cannot be imported
    with pytest.raises(SettingsError, match=r"^API_DOCS .*\bflask-swagger-ui\b"):
        function_app.build(replace(settings, api_docs=True))
    assert not (tmp_path / "rollbook.db").exists()
    assert function_app.build(settings).get_functions(), "nothing but the page needs it"


def test_the_page_brings_no_web_framework(tmp_path: Path) -> None:
    assert _modules_of_an_app(tmp_path, "flask", API_DOCS="on") == []
    assert _modules_of_an_app(tmp_path, "azure", API_DOCS="on"), "the question would be answered"


def test_every_service_can_be_enabled_at_once(settings: Settings) -> None:
    app = function_app.build(replace(settings, services=tuple(BLUEPRINTS)))
    assert sorted(str(function.get_function_name()) for function in app.get_functions()) == NAMES


def test_the_host_serves_routes_without_a_prefix() -> None:
    host = json.loads((PROJECT / "host.json").read_text("utf-8"))
    assert host["version"] == "2.0"
    assert host["extensions"]["http"]["routePrefix"] == ""
