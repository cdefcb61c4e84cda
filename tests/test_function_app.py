"""The function app as the worker indexes it: functions, triggers, signatures, imports."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import sys
import typing
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import azure.functions as func
import pytest
from azure.functions.decorators.function_app import Function
from azure.functions.decorators.http import HttpOutput, HttpTrigger
from azure.functions.decorators.timer import TimerTrigger

import api
import function_app
from api.http.service import Service
from persistence.database import connections
from settings import Settings, SettingsError, load
from tests.api.http import toy

pytestmark = pytest.mark.slow

PROJECT = Path(function_app.__file__).resolve().parent
FUNCTION, ANONYMOUS = func.AuthLevel.FUNCTION, func.AuthLevel.ANONYMOUS
POST, GET, ANY = ("POST",), ("GET",), ()


class Served(NamedTuple):
    """The service of a function, the module of its handler, and its trigger."""

    service: str
    module: str
    route: str
    methods: tuple[str, ...] = POST
    level: func.AuthLevel = FUNCTION


def _account(route: str) -> Served:
    return Served("accounts", "api.accounts.endpoints", route, POST, ANONYMOUS)


def _calculator(route: str, methods: tuple[str, ...] = POST) -> Served:
    return Served("calculator", "api.calculator.endpoints", f"api/v1/{route}", methods, ANONYMOUS)


def _ecgs(route: str, methods: tuple[str, ...] = GET) -> Served:
    return Served("ecgs", "api.ecgs.endpoints", f"ecgs{route}", methods, ANONYMOUS)


def _invoices(route: str, methods: tuple[str, ...] = POST) -> Served:
    return Served("invoices", "api.invoices.endpoints", f"api/{route}", methods)


SERVED = {
    "create_user": Served("users", "api.users.endpoints", "create_user"),
    "create_users": Served("users", "api.users.bulk", "create_users"),
    "delete_user": Served("users", "api.users.endpoints", "delete_user"),
    "get_users": Served("users", "api.users.endpoints", "get_users"),
    "get_users_masked": Served("users", "api.users.masked", "get_users_masked"),
    "update_user": Served("users", "api.users.endpoints", "update_user"),
    "get_user_history": Served("users", "api.users.history", "get_user_history"),
    "get_changes": Served("users", "api.users.history", "get_changes"),
    "add_transaction": Served("points", "api.points", "addTransaction"),
    "balance": Served("points", "api.points", "balance", GET),
    "flush_db": Served("points", "api.points", "flushDB", ANY),
    "spend": Served("points", "api.points", "spend"),
    "accounts_sign_in": _account("api/v1/sign-in"),
    "accounts_login": _account("login"),
    "accounts_sign_out": _account("api/v1/sign-out"),
    "accounts_change_password": _account("api/v1/change-password"),
    "accounts_create_user": _account("create-user"),
    "accounts_delete_user": _account("delete-user/{username}"),
    "calculator_operations": _calculator("operations", GET),
    "calculator_add_record": _calculator("records"),
    "calculator_records": _calculator("records", GET),
    "calculator_delete_record": _calculator("records/{record_id}", ("DELETE",)),
    "calculator_balance": _calculator("balance", GET),
    "ecgs_create": _ecgs("", POST),
    "ecgs_list": _ecgs(""),
    "ecgs_read": _ecgs("/{ecg_id}"),
    "ecgs_insights": _ecgs("/{ecg_id}/insights"),
    "ecgs_plot": _ecgs("/{ecg_id}/plot.svg"),
    "ecgs_delete": _ecgs("/{ecg_id}", ("DELETE",)),
    "invoices_items_list": _invoices("items", GET),
    "invoices_items_create": _invoices("items"),
    "invoices_items_change": _invoices("items/{item_id}", ("PATCH",)),
    "invoices_customers_list": _invoices("customers", GET),
    "invoices_customers_create": _invoices("customers"),
    "invoices_purchase_add": _invoices("customer-purchase/{customer_id}"),
    "invoices_purchase_change": _invoices("customer-purchase/{customer_id}", ("PUT",)),
    "invoices_purchase_read": _invoices("customer-purchase/{customer_id}", GET),
    "invoices_low_stock": Served("invoices", "api.invoices.low_stock", "api/low-stock-items", GET),
    "invoices_peer_customers": Served("invoices", "api.invoices.peers", "api/peer-customers", POST, ANONYMOUS),
    "openapi_json": Served("openapi", "api.http.openapi", "openapi.json", GET),
}
DOCS = {
    "docs_index_html": Served("docs", "api.docs", "docs", GET, ANONYMOUS),
    "docs_page_css": Served("docs", "api.docs", "docs/page.css", GET, ANONYMOUS),
    "docs_page_js": Served("docs", "api.docs", "docs/page.js", GET, ANONYMOUS),
    "docs_swagger_ui_bundle_js": Served("docs", "api.docs", "docs/swagger-ui-bundle.js", GET, ANONYMOUS),
    "docs_swagger_ui_css": Served("docs", "api.docs", "docs/swagger-ui.css", GET, ANONYMOUS),
}
HEALTH = {
    "health": Served("health", "api.health", "health", GET, ANONYMOUS),
    "health_database": Served("health", "api.health", "health/database", GET),
}


def served_by(*services: str) -> list[str]:
    """The names of the functions of these services, and of their OpenAPI document."""
    loaded = {service.name for service in api.load_services(services)} | {"openapi"}
    return sorted(name for name, served in SERVED.items() if served.service in loaded)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings with a separate database."""
    yield replace(load({}, tmp_path), database_url=f"sqlite:///{tmp_path}/rollbook.db", services=api.SERVICES)
    connections.close()


def functions_of(settings: Settings) -> dict[str, Function]:
    """The functions of an app that is built with these settings, by name."""
    found = function_app.build(settings).get_functions()
    by_name = {str(function.get_function_name()): function for function in found}
    assert len(by_name) == len(found)
    return by_name


# ---- functions and triggers


def test_the_module_has_the_app_that_the_worker_imports() -> None:
    assert isinstance(function_app.app, func.FunctionApp)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, SERVED),
        ({"api_docs": True}, SERVED | DOCS),
        ({"health_check": True}, SERVED | HEALTH),
        ({"api_docs": True, "health_check": True}, SERVED | DOCS | HEALTH),
    ],
)
def test_functions_are_those_that_settings_enable(
    settings: Settings, changes: dict[str, Any], expected: dict[str, Served]
) -> None:
    functions = functions_of(replace(settings, **changes))
    assert sorted(functions) == sorted(expected)
    for name, served in expected.items():
        trigger = functions[name].get_trigger()
        assert isinstance(trigger, HttpTrigger)
        methods = None if not served.methods else [func.HttpMethod[method] for method in served.methods]
        assert (trigger.route, trigger.methods, trigger.auth_level) == (served.route, methods, served.level), name


@pytest.fixture
def everything(settings: Settings) -> dict[str, Function]:
    """All functions of all services."""
    return functions_of(replace(settings, services=api.SERVICES, api_docs=True, health_check=True))


def test_no_two_functions_have_the_same_route(everything: dict[str, Function]) -> None:
    # The host compares routes without regard to case.
    triggers: list[Any] = [function.get_trigger() for function in everything.values()]
    routes = [(str(trigger.route).lower(), method) for trigger in triggers for method in trigger.methods or ["any"]]
    assert len({*routes}) == len(routes) == len(SERVED | DOCS | HEALTH)


def test_a_function_has_no_binding_but_http(everything: dict[str, Function]) -> None:
    for function in everything.values():
        bindings = function.get_bindings()
        assert sorted(str(binding.name) for binding in bindings) == ["$return", "req"]
        assert {type(binding) for binding in bindings} == {HttpTrigger, HttpOutput}


def test_a_function_has_the_signature_that_the_worker_reads(everything: dict[str, Function]) -> None:
    for function in everything.values():
        handler: Any = function.get_user_function()
        assert list(inspect.signature(handler).parameters) == ["req", "context"]
        assert typing.get_type_hints(handler) == {
            "req": func.HttpRequest,
            "context": func.Context,
            "return": func.HttpResponse,
        }
        assert not inspect.iscoroutinefunction(handler), "a blocking call in a coroutine stops every other request"


def test_a_function_has_the_name_module_and_docstring_of_its_handler(everything: dict[str, Function]) -> None:
    for name, served in (SERVED | DOCS | HEALTH).items():
        handler: Any = everything[name].get_user_function()
        assert (handler.__name__, handler.__module__) == (name, served.module)
        assert handler.__doc__


def test_an_app_can_be_built_again_with_the_same_functions(settings: Settings) -> None:
    apps = [function_app.build(settings), function_app.build(settings)]
    names = [sorted(str(function.get_function_name()) for function in app.get_functions()) for app in apps]
    assert names == [sorted(SERVED)] * 2


def test_build_connects_to_the_database_of_the_settings(settings: Settings, tmp_path: Path) -> None:
    function_app.build(settings)
    assert (tmp_path / "rollbook.db").exists()
    with connections.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM users").scalar_one() == 0


def test_the_host_serves_routes_without_a_prefix() -> None:
    host = json.loads((PROJECT / "host.json").read_text("utf-8"))
    assert host["version"] == "2.0"
    assert host["extensions"]["http"]["routePrefix"] == ""


# ---- services


def test_the_words_of_services_are_those_of_the_functions() -> None:
    required = {"accounts"}  # without a word: it comes with those that require it
    assert {*api.SERVICES} == {served.service for served in SERVED.values()} - {"openapi"} - required


def test_the_service_of_a_word_has_its_name() -> None:
    loaded = [service.name for service in api.load_services(api.SERVICES)]
    assert [name for name in loaded if name in api.SERVICES] == [*api.SERVICES]


SUBSETS = [some for count in range(len(api.SERVICES) + 1) for some in combinations(api.SERVICES, count)]


# Every combination in two orders: of any two services, each is the first once.
@pytest.mark.parametrize("words", [*{order: None for some in SUBSETS for order in (some, some[::-1])}])
def test_services_are_served_in_any_combination_and_order(settings: Settings, words: tuple[str, ...]) -> None:
    assert sorted(functions_of(replace(settings, services=words))) == served_by(*words)


@pytest.mark.parametrize(
    ("words", "unknown"),
    [
        (("payroll",), "payroll"),
        (("users", "payroll"), "payroll"),
        (("Users",), "Users"),
        (("payroll", "users", "ledger"), "payroll, ledger"),
        (("http",), "http"),
        (("health",), "health"),
        (("openapi",), "openapi"),
    ],
)
def test_unknown_words_in_services_are_an_error_that_names_all(
    settings: Settings, tmp_path: Path, words: tuple[str, ...], unknown: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        function_app.build(replace(settings, services=words))
    assert str(caught.value) == f"SERVICES names {unknown}; the services are: {', '.join(api.SERVICES)}."
    assert not (tmp_path / "rollbook.db").exists()


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """More services: `toy`, which has timers, and `shop` and `till`, which require others."""
    required = {"shop": ("till", "points"), "till": ("toy",), "toy": ()}
    services = {name: Service(name, requires=names) for name, names in required.items()} | {"toy": toy.service}
    for name, service in services.items():
        module = type(sys)(f"api.{name}")
        module.service = service  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"api.{name}", module)
    monkeypatch.setattr(api, "SERVICES", ("users", "points", "shop", "toy"))  # `till` has no word


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        (("toy", "users"), ["toy", "users"]),
        (("shop",), ["toy", "till", "points", "shop"]),
        (("shop", "points"), ["toy", "till", "points", "shop"]),
        (("points", "shop", "users"), ["points", "toy", "till", "shop", "users"]),
        (("users", "shop", "toy"), ["users", "toy", "till", "points", "shop"]),
    ],
)
def test_required_services_are_loaded_once_and_come_first(
    toys: None, words: tuple[str, ...], loaded: list[str]
) -> None:
    assert [service.name for service in api.load_services(words)] == loaded


def test_a_required_service_is_served_without_a_word_of_its_own(toys: None, settings: Settings) -> None:
    functions = functions_of(replace(settings, services=("shop",), timers=True))
    assert {*functions} > {*served_by("points"), "toy_add", "toy_nightly"}
    with pytest.raises(SettingsError, match=r"^SERVICES names till;"):
        function_app.build(replace(settings, services=("till",)))


def test_a_service_is_started_once_when_its_tables_are_there(
    toys: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[Settings, int]] = []

    def start(configured: Settings) -> None:
        with connections.reading() as connection:
            count = connection.exec_driver_sql("SELECT count(*) FROM points_transactions").scalar_one()
        started.append((configured, count))

    monkeypatch.setattr(toy.service, "on_start", start)
    configured = replace(settings, services=("toy", "shop"))
    function_app.build(configured)
    assert started == [(configured, 0)]
    function_app.build(replace(settings, services=("users",)))
    assert len(started) == 1


@pytest.mark.parametrize("words", [("toy",), ("shop", "users")])
def test_an_error_in_a_section_of_settings_names_the_setting(
    toys: None, settings: Settings, tmp_path: Path, words: tuple[str, ...]
) -> None:
    wrong = {"TOY_SHOUTING": "loud"}
    with pytest.raises(SettingsError, match=r"^TOY_SHOUTING must be on or off, not 'loud'\.$"):
        function_app.build(replace(settings, services=words, values=wrong))
    assert not (tmp_path / "rollbook.db").exists()
    assert functions_of(replace(settings, services=("users",), values=wrong)), "no other service reads it"


# ---- timers


def test_timers_are_registered_where_they_can_run(
    toys: None, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        functions = functions_of(replace(settings, services=("toy", "users"), timers=True))
    triggers = {name: function.get_trigger() for name, function in functions.items()}
    schedules = {name: trigger.schedule for name, trigger in triggers.items() if isinstance(trigger, TimerTrigger)}
    own = {"toy_nightly": "0 0 3 * * *", "toy_failing": "*/10 * * * * *"}
    assert schedules == {**own, "purge_idempotency_keys": "0 0 3 * * *"}
    assert caplog.records == []


def test_without_storage_a_warning_names_the_timers_that_do_not_run(
    toys: None, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        functions = functions_of(replace(settings, services=("toy", "users"), timers=False))
    assert {*functions} >= {"toy_add", *served_by("users")}
    assert not {"toy_nightly", "toy_failing"} & {*functions}
    names = "toy_nightly, toy_failing, purge_idempotency_keys"
    message = f"AzureWebJobsStorage is not set: these timers do not run: {names}."
    assert caplog.record_tuples == [("rollbook", logging.WARNING, message)]


def test_without_swagger_ui_an_error_names_its_package(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "flask_swagger_ui", None)  # as Python records a module that cannot be imported
    api_docs = importlib.import_module("api.docs")
    api_docs._swagger_ui.cache_clear()
    with pytest.raises(SettingsError, match=r"^API_DOCS .*\bflask-swagger-ui\b"):
        function_app.build(replace(settings, api_docs=True))
    assert not (tmp_path / "rollbook.db").exists()
    assert function_app.build(settings).get_functions(), "nothing but the page needs it"
