"""Commands on the calculator: `grant-credit`, and its part of `add-samples`."""

from __future__ import annotations

import argparse
import functools
from typing import Final

from admin.commands import CommandFailedError, Commands
from domain.accounts import AccountNotFoundError, parse_username
from persistence.calculator import grant
from persistence.database.connections import Connection, is_embedded, transaction
from persistence.database.retries import run_with_retries
from persistence.migrations.scripts import SQL, split_batches

MAX_GRANT: Final = 1_000_000_000


def add_commands(commands: Commands) -> None:
    """Adds the commands to the parser."""
    credit = commands.add_parser(
        "grant-credit",
        help="add credit to the balance of an account",
        description="Adds credit to the balance of an account. Its records stay as they are.",
    )
    credit.add_argument("username", metavar="USERNAME", help="the name of the account")
    credit.add_argument("amount", metavar="AMOUNT", type=_amount, help=f"a whole number from 1 to {MAX_GRANT}")
    credit.set_defaults(run=_grant_credit)


def _amount(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_GRANT):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MAX_GRANT}")
    return int(text)


def _grant_credit(arguments: argparse.Namespace) -> None:
    username = parse_username(arguments.username)
    balance = run_with_retries(functools.partial(_grant, username, arguments.amount))
    print(f"{username}: granted {arguments.amount}, the balance is {balance}")


def _grant(username: str, amount: int) -> int:
    with transaction() as connection:
        try:
            return grant(connection, username, amount)
        except AccountNotFoundError:
            raise CommandFailedError(f"there is no account with the name {username}") from None


def add_samples(connection: Connection, *, now: str) -> list[str]:  # noqa: ARG001 - records are as old as the account
    """Inserts the records of sample accounts that have not used the calculator, and returns what was done."""
    settings, *statements = split_batches((SQL / "calculator" / "samples.sql").read_text("utf-8"))
    for batch in statements if is_embedded() else (settings, *statements):
        connection.exec_driver_sql(batch)
    return ["testuser, testuser2: have records of the calculator"]
