"""Commands on what all services share: `migrate` and `grant-access`."""

from __future__ import annotations

import argparse
from typing import Final

from admin.commands import Commands
from persistence.database.connections import is_embedded
from persistence.migrations.heads import HEADS
from persistence.migrations.scripts import apply_scripts, grant_access
from persistence.migrations.upgrade import upgrade

MAX_WAIT_SECONDS: Final = 3600


def add_commands(commands: Commands) -> None:
    """Adds the commands to the parser."""
    migrate = commands.add_parser(
        "migrate",
        help="apply the missing migrations, then permissions, seed and the check of masks",
        description="Applies the missing migrations of the enabled services, each in one transaction; on SQL Server "
        "also the scripts in sql/ (permissions, seed, masks). May be repeated.",
    )
    migrate.add_argument(
        "--wait",
        default=180,
        type=_seconds,
        metavar="SECONDS",
        help="the longest wait for a database that is resuming, and for one statement (1 to 3600, default 180)",
    )
    migrate.set_defaults(run=_migrate)
    grant = commands.add_parser(
        "grant-access",
        help="make an identity of Microsoft Entra a member of the role rollbook_app",
        description="Makes an identity of Microsoft Entra a user of the database and a member of the app's role. "
        "May be repeated.",
    )
    grant.add_argument("name", metavar="NAME", help="the name of the identity")
    grant.add_argument("client_id", metavar="CLIENT_ID", help="its client id (application id), a UUID")
    grant.set_defaults(run=_grant_access)


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_WAIT_SECONDS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MAX_WAIT_SECONDS}")
    return int(text)


def _migrate(arguments: argparse.Namespace) -> None:
    if is_embedded():
        print("DATABASE_URL names a SQLite file, which is migrated as when the app starts.")
    upgrade(arguments.branches, print, samples=arguments.settings.permits_samples)
    apply_scripts(arguments.branches, print)
    print(f"The schema is current: {', '.join(HEADS[branch] for branch in arguments.branches)}.")


def _grant_access(arguments: argparse.Namespace) -> None:
    grant_access(arguments.name, arguments.client_id)
    print(f"{arguments.name}: member of rollbook_app")
