"""The only module of these tests that imports the app: a moved module or name is changed only here."""

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
"""A program that prints the bindings of each function, as the worker indexes them."""


observe: Final = telemetry.observe


def forget_probes() -> None:
    """Removes the results of earlier health checks."""
    health._last_probe = None


def connect_with_short_lock_timeout(database_file: Path) -> None:
    """Reconnects the app to its file with a short lock timeout."""
    connections.connect(f"sqlite:///{database_file}?timeout=0.1", threads=8)
