"""The only place of these tests that imports the app: where a module or a name moves, it is changed here alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import telemetry
from api import health
from persistence.database import connections

LIST_FUNCTIONS: Final = """
import json, function_app
functions = {str(function.get_function_name()): function for function in function_app.app.get_functions()}
print(json.dumps({name: json.loads(function.get_function_json())["bindings"] for name, function in functions.items()}))
"""
"""A program that prints the bindings of each function of the app as the worker indexes it."""


observe: Final = telemetry.observe


def forget_probes() -> None:
    """Makes the next health check of the database the first one."""
    health._last_probe = None


def connect_with_short_lock_timeout(database_file: Path) -> None:
    """Connects the app to its file again; now a locked database is reported at once."""
    connections.connect(f"sqlite:///{database_file}?timeout=0.1", threads=8)
