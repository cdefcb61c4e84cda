"""The HTTP edge: endpoints of services over shared machinery (`http/`). No SQL lives here."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from settings import SettingsError

if TYPE_CHECKING:
    from api.http.service import Service

__version__ = "0.3.0"

SERVICES: Final = ("users", "points", "calculator", "ecgs", "invoices")
"""The values that the setting SERVICES accepts. Each is a module of `api` with a `service`, imported if enabled."""


def load_services(words: Iterable[str]) -> list[Service]:
    """Returns the named services in their order, each after the services that it requires.

    Raises `SettingsError` for a name that is not in `SERVICES`.
    """
    wanted = tuple(words)
    if unknown := [word for word in wanted if word not in SERVICES]:
        raise SettingsError(f"SERVICES names {', '.join(unknown)}; the services are: {', '.join(SERVICES)}.")
    services: dict[str, Service] = {}

    def add(name: str) -> None:
        if name not in services:
            service: Service = importlib.import_module(f"api.{name}").service
            for required in service.requires:
                add(required)
            services[name] = service

    for word in wanted:
        add(word)
    return list(services.values())
