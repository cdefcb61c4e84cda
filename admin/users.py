"""Commands on managers: `add-manager`, `retire-manager` and `list-managers`."""

from __future__ import annotations

import argparse
import functools
import uuid
from datetime import UTC, datetime
from typing import Any

from admin.commands import CommandFailedError, Commands, print_records
from domain.timestamps import format_timestamp
from domain.users.fields import parse_full_name, parse_uuid
from persistence.database.connections import reading, transaction
from persistence.database.retries import run_with_retries
from persistence.users import find_manager_is_active, insert_manager, list_managers, retire_manager


def add_commands(commands: Commands) -> None:
    """Adds the commands to the parser."""
    add = commands.add_parser("add-manager", help="add an active manager, to whom users can be assigned")
    add.add_argument("name", metavar="NAME", help="the full name: 1 to 200 characters, no control characters")
    add.add_argument("--id", metavar="UUID", help="the manager's id; a random one without it")
    add.set_defaults(run=_add_manager)
    retire = commands.add_parser(
        "retire-manager",
        help="make a manager inactive",
        description="Makes a manager inactive: users can no longer be assigned to them. Their users stay theirs.",
    )
    retire.add_argument("id", metavar="ID", help="the manager's id, a UUID")
    retire.set_defaults(run=_retire_manager)
    show = commands.add_parser("list-managers", help="list all managers, the oldest first")
    show.add_argument("--json", action="store_true", help="as a JSON array")
    show.set_defaults(run=_list_managers)


def _add_manager(arguments: argparse.Namespace) -> None:
    full_name = parse_full_name(arguments.name)
    manager_id = parse_uuid(arguments.id) if arguments.id is not None else str(uuid.uuid4())
    run_with_retries(functools.partial(_insert, manager_id, full_name))
    print(f"{manager_id}: added as {full_name}")


def _insert(manager_id: str, full_name: str) -> None:
    with transaction() as connection:
        if find_manager_is_active(connection, manager_id) is not None:
            raise CommandFailedError(f"{manager_id} is the id of a manager already")
        insert_manager(connection, manager_id, full_name, now=format_timestamp(datetime.now(UTC)))


def _retire_manager(arguments: argparse.Namespace) -> None:
    manager_id = parse_uuid(arguments.id)
    retired = run_with_retries(functools.partial(_retire, manager_id))
    print(f"{manager_id}: {'retired' if retired else 'was retired before'}")


def _retire(manager_id: str) -> bool:
    with transaction() as connection:
        if find_manager_is_active(connection, manager_id) is None:
            raise CommandFailedError(f"there is no manager with the id {manager_id}")
        return retire_manager(connection, manager_id, now=format_timestamp(datetime.now(UTC)))


def _list_managers(arguments: argparse.Namespace) -> None:
    print_records(run_with_retries(_read), as_json=arguments.json)


def _read() -> list[dict[str, Any]]:
    with reading() as connection:
        return list_managers(connection)
