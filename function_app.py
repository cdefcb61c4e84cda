"""The function app: opens the database and registers the blueprint of every enabled service."""

import atexit
import importlib

import azure.functions as func

import settings
from persistence import database

# Imported only where enabled: an import is paid for at every cold start.
BLUEPRINTS = {
    "users": "api.users",
    "points": "api.points",
}


def build(enabled: settings.Settings) -> func.FunctionApp:
    """The app of the enabled services over their database. Refuses with `SettingsError`.

    The switches of rules are not read here: each service takes its own from `settings.current()`.
    """
    if unknown := [name for name in enabled.services if name not in BLUEPRINTS]:
        raise settings.SettingsError(f"SERVICES names {', '.join(unknown)}; the services are: {', '.join(BLUEPRINTS)}.")
    function_app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    for name in enabled.services:
        function_app.register_functions(importlib.import_module(BLUEPRINTS[name]).blueprint)
    database.connect_as(enabled)
    return function_app


app = build(settings.current())
atexit.register(database.close)
