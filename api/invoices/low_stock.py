"""The list of low stock: the timer that makes it every day, and the endpoint that returns it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from api.http.responses import Response, Returns
from api.invoices.endpoints import service
from api.invoices.low_stock_settings import LowStockSettings
from domain.invoices.low_stock import EMPTY_LIST, due_day, last_day_or_first
from domain.timestamps import format_timestamp
from persistence.database.connections import Connection, reading
from persistence.invoices import low_stock as store

TEXT: Final = "text/plain"


def find_due_day(settings: LowStockSettings) -> date | None:
    """Returns the day whose list is due at this tick, or None.

    Only the first tick of a process reads the database: later ones do not wake a paused one.
    """
    last_list, now = settings.last_list, datetime.now(UTC)
    if last_list.day is None:
        with reading() as connection:
            stored = store.find_list_day(connection)
        last_list.day = last_day_or_first(now, settings.time_zone, stored)
    return due_day(now, settings.time_zone, last_list.day)


def remember_day(settings: LowStockSettings, result: date) -> None:
    """Remembers the day of the last list. It is committed: after an error the next tick makes the list."""
    settings.last_list.day = result


@service.timer(
    lambda settings: settings.low_stock_schedule,
    name="invoices_low_stock_list",
    before=find_due_day,
    writes=True,
    after=remember_day,
)
def invoices_low_stock_list(prepared: date, settings: LowStockSettings, connection: Connection) -> date:
    """Makes the list of a day, unless another process has made it. Returns the day of the last list."""
    now = datetime.now(UTC)
    stored = store.lock_list_day(connection)
    if stored is not None and due_day(now, settings.time_zone, stored) is None:
        return stored
    store.make_list(connection, prepared, settings.low_stock_expiry_days, now=format_timestamp(now))
    return prepared


@service.endpoint(
    "invoices_low_stock",
    route="api/low-stock-items",
    methods="GET",
    returns={200: Returns(description="The list of the last day, as CSV", media={TEXT: str})},
)
def invoices_low_stock(connection: Connection) -> Response:
    """Returns the list of low stock. Before the first one it is the header alone."""
    content = store.find_list(connection)
    return Response((EMPTY_LIST if content is None else content).encode(), media_type=TEXT)
