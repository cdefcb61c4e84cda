"""`python -m admin COMMAND`: runs one command on the database of the setting `DATABASE_URL`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

import settings
from admin.commands import CommandFailedError, load_modules
from api import load_services
from domain.errors import RollbookError
from persistence.database import connections
from persistence.migrations.attempts import MigrationFailedError, describe_error
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.state import SHARED, migration_branches

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C, as shells have it."""

STATEMENT_SECONDS: Final = 3600
"""The limit of a statement: an index on a large table takes minutes."""


def main() -> None:
    """Runs the command of the command line; ends with 1 and one line where it cannot."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a pipe shows progress, too; a name never fails for its encoding
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        _run_command()
    except (settings.SettingsError, MigrationFailedError, CommandFailedError) as error:
        sys.exit(f"Stopped: {error}")
    except (RollbookError, SQLAlchemyError) as error:
        sys.exit(f"Stopped: {describe_error(error)}")
    except KeyboardInterrupt:
        print("Stopped: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except OSError as error:  # of printing: the pipe is closed, or the disk is full
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes the rest when it ends
        sys.exit(f"Stopped: {describe_error(error)}")
    finally:
        connections.close()


def _run_command() -> None:
    configured = settings.current()
    services = [service.name for service in load_services(configured.services)]
    arguments = build_parser(services).parse_args()
    wait = getattr(arguments, "wait", configured.db_retry_seconds)
    connections.connect_from_settings(
        replace(
            configured,
            db_retry_seconds=wait,
            db_read_seconds=STATEMENT_SECONDS,
            db_write_seconds=STATEMENT_SECONDS,
        )
    )
    arguments.branches = migration_branches(services)
    arguments.settings = configured
    if arguments.command != "migrate":
        upgrade_embedded(arguments.branches, samples=configured.permits_samples)
    arguments.run(arguments)


def build_parser(services: Iterable[str]) -> argparse.ArgumentParser:
    """A parser of the shared commands and of those that the services have in a module of their name."""
    parser = argparse.ArgumentParser(
        prog="python -m admin",
        description="Commands on the database that DATABASE_URL names, for the enabled services.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in load_modules((SHARED, *services)):
        module.add_commands(commands)
    return parser


if __name__ == "__main__":
    main()
