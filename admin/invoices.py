"""Commands on invoices: the list of low stock, and the outbox of customers for the other site."""

from __future__ import annotations

import argparse
import functools
from datetime import UTC, datetime
from typing import Any, Final

from admin.commands import CommandFailedError, Commands, print_records
from api.invoices.low_stock_settings import LowStockSettings
from domain.invoices import low_stock as low_stock_rules
from domain.timestamps import format_timestamp
from persistence.database.connections import reading, transaction
from persistence.database.retries import run_with_retries
from persistence.invoices import low_stock, outbox

ALL: Final = "all"


def add_commands(commands: Commands) -> None:
    """Adds the commands to the parser."""
    low = commands.add_parser(
        "low-stock",
        help="make the list of low stock now",
        description="Replaces the list of low stock by one from the items as they are, for today in TIME_ZONE.",
    )
    low.add_argument("--schedule", action="store_true", help="only print the LOW_STOCK_SCHEDULE of TIME_ZONE for Azure")
    low.set_defaults(run=_run_low_stock)
    _add_commands_on_outbox(commands)


def _add_commands_on_outbox(commands: Commands) -> None:
    show = commands.add_parser(
        "outbox",
        help="list the customers that wait for the other site, and those set aside",
        description="Lists the customers that are not delivered to the other site, with the last error, and the reason "
        "of those that are set aside.",
    )
    show.add_argument("--all", action="store_true", help="queue every customer first that this site created")
    show.add_argument("--json", action="store_true", help="as a JSON array")
    show.set_defaults(run=_list_outbox)
    again = commands.add_parser(
        "requeue",
        help="deliver customers to the other site now, set aside or not",
        description="Makes one entry of the outbox, or all, due now, as if it was queued now.",
    )
    again.add_argument("id", metavar="ID", type=_entry_id, help="the id in the list of outbox, or all")
    again.set_defaults(run=_requeue)


# ---- low stock


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


# ---- the other site


def _entry_id(text: str) -> int | None:
    if text == ALL:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise argparse.ArgumentTypeError(f"{text!r} is neither an id nor {ALL}")
    return int(text)


def _list_outbox(arguments: argparse.Namespace) -> None:
    if arguments.all:
        run_with_retries(_queue_earlier)
    print_records(run_with_retries(_read), as_json=arguments.json)


def _queue_earlier() -> int:
    with transaction() as connection:
        return outbox.queue_earlier(connection, now=_now())


def _read() -> list[dict[str, Any]]:
    with reading() as connection:
        return outbox.list_entries(connection)


def _requeue(arguments: argparse.Namespace) -> None:
    number = run_with_retries(functools.partial(_make_due, arguments.id))
    if arguments.id is not None and not number:
        raise CommandFailedError(f"the outbox has no entry with the id {arguments.id}")
    print(f"{number} due now")


def _make_due(entry_id: int | None) -> int:
    with transaction() as connection:
        return outbox.requeue(connection, entry_id, now=_now())


def _now() -> str:
    return format_timestamp(datetime.now(UTC))
