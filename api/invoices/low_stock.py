"""The list of low stock: the timer that makes it every day, and the endpoint that returns it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from api.http.responses import Response, Returns
from api.invoices.endpoints import service
from api.invoices.low_stock_settings import LowStockSettings
from domain.invoices.low_stock import EMPTY_LIST, due_day, last_day_or_first, local_day
from domain.timestamps import format_timestamp
from persistence.database.connections import Connection, reading
from persistence.invoices import low_stock as store

TEXT: Final = "text/plain"


class Work(NamedTuple):
    """What a tick has to store: the list of a day, or that nothing before the end of this day is missed."""

    day: date
    is_due: bool


def find_work(settings: LowStockSettings) -> Work | None:
    """Returns what there is to do at this tick, or None.

    Only the first tick of a process reads the database: later ones do not wake a paused one. The first tick of all
    stores its day, so that a later process knows that the next day was missed, whenever its own first tick is. Until
    that day is committed it is not remembered.
    """
    last_list, now, stored = settings.last_list, datetime.now(UTC), settings.last_list.day
    if stored is None:
        with reading() as connection:
            stored = store.find_list_day(connection)
    day = due_day(now, settings.time_zone, stored)
    if day is None and stored is None:
        return Work(local_day(now, settings.time_zone), is_due=False)
    last_list.day = last_day_or_first(now, settings.time_zone, stored)
    return None if day is None else Work(day, is_due=True)


def remember_day(settings: LowStockSettings, result: date) -> None:
    """Remembers the day of the last list. It is committed: after an error the next tick makes the list."""
    settings.last_list.day = result


@service.timer(
    lambda settings: settings.low_stock_schedule,
    name="invoices_low_stock_list",
    before=find_work,
    writes=True,
    after=remember_day,
)
def invoices_low_stock_list(prepared: Work, settings: LowStockSettings, connection: Connection) -> date:
    """Makes the list of a day, unless another process has made it. Returns the day of the last list."""
    now = datetime.now(UTC)
    stored = store.lock_list_day(connection)
    if stored is not None and due_day(now, settings.time_zone, stored) is None:
        return stored
    if prepared.is_due:
        store.make_list(connection, prepared.day, settings.low_stock_expiry_days, now=format_timestamp(now))
    else:
        store.save_first_day(connection, prepared.day)
    return prepared.day


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
