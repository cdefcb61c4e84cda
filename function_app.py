"""The composition root: settings → database → functions of the enabled services and their OpenAPI document."""

import atexit
import gc
import importlib
import logging
from collections.abc import Iterable

import azure.functions as func

import settings
from runtime_check import check_interpreter

# First, because packages built for another Python fail to import with an error that does not name the cause.
check_interpreter(on_azure=settings.current().on_azure)
gc.disable()  # until the app is built: collections find nothing, and take 4 % of a cold start

from api import load_services
from api.http.endpoint import endpoint_function, timer_function
from api.http.openapi import openapi_endpoint
from api.http.service import Endpoint, Service, Timer
from api.purge import service as purge
from persistence.database import connections
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.state import migration_branches

logger = logging.getLogger("rollbook")


def build(configured: settings.Settings) -> func.FunctionApp:
    """Returns the app with the enabled services, connected to its database. Raises `SettingsError`."""
    services = load_services(configured.services)
    functions = [service.build(configured) for service in services]
    endpoints = [endpoint for built in functions for endpoint in built.endpoints]
    endpoints += [openapi_endpoint(endpoints), *_optional_endpoints(configured)]
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    for endpoint in endpoints:
        _register_endpoint(app, endpoint, configured.idempotency_hours)
    timers = [timer for built in (*functions, purge.build(configured)) for timer in built.timers]
    _register_timers(app, timers, enabled=configured.timers)
    connections.connect_from_settings(configured)
    upgrade_embedded(migration_branches(service.name for service in services), samples=configured.permits_samples)
    for service in services:
        service.on_start(configured)
    if configured.telemetry:
        importlib.import_module("telemetry").start(configured)
    return app


def _optional_endpoints(configured: settings.Settings) -> Iterable[Endpoint]:
    """Yields the endpoints of health and the docs page. Their modules are imported only if they are enabled."""
    for name, enabled in (("health", configured.health_check), ("docs", configured.api_docs)):
        if enabled:
            service: Service = importlib.import_module(f"api.{name}").service
            yield from service.build(configured).endpoints


def _register_endpoint(app: func.FunctionApp, endpoint: Endpoint, idempotency_hours: int) -> None:
    function = endpoint_function(endpoint, idempotency_hours=idempotency_hours)
    methods = list(endpoint.methods) or None
    app.route(route=endpoint.route, methods=methods, auth_level=endpoint.auth.auth_level)(function)


def _register_timers(app: func.FunctionApp, timers: list[Timer], *, enabled: bool) -> None:
    if not enabled:  # without storage the host does not start an app with timers
        names = ", ".join(timer.name for timer in timers)
        logger.warning("AzureWebJobsStorage is not set: these timers do not run: %s.", names)
        return
    for timer in timers:
        app.timer_trigger(arg_name="timer", schedule=str(timer.schedule))(timer_function(timer))


app = build(settings.current())
atexit.register(connections.close)
gc.enable()
