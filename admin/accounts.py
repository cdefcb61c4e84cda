"""Commands on accounts: administrators, deactivation, failed sign-ins, signing keys and sample accounts.

A password is typed at the terminal or read from standard input. It is never an argument, which other users of the
machine see in the list of processes, and which the shell records.
"""

from __future__ import annotations

import argparse
import functools
import getpass
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

from admin.commands import CommandFailedError, Commands, load_modules
from api.accounts.passwords import hash_password
from domain.accounts import ADMIN, SAMPLE_PASSWORD, SAMPLE_ROLES, parse_password, parse_username
from domain.timestamps import format_timestamp
from persistence.accounts import find_account, forget_failures, insert_account, rotate_keys, set_active
from persistence.database.connections import Connection, transaction
from persistence.database.retries import run_with_retries


def add_commands(commands: Commands) -> None:
    """Adds the commands to the parser."""
    _add_commands_on_a_name(commands)
    commands.add_parser(
        "rotate-keys",
        help="sign tokens with a new key",
        description="Makes the key that signs tokens from now on. The key before it is accepted for one more hour.",
    ).set_defaults(run=_rotate_keys)
    commands.add_parser(
        "add-samples",
        help="add the sample accounts and what the services have for them",
        description="Adds the sample accounts, whose password is public, and what the enabled services have for them. "
        "Not on Azure, and only where HOST is loopback. May be repeated.",
    ).set_defaults(run=_add_samples)


def _add_commands_on_a_name(commands: Commands) -> None:
    create = commands.add_parser(
        "create-admin",
        help="add an account with the role ADMIN",
        description="Adds an account with the role ADMIN. The password is typed twice at the terminal, or is one line "
        "of standard input without its line break.",
    )
    deactivate = commands.add_parser(
        "deactivate",
        help="make an account inactive",
        description="Makes an account inactive: its tokens are rejected from then on, and it cannot sign in.",
    )
    activate = commands.add_parser("activate", help="make an account active again")
    clear = commands.add_parser("clear-failures", help="unlock a username that failed to sign in ten times")
    runs = {create: _create_admin, deactivate: _deactivate, activate: _activate, clear: _clear_failures}
    for parser, run in runs.items():
        parser.add_argument("name", metavar="NAME", help="the username: 3 to 64 of a-z 0-9 . _ -")
        parser.set_defaults(run=run)


# ---- administrators


def _create_admin(arguments: argparse.Namespace) -> None:
    username = parse_username(arguments.name)
    password_hash = hash_password(parse_password(_read_password()))
    run_with_retries(functools.partial(_insert_admin, username, password_hash))
    print(f"{username}: added as an administrator")


def _insert_admin(username: str, password_hash: str) -> None:
    with transaction() as connection:
        insert_account(connection, username, password_hash, role=ADMIN, now=_now())


def _read_password() -> str:
    """Returns a password: typed twice at a terminal, otherwise the first line of standard input without its break.

    Raises `CommandFailedError`.
    """
    try:
        return _type_password() if sys.stdin.isatty() else _read_line()
    except EOFError:
        raise CommandFailedError("no password was typed") from None
    except UnicodeDecodeError:
        raise CommandFailedError("the password is not text in the encoding of the terminal, or in UTF-8") from None


def _type_password() -> str:
    password = parse_password(getpass.getpass("Password: "))  # before it is typed again
    if getpass.getpass("Password again: ") != password:
        raise CommandFailedError("the two passwords differ")
    return password


def _read_line() -> str:
    # Bytes: in text mode a carriage return inside of the password would also end the line.
    line = sys.stdin.buffer.readline().removesuffix(b"\n").removesuffix(b"\r")
    return line.decode("utf-8")


# ---- accounts


def _deactivate(arguments: argparse.Namespace) -> None:
    _change_active(arguments.name, active=False)


def _activate(arguments: argparse.Namespace) -> None:
    _change_active(arguments.name, active=True)


def _change_active(name: str, *, active: bool) -> None:
    username = parse_username(name)
    run_with_retries(functools.partial(_set_active, username, active=active))
    print(f"{username}: {'active' if active else 'inactive; its tokens are rejected'}")


def _set_active(username: str, *, active: bool) -> None:
    with transaction() as connection:
        set_active(connection, username, active)


def _clear_failures(arguments: argparse.Namespace) -> None:
    username = parse_username(arguments.name)
    run_with_retries(functools.partial(_forget, username))
    print(f"{username}: failed sign-ins cleared")


def _forget(username: str) -> None:
    with transaction() as connection:
        forget_failures(connection, username)


def _rotate_keys(_: argparse.Namespace) -> None:
    run_with_retries(_rotate)
    print("A new key signs tokens; the one before it is accepted for one hour.")


def _rotate() -> None:
    with transaction() as connection:
        rotate_keys(connection, now=_now())


# ---- samples


def _add_samples(arguments: argparse.Namespace) -> None:
    if not arguments.settings.permits_samples:
        raise CommandFailedError(
            "sample accounts have a public password; they are not made on Azure, or where HOST is not loopback"
        )
    print(*run_with_retries(functools.partial(_insert_samples, arguments.branches)), sep="\n")


def _insert_samples(services: tuple[str, ...]) -> list[str]:
    """Calls `add_samples` of every service that has it, in one transaction, and returns what they report."""
    with transaction() as connection:
        return [
            line
            for module in load_modules(services)
            if hasattr(module, "add_samples")
            for line in module.add_samples(connection, now=_now())
        ]


def add_samples(connection: Connection, *, now: str) -> Iterator[str]:
    """Inserts the sample accounts that are missing, and yields a line for each. Others of these names stay."""
    for username, role in SAMPLE_ROLES.items():
        if find_account(connection, username) is None:
            insert_account(connection, username, _sample_hash(), role=role, is_sample=True, now=now)
            yield f"{username}: added with the role {role}"
        else:
            yield f"{username}: is there already"


@functools.cache
def _sample_hash() -> str:
    return hash_password(SAMPLE_PASSWORD)


def _now() -> str:
    return format_timestamp(datetime.now(UTC))
