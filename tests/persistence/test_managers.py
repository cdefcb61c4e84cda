"""The statements on managers that the command line uses."""

from __future__ import annotations

import pytest

from persistence.database import connections
from persistence.database.errors import LostRaceError
from persistence.users import find_manager_is_active, insert_manager, list_managers, retire_manager
from tests.support.seed import SEED_MANAGERS

NEW = "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"
NOW, LATER = "2026-02-01T00:00:00.000000Z", "2026-03-01T00:00:00.000000Z"

pytestmark = pytest.mark.usefixtures("app_database")


def _insert(manager_id: str) -> None:
    with connections.transaction() as connection:
        insert_manager(connection, manager_id, "Zoë 王", now=NOW)


def _retire(manager_id: str) -> bool:
    with connections.transaction() as connection:
        return retire_manager(connection, manager_id, now=LATER)


def test_a_manager_is_inserted_as_active_and_retired_once() -> None:
    _insert(NEW)
    with connections.reading() as connection:
        assert find_manager_is_active(connection, NEW) is True
    assert [_retire(NEW), _retire(NEW), _retire(NEW.replace("7", "8"))] == [True, False, False]
    with connections.reading() as connection:
        managers = list_managers(connection)
    assert [*managers[-1].values()] == [NEW, "Zoë 王", False, NOW, LATER]
    assert sorted(managers[:-1], key=lambda manager: str(manager["manager_id"])) == SEED_MANAGERS


def test_an_id_that_is_taken_is_a_lost_race_and_inserts_nothing() -> None:
    with pytest.raises(LostRaceError):
        _insert(str(SEED_MANAGERS[0]["manager_id"]))
    with connections.reading() as connection:
        assert len(list_managers(connection)) == len(SEED_MANAGERS)
