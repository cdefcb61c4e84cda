"""The function app: opens the database and registers the blueprint of every enabled service, and their description."""

import atexit
import importlib

import azure.functions as func

import settings
from api import BLUEPRINTS
from api.description import description_of
from persistence.database import connections


def build(enabled: settings.Settings) -> func.FunctionApp:
    """The app of the enabled services over their database. Refuses with `SettingsError`.

    The switches of rules are not read here: each service takes its own from `settings.current()`.
    """
    if unknown := [name for name in enabled.services if name not in BLUEPRINTS]:
        raise settings.SettingsError(f"SERVICES names {', '.join(unknown)}; the services are: {', '.join(BLUEPRINTS)}.")
    blueprints = [importlib.import_module(BLUEPRINTS[name]).blueprint for name in enabled.services]
    blueprints.append(description_of(blueprints))
    if enabled.health_check:
        blueprints.append(importlib.import_module("api.health").blueprint)
    if enabled.api_docs:
        blueprints.append(importlib.import_module("api.docs").docs_page())
    function_app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    for blueprint in blueprints:
        function_app.register_functions(blueprint)
    connections.connect_from_settings(enabled)
    if enabled.telemetry:
        importlib.import_module("telemetry").start(enabled)
    return function_app


app = build(settings.current())
atexit.register(connections.close)
