"""The statements of managers, whom users can be assigned to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, false, insert, select, update

from persistence.users.tables import MANAGERS

FIND_MANAGER = select(MANAGERS.c.is_active).where(MANAGERS.c.manager_id == bindparam("manager_id"))


def find_manager_is_active(connection: Connection, manager_id: str | None) -> bool | None:
    """Returns whether the manager is active, or None if there is no such manager."""
    return connection.execute(FIND_MANAGER, {"manager_id": manager_id}).scalar_one_or_none()


_LIST_MANAGERS = select(MANAGERS).order_by(MANAGERS.c.created_at, MANAGERS.c.full_name)
_INSERT_MANAGER = insert(MANAGERS)
_RETIRE_MANAGER = (
    update(MANAGERS)
    .where(MANAGERS.c.manager_id == bindparam("retired_id"), MANAGERS.c.is_active)
    .values(is_active=false(), updated_at=bindparam("now"))
)


def list_managers(connection: Connection) -> list[dict[str, Any]]:
    """Returns the columns of every manager, oldest first."""
    return [dict(row) for row in connection.execute(_LIST_MANAGERS).mappings()]


def insert_manager(connection: Connection, manager_id: str, full_name: str, *, now: str) -> None:
    """Stores an active manager. The block of the connection raises `LostRaceError` if the id is taken."""
    values = {"manager_id": manager_id, "full_name": full_name, "is_active": True, "created_at": now}
    connection.execute(_INSERT_MANAGER, values)


def retire_manager(connection: Connection, manager_id: str, *, now: str) -> bool:
    """Makes an active manager inactive; their users stay assigned. Returns False if there is no such active manager."""
    return connection.execute(_RETIRE_MANAGER, {"retired_id": manager_id, "now": now}).rowcount == 1
