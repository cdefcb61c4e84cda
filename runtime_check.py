"""A check that the deployed packages were installed for the Python that runs the app.

A remote build may use another Python than the app (docs/deploy.md cites reports). Packages with compiled code then fail
to import with an error that does not name the cause. Therefore the check runs before they are imported, and this module
imports only the standard library and `settings`.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final

import settings

# The ranges of requirements.in, as (major, minor): lower bound, and upper bound (excluded).
_BELOW_313: Final = ((1, 26), (2, 0))
_FROM_313: Final = ((2, 3), (3, 0))


def check_interpreter(*, on_azure: bool) -> None:
    """Raises `SettingsError` if the installed azure-functions belongs to another Python.

    Does nothing unless the app runs on Azure.
    """
    if not on_azure:
        return
    installed = importlib.import_module("importlib.metadata").version("azure-functions")  # slow to import
    if not fits(installed, sys.version_info[:2]):
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise settings.SettingsError(
            f"azure-functions {installed} is installed, which does not belong to Python {python}: the build, usually "
            "the remote one, ran another Python than this app; deploy again, or with prebuilt packages "
            "(docs/deploy.md)."
        )


def fits(azure_functions: str, python: tuple[int, int]) -> bool:
    """Returns whether requirements.in permits this version of azure-functions for this Python (major, minor)."""
    lowest, end = _FROM_313 if python >= (3, 13) else _BELOW_313
    major, minor = azure_functions.split(".")[:2]
    return lowest <= (int(major), int(minor)) < end
