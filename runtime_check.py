"""Whether the deployed packages were installed for the Python that runs the app.

A remote build may run another Python than the app's (docs/deploy.md has the reports). Packages with compiled code then
fail to import with an error that does not name the cause, so this is called before any of them is imported, and may
itself import nothing but the standard library and `settings`.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final

import settings

# The ranges of requirements.in, as (major, minor): from the first on, below the second.
_BELOW_313: Final = ((1, 26), (2, 0))
_FROM_313: Final = ((2, 3), (3, 0))


def check_interpreter(*, on_azure: bool) -> None:
    """Does nothing where the app does not run on Azure, or where its packages fit the interpreter.

    Raises `SettingsError` where the installed azure-functions belongs to another Python.
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
    """Whether requirements.in has this version of azure-functions for this version of Python (major and minor)."""
    lowest, end = _FROM_313 if python >= (3, 13) else _BELOW_313
    major, minor = azure_functions.split(".")[:2]
    return lowest <= (int(major), int(minor)) < end
