"""A check that the deployed packages were installed for the Python that runs the app.

A remote build may use another Python than the app (docs/deploy.md cites reports). Packages with compiled code then fail
to import with an error that does not name the cause. Therefore the check runs before they are imported, and this module
imports only the standard library and `settings`.
"""

from __future__ import annotations

import importlib
import re
import sys
from typing import Final

import settings

# The ranges of requirements.in, as (major, minor): lower bound, and upper bound (excluded).
_BELOW_313: Final = ((1, 26), (2, 0))
_FROM_313: Final = ((2, 3), (3, 0))


def check_interpreter(*, on_azure: bool) -> None:
    """Raises `SettingsError` if the installed azure-functions belongs to another Python, or has no dist-info.

    Does nothing unless the app runs on Azure.
    """
    if not on_azure:
        return
    metadata = importlib.import_module("importlib.metadata")  # slow to import
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    try:
        installed = str(metadata.version("azure-functions"))  # None without a version in the file
    except metadata.PackageNotFoundError:
        reason = f"azure-functions has no dist-info where Python {python} looks for packages"
    else:
        if fits(installed, sys.version_info[:2]):
            return
        reason = f"azure-functions {installed} is installed, which does not belong to Python {python}"
    raise settings.SettingsError(
        f"{reason}: the build, usually the remote one, ran another Python than this app; deploy again, or with "
        "prebuilt packages (docs/deploy.md)."
    )


def fits(azure_functions: str, python: tuple[int, int]) -> bool:
    """Returns whether requirements.in permits this version of azure-functions for this Python (major, minor).

    Reads the leading digits of the first two parts of the version: 2.3b1 counts as 2.3, and a part without them as 0.
    """
    lowest, end = _FROM_313 if python >= (3, 13) else _BELOW_313
    major, minor = (int("0" + part) for part in re.findall(r"^([0-9]*)[^.]*\.?([0-9]*)", azure_functions)[0])
    return lowest <= (major, minor) < end
