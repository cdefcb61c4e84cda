"""Items, ticks of the timer of low stock, and a clock for it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Final

from sqlalchemy import insert

import settings
from api.http.endpoint import timer_function
from api.invoices import service
from persistence.database import connections
from persistence.invoices.tables import ITEMS

HEADER: Final = "Item ID,Description,Quantity,Expiry Date,Reason\n"
CONTEXT: Final = SimpleNamespace(invocation_id="0b5a7f0e-4c6d-4f1e-9b1a-2d3c4b5a6f70")


class Clock:
    """The clock of the timer: stands in for `datetime`. `text` is a time in UTC."""

    def __init__(self, text: str) -> None:
        self.text = text

    def now(self, zone: tzinfo) -> datetime:
        """Returns the time."""
        return datetime.fromisoformat(self.text).replace(tzinfo=UTC).astimezone(zone)


class Process:
    """A process that runs the timer: it has the memory of one."""

    def __init__(self, folder: Path, clock: Clock, **variables: str) -> None:
        built = service.build(settings.load(variables, folder))
        (self.timer,) = [timer for timer in built.timers if timer.name == "invoices_low_stock_list"]
        self._run = timer_function(self.timer)
        self._clock = clock

    def tick(self, text: str, *, past_due: bool = False) -> None:
        """Runs the timer at a time in UTC. Raises `TimerFailedError`."""
        self._clock.text = text
        self._run(timer=SimpleNamespace(past_due=past_due), context=CONTEXT)


def add_item(description: str, quantity: int, expiry_date: str | None = None, threshold: int | None = None) -> None:
    """Adds an item."""
    row = {
        "name": description[:200],
        "description": description,
        "description_hash": hashlib.sha256(description.encode()).hexdigest(),
        "price": 100,
        "quantity": quantity,
        "expiry_date": expiry_date,
        "low_stock_threshold": threshold,
    }
    with connections.transaction() as connection:
        connection.execute(insert(ITEMS), {name: value for name, value in row.items() if value is not None})


def zone_at_noon() -> str:
    """Returns a zone in which it is between 12 and 1 o'clock: no day begins during a test of programs."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
