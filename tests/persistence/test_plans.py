"""No endpoint scans a table for one user, one number or one manager: SQLite's plans of the executed statements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from persistence import users as store
from persistence.database.connections import reading

Plans = Callable[[Callable[[], Any]], list[str]]


def _indexes(steps: list[str]) -> set[str]:
    assert not [step for step in steps if step.startswith(("SCAN user", "SCAN holder"))], steps
    return {step.split("USING INDEX ")[1].split(" ")[0] for step in steps if "USING INDEX " in step}


CURRENT, SUPERSEDED, NUMBER = "ux_users_current_user_id", "ix_users_superseded_user_id", "ux_users_current_mob_num"
PAGING: list[dict[str, Any]] = [{}, {"is_active": True}, {"is_active": False}, {"limit": 5}]


@pytest.mark.parametrize("paging", PAGING)
def test_get_users_seeks_a_user_id(api: Any, plans: Plans, unknown_id: str, paging: dict[str, Any]) -> None:
    expected = {True: {CURRENT}, False: {SUPERSEDED}}.get(paging.get("is_active"), {CURRENT, SUPERSEDED})  # type: ignore[arg-type]
    assert _indexes(plans(lambda: api.get(user_id=unknown_id, **paging))) == expected


@pytest.mark.parametrize("paging", PAGING)
def test_get_users_seeks_a_number(api: Any, plans: Plans, paging: dict[str, Any]) -> None:
    assert NUMBER in _indexes(plans(lambda: api.get(mob_num="9876543210", **paging)))


@pytest.mark.parametrize("paging", PAGING)
def test_get_users_seeks_a_manager_in_the_order_of_the_response(
    api: Any, plans: Plans, managers: list[str], paging: dict[str, Any]
) -> None:
    steps = plans(lambda: api.get(manager_id=managers[0], **paging))
    assert _indexes(steps) == {"ix_users_manager_id"}
    assert not [step for step in steps if "ORDER BY" in step]


def test_create_users_seeks_its_numbers_and_managers(api: Any, plans: Plans, managers: list[str]) -> None:
    api.create()
    bodies = [api.new_user(manager_id=manager_id) for manager_id in managers]
    steps = plans(lambda: api.post("create_users", {"users": bodies, "dry_run": True}))
    assert _indexes(steps) == {NUMBER, "sqlite_autoindex_managers_1"}


@pytest.mark.parametrize("limit", [{}, {"limit": 1}])
def test_a_listing_of_all_follows_the_index_of_its_order(api: Any, plans: Plans, limit: dict[str, int]) -> None:
    steps = plans(lambda: api.get(**limit))
    assert steps == ["SCAN users USING INDEX ix_users_created_at"]


def test_a_later_page_seeks_its_place(api: Any, plans: Plans) -> None:
    api.create()
    api.create()
    cursor = api.post("get_users", {"limit": 1}).json()["next_cursor"]
    steps = plans(lambda: api.get(limit=1, cursor=cursor))
    assert _indexes(steps) == {"ix_users_created_at"}
    assert not [step for step in steps if "ORDER BY" in step]


@pytest.mark.parametrize(
    ("filters", "step"),
    [
        (store.Filters(), "SCAN users USING COVERING INDEX ix_users_created_at"),
        (store.Filters(is_active=True), f"SCAN users USING INDEX {NUMBER}"),
        (store.Filters(is_active=False), f"SCAN users USING INDEX {SUPERSEDED}"),
        (store.Filters(manager_id="a"), "SEARCH users USING COVERING INDEX ix_users_manager_id (manager_id=?)"),
        (store.Filters(None, None, "a", True), "SEARCH users USING INDEX ix_users_manager_id (manager_id=?)"),
    ],
)
def test_a_count_of_records_reads_an_index_up_to_its_limit(plans: Plans, filters: store.Filters, step: str) -> None:
    def count() -> None:
        with reading() as connection:
            store.has_more_records(connection, filters, 5)

    assert plans(count) == ["CO-ROUTINE anon_1", step, "SCAN anon_1"]  # a co-routine ends with its LIMIT


LOG, VALUES = "SEARCH user_changes USING INDEX ux_user_changes_user_id (user_id=?", "SEARCH user_change_values USING "


@pytest.mark.parametrize("key", ["user_id", "mob_num"])
def test_a_history_seeks_its_user_in_the_order_of_the_response(api: Any, plans: Plans, key: str) -> None:
    user = api.create()
    api.update([user["user_id"]], full_name="New")
    page = {key: user[key], "limit": 1}
    cursor = api.post("get_user_history", page).json()["next_cursor"]
    for body, after in (({key: user[key]}, ""), ({**page, "cursor": cursor}, " AND changed_at>?")):
        steps = plans(lambda body=body: api.post("get_user_history", body))  # type: ignore[misc]
        holder = [f"SEARCH users USING INDEX {NUMBER} (mob_num=?)"] if key == "mob_num" else []
        assert sorted(step for step in steps if not step.startswith(("SCALAR", VALUES))) == [f"{LOG}{after})", *holder]
        assert [step for step in steps if step.startswith(VALUES)] == [
            f"{VALUES}INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN"
        ]


def test_the_feed_seeks_its_place(api: Any, plans: Plans) -> None:
    api.create()
    after = api.post("get_changes").json()["next"]
    for body in ({}, {"after": after}):
        steps = plans(lambda body=body: api.post("get_changes", body))  # type: ignore[misc]
        assert steps == ["SEARCH user_changes USING INTEGER PRIMARY KEY (rowid>?)"]


@pytest.mark.parametrize("key", ["user_id", "mob_num"])
def test_delete_user_seeks(api: Any, plans: Plans, managers: list[str], key: str) -> None:
    user = api.create(manager_id=managers[0])
    api.update([user["user_id"]], manager_id=managers[1])
    steps = plans(lambda: api.post("delete_user", {key: user[key]}))
    assert "SEARCH user_changes USING COVERING INDEX ux_user_changes_user_id (user_id=?)" in steps
    indexes = _indexes(steps)
    assert indexes == {CURRENT if key == "user_id" else NUMBER, SUPERSEDED, "ix_stored_response_users_user_id"}


def test_update_user_seeks(api: Any, plans: Plans, managers: list[str]) -> None:
    ids = [api.create()["user_id"], api.create(manager_id=managers[0])["user_id"]]
    steps = plans(lambda: api.update(ids, manager_id=managers[1]))
    assert CURRENT in _indexes(steps)
    assert len([step for step in steps if step == "SEARCH users USING INTEGER PRIMARY KEY (rowid=?)"]) == 3
