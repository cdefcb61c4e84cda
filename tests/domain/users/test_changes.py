"""What the log of changes says of creations and updates, and its timestamps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.timestamps import format_timestamp
from domain.users.changes import Change, Operation, next_timestamp
from domain.users.versions import Changes, CurrentUser, creation, new_user, plan_update
from tests.support.users import ASHA, BALA, CHAN, NORTH, SOUTH

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def user(user_id: str, manager_id: str | None) -> CurrentUser:
    return CurrentUser(1, user_id, manager_id, "Asha Rao", "9876543210", "ABCPE1234F", 3, format_timestamp(NOON))


@pytest.mark.parametrize(
    ("manager_id", "changed"),
    [(None, ("full_name", "mob_num", "pan_num")), (NORTH, ("full_name", "mob_num", "pan_num", "manager_id"))],
)
def test_a_creation_names_the_columns_that_were_given(manager_id: str | None, changed: tuple[str, ...]) -> None:
    record = new_user("Asha Rao", "9876543210", "ABCPE1234F", manager_id, user_id=ASHA, now=NOON)
    assert creation(record) == Change(ASHA, 1, Operation.CREATED, changed, manager_id)


@pytest.mark.parametrize(
    ("stored", "changes", "change"),
    [
        (NORTH, Changes(full_name="Asha Iyer"), Change(ASHA, 3, Operation.UPDATED, ("full_name",), NORTH)),
        (None, Changes(manager_id=NORTH), Change(ASHA, 3, Operation.UPDATED, ("manager_id",), NORTH)),
        (SOUTH, Changes(manager_id=NORTH), Change(ASHA, 4, Operation.REASSIGNED, ("manager_id",), NORTH)),
        (
            SOUTH,
            Changes(full_name="Asha Rao", pan_num="ABCPE1234G", manager_id=NORTH),
            Change(ASHA, 4, Operation.REASSIGNED, ("pan_num", "manager_id"), NORTH),
        ),
    ],
    ids=["a name", "a first manager", "another manager", "an equal value is no change"],
)
def test_an_update_names_the_columns_that_differ(stored: str | None, changes: Changes, change: Change) -> None:
    assert plan_update([ASHA], [user(ASHA, stored)], changes).log == [change]


def test_users_who_are_unchanged_or_unknown_are_not_logged() -> None:
    plan = plan_update([CHAN, BALA, ASHA], [user(ASHA, SOUTH), user(BALA, NORTH)], Changes(manager_id=NORTH))
    assert [change.user_id for change in plan.log] == plan.updated == [ASHA]


@given(moments, st.lists(moments, max_size=4))
def test_a_timestamp_follows_the_clock_and_every_earlier_change(now: datetime, earlier: list[datetime]) -> None:
    timestamp = next_timestamp(now, [format_timestamp(moment) for moment in earlier])
    expected: Any = max([now, *(moment + timedelta(microseconds=1) for moment in earlier)])
    assert timestamp == format_timestamp(expected)
