"""Commands on invoices: the list of low stock."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from admin.commands import Commands
from api.invoices.low_stock_settings import LowStockSettings
from domain.invoices import low_stock as low_stock_rules
from domain.timestamps import format_timestamp
from persistence.database.connections import transaction
from persistence.database.retries import run_with_retries
from persistence.invoices import low_stock


def add_commands(commands: Commands) -> None:
    """Adds the commands to the parser."""
    low = commands.add_parser(
        "low-stock",
        help="make the list of low stock now",
        description="Replaces the list of low stock by one from the items as they are, for today in TIME_ZONE.",
    )
    low.add_argument("--schedule", action="store_true", help="only print the LOW_STOCK_SCHEDULE of TIME_ZONE for Azure")
    low.set_defaults(run=_run_low_stock)


def _run_low_stock(arguments: argparse.Namespace) -> None:
    section = arguments.settings.section(LowStockSettings)
    now = datetime.now(UTC)
    if arguments.schedule:
        print(low_stock_rules.day_schedule(now, section.time_zone))
    else:
        _make_low_stock_list(section, now)


def _make_low_stock_list(section: LowStockSettings, now: datetime) -> None:
    day = low_stock_rules.local_day(now, section.time_zone)

    def make() -> str:
        with transaction() as connection:
            return low_stock.make_list(connection, day, section.low_stock_expiry_days, now=format_timestamp(now))

    items = run_with_retries(make).count("\n") - 1  # no field has a line break
    print(f"The list of {day} has {items} {'item' if items == 1 else 'items'}.")
