"""LIST_ROWS_MAX: the largest list that get_users returns without `limit`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.users import service
from tests.support.serving import serving_service

MAX = 2


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[httpx.Client]:
    """The users service with LIST_ROWS_MAX=2."""
    with serving_service(service, tmp_path, LIST_ROWS_MAX=str(MAX)) as client:
        yield client


@pytest.fixture
def users(api: Any, managers: list[str]) -> list[dict[str, Any]]:
    """Three current users: two of the first manager, and one of the second with two superseded versions."""
    users = [api.create(manager_id=manager_id) for manager_id in (managers[0], managers[0], managers[0])]
    for manager_id in managers[2], managers[1]:
        assert api.update([users[2]["user_id"]], manager_id=manager_id).status_code == 200
    return users


@pytest.mark.parametrize("filters", [{}, {"is_active": True}, {"manager_id": 0}])
def test_a_longer_list_requires_a_limit(
    limited: httpx.Client, users: Any, managers: list[str], errors_of: Any, filters: dict[str, Any]
) -> None:
    response = limited.post("/get_users", json=_filled(filters, users, managers))
    assert response.status_code == 400
    assert response.json()["type"] == "/problems/limit-required"
    assert errors_of(response) == [("/limit", "limit-required")]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"is_active": False}, 2),
        ({"is_active": True, "manager_id": 0}, 2),
        ({"manager_id": 1}, 1),
        ({"user_id": 2}, 3),
        ({"mob_num": 2}, 3),
        ({"limit": 3}, 3),
    ],
)
def test_a_page_one_user_or_a_shorter_list_does_not(
    limited: httpx.Client, users: Any, managers: list[str], filters: dict[str, Any], count: int
) -> None:
    response = limited.post("/get_users", json=_filled(filters, users, managers))
    assert response.status_code == 200
    assert len(response.json()["users"]) == count


def _filled(filters: dict[str, Any], users: list[dict[str, Any]], managers: list[str]) -> dict[str, Any]:
    """Replaces positions by a manager's id, and by a user's id or number."""
    values = {"manager_id": managers, **{key: [user[key] for user in users] for key in ("user_id", "mob_num")}}
    return {key: values[key][value] if key in values else value for key, value in filters.items()}


def test_only_a_list_that_may_be_too_long_is_counted(
    api: Any, limited: httpx.Client, users: Any, count_statements: Callable[[], int]
) -> None:
    for client, filters, expected in (
        (limited, {}, (400, 1)),
        (limited, {"is_active": False}, (200, 2)),
        (limited, {"limit": 1}, (200, 1)),
        (limited, {"user_id": users[0]["user_id"]}, (200, 1)),
        (limited, {"mob_num": users[0]["mob_num"]}, (200, 1)),
        (api.client, {}, (200, 1)),  # by default there is no maximum
    ):
        count_statements()
        assert (client.post("/get_users", json=filters).status_code, count_statements()) == expected, filters
