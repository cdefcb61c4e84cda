"""The effect of an update on a user's versions, and rejected updates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import RollbookError, Violation
from domain.users.errors import (
    BulkUpdateKeysError,
    ManagerInactiveError,
    ManagerUnknownError,
    UserNotFoundError,
    UsersNotFoundError,
)
from domain.users.versions import (
    Changes,
    CurrentUser,
    new_user,
    plan_update,
    require_active_manager,
    require_bulk_keys,
    user_not_found,
)
from tests.support.users import ASHA, BALA, CHAN, EAST, NORTH, SOUTH


def test_a_new_user_is_active_and_was_never_updated() -> None:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    assert new_user("Asha Rao", "9876543210", "ABCPE1234F", None, user_id=ASHA, now=now) == {
        "user_id": ASHA,
        "manager_id": None,
        "full_name": "Asha Rao",
        "mob_num": "9876543210",
        "pan_num": "ABCPE1234F",
        "created_at": "2024-01-01T00:00:00.000000Z",
        "updated_at": None,
        "is_active": True,
    }


# ---- errors that need more than a field


@pytest.mark.parametrize(
    ("user_ids", "changes"),
    [
        ([ASHA], Changes(full_name="Asha Rao")),
        ([ASHA], Changes(full_name="Asha Rao", mob_num="9876543210", pan_num="ABCPE1234F", manager_id=NORTH)),
        ([ASHA, BALA, CHAN], Changes(manager_id=NORTH)),
    ],
)
def test_any_key_updates_one_user_and_a_manager_several(user_ids: list[str], changes: Changes) -> None:
    before = Changes(**changes)
    require_bulk_keys(user_ids, changes)
    assert changes == before


@pytest.mark.parametrize(
    ("changes", "extra_keys"),
    [
        (Changes(full_name="Asha Rao"), ["full_name"]),
        (Changes(manager_id=NORTH, mob_num="9876543210"), ["mob_num"]),
        (Changes(pan_num="ABCPE1234F", manager_id=NORTH, full_name="Asha Rao"), ["pan_num", "full_name"]),
        (
            Changes(full_name="Asha Rao", mob_num="9876543210", pan_num="ABCPE1234F"),
            ["full_name", "mob_num", "pan_num"],
        ),
    ],
)
def test_the_error_for_a_bulk_update_names_each_other_key(changes: Changes, extra_keys: list[str]) -> None:
    with pytest.raises(BulkUpdateKeysError) as caught:
        require_bulk_keys([ASHA, BALA], changes)
    error = caught.value
    assert error.member_values == {"extra_keys": extra_keys}
    assert "can be updated on an individual basis only and not in bulk" in error.detail
    assert all(key in error.detail for key in extra_keys)
    assert error.violations == [Violation((key,), "bulk-update-keys", error.detail) for key in extra_keys]


@pytest.mark.parametrize(("is_active", "kind"), [(None, ManagerUnknownError), (False, ManagerInactiveError)])
def test_a_manager_must_exist_and_be_active(is_active: bool | None, kind: type[RollbookError]) -> None:
    require_active_manager(is_active=True)
    with pytest.raises(kind) as caught:
        require_active_manager(is_active)
    assert caught.value.violations == [Violation(("manager_id",), kind.code, kind.detail)]
    assert caught.value.member_values == {}


@pytest.mark.parametrize("key", ["user_id", "mob_num"])
def test_the_error_for_a_user_who_is_not_found_names_the_given_key(key: str) -> None:
    error = user_not_found(key)
    assert type(error) is UserNotFoundError
    assert key in error.detail
    assert error.violations == [Violation((key,), "user-not-found", error.detail)]


# ---- update


def user(row_id: int, user_id: str = ASHA, manager_id: str | None = None, **values: str) -> CurrentUser:
    stored: dict[str, Any] = {"full_name": "Asha Rao", "mob_num": "9876543210", "pan_num": "ABCPE1234F", **values}
    return CurrentUser(
        id=row_id, user_id=user_id, manager_id=manager_id, version=3, changed_at="2024-01-01T00:00:00.000000Z", **stored
    )


class Effect(NamedTuple):
    """The parts of a plan without its log."""

    in_place: list[int]
    superseded: list[int]
    updated: list[str]
    unchanged: list[str]
    not_found: list[str]


def effect(user_ids: Sequence[str], current: Sequence[CurrentUser], changes: Changes) -> Effect:
    plan = plan_update(user_ids, current, changes)
    return Effect(plan.in_place, plan.superseded, plan.updated, plan.unchanged, plan.not_found)


OTHER_VALUES = [
    Changes(full_name="Asha Iyer"),
    Changes(mob_num="6000000000"),
    Changes(pan_num="ABCPE1234G"),
    Changes(full_name="Asha Rao", mob_num="9876543210", pan_num="ABCPE1234G"),  # one different value among equal ones
    Changes(full_name="Asha Iyer", mob_num="6000000000", pan_num="ABCPE1234G"),
]
SAME_VALUES = [
    Changes(full_name="Asha Rao"),
    Changes(mob_num="9876543210"),
    Changes(full_name="Asha Rao", mob_num="9876543210", pan_num="ABCPE1234F"),
]
IN_PLACE = Effect(in_place=[7], superseded=[], updated=[ASHA], unchanged=[], not_found=[])
SUPERSEDED = Effect(in_place=[], superseded=[7], updated=[ASHA], unchanged=[], not_found=[])
UNCHANGED = Effect(in_place=[], superseded=[], updated=[], unchanged=[ASHA], not_found=[])


@pytest.mark.parametrize("values", OTHER_VALUES)
@pytest.mark.parametrize(
    ("stored", "sent", "plan"),
    [
        (None, None, IN_PLACE),
        (NORTH, None, IN_PLACE),
        (NORTH, NORTH, IN_PLACE),
        (None, NORTH, IN_PLACE),
        (SOUTH, NORTH, SUPERSEDED),
    ],
)
def test_only_another_manager_supersedes_a_version(
    stored: str | None, sent: str | None, plan: Effect, values: Changes
) -> None:
    changes = values if sent is None else Changes(**values, manager_id=sent)
    assert effect([ASHA], [user(7, manager_id=stored)], changes) == plan


@pytest.mark.parametrize(
    ("stored", "plan"), [(None, IN_PLACE), (SOUTH, SUPERSEDED), (NORTH, UNCHANGED)], ids=["none", "another", "same"]
)
@pytest.mark.parametrize("values", [Changes(), *SAME_VALUES])
def test_beside_equal_values_the_manager_alone_decides(stored: str | None, plan: Effect, values: Changes) -> None:
    changes = Changes(**values, manager_id=NORTH)
    assert effect([ASHA], [user(7, manager_id=stored)], changes) == plan


@pytest.mark.parametrize("manager_id", [None, NORTH])
@pytest.mark.parametrize("changes", SAME_VALUES)
def test_values_equal_to_what_is_stored_write_nothing(changes: Changes, manager_id: str | None) -> None:
    assert effect([ASHA], [user(7, manager_id=manager_id)], changes) == UNCHANGED


def test_unknown_ids_are_skipped_and_reported_in_the_order_of_the_request() -> None:
    unknown = [f"00000000-0000-4000-8000-00000000000{digit}" for digit in (3, 1, 2)]
    plan = effect([unknown[0], ASHA, unknown[1], unknown[2]], [user(7)], Changes(manager_id=NORTH))
    assert plan == Effect(in_place=[7], superseded=[], updated=[ASHA], unchanged=[], not_found=unknown)


def test_each_user_of_a_bulk_update_is_decided_alone() -> None:
    current = [user(1, ASHA), user(2, BALA, NORTH), user(3, CHAN, SOUTH)]
    plan = effect([CHAN, BALA, ASHA], current, Changes(manager_id=NORTH))
    assert plan == Effect(in_place=[1], superseded=[3], updated=[CHAN, ASHA], unchanged=[BALA], not_found=[])


def test_an_update_of_unknown_ids_alone_is_rejected_and_names_them_in_order() -> None:
    with pytest.raises(UsersNotFoundError) as caught:
        plan_update([CHAN, ASHA, BALA], [], Changes(manager_id=NORTH))
    assert caught.value.member_values == {"not_found": [CHAN, ASHA, BALA]}


def test_users_who_are_all_unchanged_are_no_error() -> None:
    current = [user(1, ASHA, NORTH), user(2, BALA, NORTH)]
    plan = effect([BALA, ASHA], current, Changes(manager_id=NORTH))
    assert plan == Effect(in_place=[], superseded=[], updated=[], unchanged=[BALA, ASHA], not_found=[])


manager_ids = st.sampled_from([NORTH, SOUTH, EAST])
changes_of_a_user = st.fixed_dictionaries(
    {},
    optional={
        "full_name": st.sampled_from(["Asha Rao", "Asha Iyer"]),
        "mob_num": st.sampled_from(["9876543210", "6000000000"]),
        "pan_num": st.sampled_from(["ABCPE1234F", "ABCPE1234G"]),
        "manager_id": manager_ids,
    },
).filter(bool)


@given(
    st.permutations([f"00000000-0000-4000-8000-00000000000{digit}" for digit in range(6)]),
    st.lists(st.none() | manager_ids, min_size=1, max_size=5),
    manager_ids,
    st.permutations(range(6)),
)
@settings(max_examples=100)
def test_every_id_is_reported_once_and_every_write_belongs_to_an_updated_user(
    user_ids: list[str], managers: list[str | None], manager_id: str, order: list[int]
) -> None:
    current = [user(10 + position, user_ids[position], stored) for position, stored in enumerate(managers)]
    requested = [user_ids[position] for position in order]
    plan = effect(requested, current, Changes(manager_id=manager_id))
    stored_managers = {one.user_id: one.manager_id for one in current}
    rows = {one.user_id: one.id for one in current}
    assert plan.not_found == [one for one in requested if one not in stored_managers]
    assert plan.unchanged == [one for one in requested if stored_managers.get(one) == manager_id]
    assert plan.updated == [one for one in requested if one not in {*plan.not_found, *plan.unchanged}]
    assert plan.in_place == [rows[one] for one in plan.updated if stored_managers[one] is None]
    assert plan.superseded == [rows[one] for one in plan.updated if stored_managers[one] is not None]


class Version(NamedTuple):
    """A row of a user's history, as the contract describes it; `updates` counts how often it was written."""

    number: int
    current: CurrentUser
    is_active: bool
    updates: int


def carry_out(history: Sequence[Version], changes: Changes) -> list[Version]:
    """Returns the history after an update, from the plan of `plan_update` and the contract."""
    *closed, last = history
    plan = effect([last.current.user_id], [last.current], changes)
    after = last.current._replace(**cast("dict[str, Any]", changes))
    if plan.in_place:
        assert plan.in_place == [last.current.id]
        return [*closed, last._replace(current=after, updates=last.updates + 1)]
    if plan.superseded:
        assert plan.superseded == [last.current.id]
        opened = Version(last.number + 1, after._replace(id=last.current.id + 1), is_active=True, updates=1)
        return [*closed, last._replace(is_active=False, updates=last.updates + 1), opened]
    return list(history)


@given(st.none() | manager_ids, st.lists(changes_of_a_user, max_size=12))
@settings(max_examples=200)
def test_the_chain_of_versions_holds_whatever_the_updates(first: str | None, updates: list[Changes]) -> None:
    history = [Version(1, user(1, ASHA, first), is_active=True, updates=0)]
    for changes in updates:
        before, history = history, carry_out(history, changes)
        was, now = before[-1].current, history[-1].current

        assert [version.number for version in history] == list(range(1, len(history) + 1))
        assert [version.is_active for version in history] == [False] * (len(history) - 1) + [True]
        assert history[: len(before) - 1] == before[:-1], "a closed version was written"
        managers = [version.current.manager_id for version in history]
        assert all(one != following for one, following in pairwise(managers))
        assert None not in managers[:-1], "a version was opened for a first manager"

        moved = was.manager_id is not None and changes.get("manager_id", was.manager_id) != was.manager_id
        assert len(history) - len(before) == moved
        assert now._replace(id=was.id) == was._replace(**cast("dict[str, Any]", changes))
        if moved:
            assert history[-2].current == was, "the data of the version that was closed changed"
        if now == was:
            assert history == before, "equal values were written"
