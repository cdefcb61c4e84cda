"""Commands on invoices: the list of low stock."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from admin.commands import Commands
from api.invoices.low_stock_settings import LowStockSettings
from domain.invoices.low_stock import local_day
from domain.timestamps import format_timestamp
from persistence.database.connections import transaction
from persistence.database.retries import run_with_retries
from persistence.invoices import low_stock


def add_commands(commands: Commands) -> None:
    """Adds the commands to the parser."""
    commands.add_parser(
        "low-stock",
        help="make the list of low stock now",
        description="Replaces the list of low stock by one from the items as they are, for today in TIME_ZONE.",
    ).set_defaults(run=_make_low_stock_list)


def _make_low_stock_list(arguments: argparse.Namespace) -> None:
    section = arguments.settings.section(LowStockSettings)
    now = datetime.now(UTC)
    day = local_day(now, section.time_zone)

    def make() -> str:
        with transaction() as connection:
            return low_stock.make_list(connection, day, section.low_stock_expiry_days, now=format_timestamp(now))

    items = run_with_retries(make).count("\n") - 1  # no field has a line break
    print(f"The list of {day} has {items} {'item' if items == 1 else 'items'}.")
