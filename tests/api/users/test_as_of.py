"""get_users with as_of: the records that were current at an earlier time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from api.users import service
from domain.timestamps import format_timestamp, shift_timestamp
from domain.users.changes import Attribution
from persistence import users as store
from persistence.database.connections import reading, transaction
from persistence.users.tables import LOGS
from tests.support.serving import serving_service
from tests.support.users import EAST, NORTH, SOUTH

Record = dict[str, Any]


def _change(api: Any, user: Record, **changes: Any) -> Record:
    """Updates a user and returns the current record, whose `updated_at` is the time of the change."""
    assert api.update([user["user_id"]], **changes).status_code == 200
    (record,) = api.get(user_id=user["user_id"], is_active=True)
    return dict(record)


def _states(api: Any) -> list[tuple[str, Record]]:
    """The records of a user after each kind of change, with their times."""
    user = api.create(mob_num="9876543210")
    renamed = _change(api, user, full_name="Asha Devi")
    assigned = _change(api, user, manager_id=NORTH)
    reassigned = _change(api, user, manager_id=SOUTH)
    moved = _change(api, user, mob_num="9876543211", pan_num="ABCPE9999F")
    states = [renamed, assigned, reassigned, moved]
    return [(user["created_at"], user), *((state["updated_at"], state) for state in states)]


def test_each_change_counts_from_its_time_on(api: Any) -> None:
    states = _states(api)
    ends = [*(time for time, _ in states[1:]), format_timestamp(datetime.now(UTC))]
    for filters in ({}, {"user_id": states[0][1]["user_id"]}):
        for (time, state), end in zip(states, ends, strict=True):
            assert api.get(as_of=time, **filters) == [state]
            assert api.get(as_of=shift_timestamp(end, microseconds=-1), **filters) == [state]
        assert api.get(as_of=shift_timestamp(states[0][0], microseconds=-1), **filters) == []


def test_a_number_selects_who_held_it_then(api: Any) -> None:
    first = api.create(mob_num="9876543210")
    moved = _change(api, first, mob_num="9876543211")
    second = api.create(mob_num="9876543210")
    renamed = _change(api, second, full_name="Bala")
    held = {
        first["created_at"]: ([first], []),
        moved["updated_at"]: ([], [moved]),
        second["created_at"]: ([second], [moved]),
        renamed["updated_at"]: ([renamed], [moved]),
    }
    for time, holders in held.items():
        assert (api.get(as_of=time, mob_num="+91 98765 43210"), api.get(as_of=time, mob_num="9876543211")) == holders
        assert api.get(as_of=time, mob_num="9876543210", user_id=moved["user_id"]) == [
            record for record in holders[0] if record["user_id"] == moved["user_id"]
        ]


def test_a_manager_selects_who_was_assigned_then(api: Any) -> None:
    user, other = api.create(manager_id=NORTH), api.create(manager_id=NORTH)
    moved = _change(api, user, manager_id=SOUTH)
    assert api.get(as_of=other["created_at"], manager_id=NORTH) == [user, other]
    assert api.get(as_of=moved["updated_at"], manager_id=NORTH) == [other]
    assert api.get(as_of=moved["updated_at"], manager_id=SOUTH, user_id=user["user_id"]) == [moved]
    assert api.get(as_of=moved["updated_at"], manager_id=EAST) == []


@pytest.mark.parametrize("reason", [None, "asked for it"])
def test_a_user_deleted_since_does_not_appear(api: Any, reason: str | None) -> None:
    user, other = api.create(), api.create()
    now = datetime.now(UTC)
    with transaction() as connection:
        store.delete_user(connection, "user_id", user["user_id"], Attribution(reason=reason), now=now)
    for time in (other["created_at"], format_timestamp(datetime.now(UTC))):
        assert api.get(as_of=time) == [other]
        assert api.get(as_of=time, user_id=user["user_id"]) == api.get(as_of=time, mob_num=user["mob_num"]) == []


def test_any_zone_and_precision_names_the_same_time(api: Any) -> None:
    user = api.create()
    _change(api, user, full_name="Later")
    time = datetime.fromisoformat(user["created_at"])
    india = time.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert api.get(as_of=india.isoformat(timespec="microseconds")) == [user]
    assert api.get(as_of=f"{user['created_at'][:-1]}-00:00") == [user]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"as_of": "2026-11-20T12:00:00.1234567Z"}, [("/as_of", "as-of-invalid")]),
        ({"as_of": "2026-11-20T12:00:00.1234560Z"}, [("/as_of", "as-of-invalid")]),
        ({"as_of": "2026-11-20T12:00:00"}, [("/as_of", "as-of-invalid")]),
        ({"as_of": "2026-11-20"}, [("/as_of", "as-of-invalid")]),
        ({"as_of": "2026-02-30T12:00:00Z"}, [("/as_of", "as-of-invalid")]),
        ({"as_of": 5}, [("/as_of", "wrong-type")]),
        ({"as_of": None}, [("/as_of", "wrong-type")]),
        ({"as_of": "2999-01-01T00:00:00Z"}, [("/as_of", "as-of-in-future")]),
        ({"as_of": "2026-11-20T12:00:00Z", "is_active": True}, [("/is_active", "not-with-as-of")]),
        (
            {"as_of": "x", "user_ids": [NORTH], "mob_nums": ["1"], "cursor": "x"},
            [
                ("/as_of", "as-of-invalid"),
                ("/cursor", "cursor-invalid"),
                ("/limit", "missing-key"),
                ("/mob_nums", "not-with-as-of"),
                ("/mob_nums/0", "mob-num-invalid"),
                ("/user_ids", "not-with-as-of"),
            ],
        ),
    ],
)
def test_a_time_that_cannot_be_listed_is_rejected(api: Any, errors_of: Any, body: Any, errors: Any) -> None:
    response = api.post("get_users", body)
    assert response.status_code == 400
    assert errors_of(response) == errors


def test_a_clock_may_be_five_seconds_ahead(api: Any, errors_of: Any) -> None:
    user = api.create()
    assert api.get(as_of=format_timestamp(datetime.now(UTC) + timedelta(seconds=4))) == [user]
    response = api.post("get_users", {"as_of": format_timestamp(datetime.now(UTC) + timedelta(seconds=30))})
    assert errors_of(response) == [("/as_of", "as-of-in-future")]


def test_a_time_before_the_log_names_the_earliest(api: Any, errors_of: Any) -> None:
    with reading() as connection:
        earliest = str(connection.execute(select(LOGS.c.began_at)).scalar_one())
    assert api.get(as_of=earliest) == []
    response = api.post("get_users", {"as_of": shift_timestamp(earliest, microseconds=-1)})
    assert response.status_code == 400
    assert errors_of(response) == [("/as_of", "before-history")]
    problem = response.json()
    assert problem["type"] == "/problems/before-history"
    assert problem["earliest"] == earliest
    assert earliest in problem["detail"]


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_pages_hold_every_record_once_despite_later_changes(api: Any, limit: int) -> None:
    users = [api.create(manager_id=NORTH) for _ in range(5)]
    time = users[-1]["created_at"]
    listed: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.post("get_users", {"as_of": time, "limit": limit, **cursor}).json()
        listed += page["users"]
        api.update([user["user_id"] for user in users], manager_id=SOUTH)
        api.create()
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert listed == users


def test_a_cursor_continues_lists_of_its_kind_only(api: Any, errors_of: Any) -> None:
    time = [api.create() for _ in range(3)][-1]["created_at"]
    plain = api.post("get_users", {"limit": 1}).json()["next_cursor"]
    earlier = api.post("get_users", {"limit": 1, "as_of": time}).json()["next_cursor"]
    for body in ({"cursor": plain, "as_of": time}, {"cursor": earlier}):
        response = api.post("get_users", {"limit": 1, **body})
        assert response.status_code == 400
        assert errors_of(response) == [("/cursor", "cursor-invalid")]
    assert len(api.get(limit=5, cursor=plain)) == len(api.get(limit=5, cursor=earlier, as_of=time)) == 2


def test_a_list_longer_than_the_maximum_requires_a_limit(api: Any, tmp_path: Path, errors_of: Any) -> None:
    users = [api.create(manager_id=manager_id) for manager_id in (NORTH, NORTH, SOUTH)]
    time = users[-1]["created_at"]
    with serving_service(service, tmp_path, LIST_ROWS_MAX="2") as limited:
        for route in ("/get_users", "/get_users_masked"):
            assert errors_of(limited.post(route, json={"as_of": time})) == [("/limit", "limit-required")]
        for filters, count in (
            ({"limit": 3}, 3),
            ({"manager_id": NORTH}, 2),
            ({"user_id": users[0]["user_id"]}, 1),
            ({"mob_num": users[0]["mob_num"]}, 1),
        ):
            assert len(limited.post("/get_users", json={"as_of": time, **filters}).json()["users"]) == count


Plans = Callable[[Callable[[], Any]], list[str]]


def test_the_log_is_read_once_and_sought_by_user_and_number(api: Any, plans: Plans) -> None:
    user = api.create()
    time, user_id, mob_num = user["created_at"], user["user_id"], user["mob_num"]
    steps = plans(lambda: api.get(as_of=time))
    assert sorted(step for step in steps if "user_change" in step) == [
        "SCAN user_changes USING COVERING INDEX ux_user_changes_user_id",
        "SEARCH user_change_values USING INTEGER PRIMARY KEY (rowid=?)",
        "SEARCH user_changes USING INTEGER PRIMARY KEY (rowid=?)",
    ]
    seek = "SEARCH user_changes USING COVERING INDEX ux_user_changes_user_id (user_id=? AND changed_at<?)"
    assert seek in (steps := plans(lambda: api.get(as_of=time, user_id=user_id)))
    assert "SCAN user_change" not in "\n".join(steps)
    assert seek in (steps := plans(lambda: api.get(as_of=time, mob_num=mob_num)))
    assert "SEARCH had USING COVERING INDEX ix_user_change_values_mob_num (mob_num=?)" in steps
    assert "SCAN user_change" not in "\n".join(steps)


# ---- what get_users returned then

POSITIONS: Final = st.integers(0, 5)
CALLS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.sampled_from(["9876543210", "9876543211", "9876543212"])),
        st.tuples(st.just("rename"), POSITIONS),
        st.tuples(st.just("renumber"), POSITIONS),
        st.tuples(st.just("assign"), POSITIONS, st.sampled_from([NORTH, SOUTH])),
        st.tuples(st.just("assign all"), st.sampled_from([NORTH, SOUTH])),
        st.tuples(st.just("delete"), POSITIONS),
    ),
    min_size=3,
    max_size=12,
)


def _call(api: Any, users: list[Record], kind: str, *values: Any) -> None:
    ids = [user["user_id"] for user in users]
    if kind == "create":
        api.post("create_user", api.new_user(mob_num=values[0]))
    elif not ids:
        return
    elif kind == "assign all":
        api.update(ids, manager_id=values[0])
    elif kind == "delete":
        api.post("delete_user", {"user_id": ids[values[0] % len(ids)]})
    else:
        number = {"mob_num": "9876543212"}
        changes = {"rename": {"full_name": str(len(ids))}, "renumber": number, "assign": {"manager_id": values[-1]}}
        api.update([ids[values[0] % len(ids)]], **changes[kind])


@pytest.mark.slow
def test_a_list_as_of_any_change_is_what_get_users_returned_then(api: Any) -> None:
    @settings(max_examples=60)
    @given(calls=CALLS)
    def check(calls: list[Any]) -> None:
        for user in api.get(is_active=True):
            api.post("delete_user", {"user_id": user["user_id"]})
        states: list[tuple[str, list[Record]]] = []
        for call in calls:
            _call(api, api.get(is_active=True), *call)
            states.append((format_timestamp(datetime.now(UTC)), api.get(is_active=True)))
        remaining = {user["user_id"] for user in states[-1][1]}
        for time, state in states:
            known = [user for user in state if user["user_id"] in remaining]
            assert api.get(as_of=time) == known
            changed = {str(user["updated_at"] or user["created_at"]) for user in known}
            assert not changed or api.get(as_of=max(changed)) == known

    check()
