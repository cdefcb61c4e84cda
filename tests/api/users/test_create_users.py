"""create_users: its contract, sentence by sentence."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from api.http.requests import BodyInvalidError, parse_object
from api.users.bulk_schemas import create_users_model
from api.users.settings import UsersSettings
from persistence.database import connections
from persistence.users.tables import CHANGES, USERS, VALUES
from tests.support.rows import reset_database
from tests.support.seed import SEED_MANAGERS
from tests.support.threads import at_once

MEBIBYTE: Final = 1024 * 1024


def _bodies(api: Any, count: int, **fields: Any) -> list[dict[str, Any]]:
    return [api.new_user(**fields) for _ in range(count)]


def _create(api: Any, users: Any, **more: Any) -> Any:
    return api.post("create_users", {"users": users, **more})


def _problem(response: Any) -> tuple[int, str, list[tuple[str, str]]]:
    problem = response.json()
    errors = [(error["pointer"], error["code"]) for error in problem["errors"]]
    return response.status_code, problem["type"].removeprefix("/problems/"), sorted(errors)


# ---- what is created


def test_users_are_created_and_returned_as_get_users_has_them(api: Any, managers: list[str]) -> None:
    first = {"full_name": " Asha ", "mob_num": "+91 98765-43210", "pan_num": "abcpe1234f", "manager_id": managers[0]}
    response = _create(api, [first, api.new_user(manager_id=None), api.new_user()])
    assert response.status_code == 201
    created = response.json()
    assert list(created) == ["message", "users"]
    assert created["message"] == "Users created: 3."
    assert api.get() == created["users"]
    assert [uuid.UUID(user["user_id"]).version for user in created["users"]] == [4, 4, 4]
    user = created["users"][0]
    assert (user["full_name"], user["mob_num"], user["pan_num"]) == ("Asha", "9876543210", "ABCPE1234F")
    assert [user["manager_id"] for user in created["users"]] == [managers[0], None, None]


def test_rows_have_ids_in_the_order_of_the_request(api: Any, stored: Any) -> None:
    bodies = sorted(_bodies(api, 1000), key=lambda body: body["mob_num"][::-1])
    users = _create(api, bodies).json()["users"]
    assert [user["mob_num"] for user in users] == [body["mob_num"] for body in bodies]
    assert [number for (number,) in stored("mob_num")] == [body["mob_num"] for body in bodies]
    assert api.get() == users


def test_each_creation_is_logged_with_who_and_why(api: Any, managers: list[str]) -> None:
    bodies = [api.new_user(manager_id=managers[0]), api.new_user()]
    first, second = _create(api, bodies, changed_by="Meera", reason="A new branch").json()["users"]
    with connections.reading() as connection:
        columns = [column for column in CHANGES.c if column.name != "feed_position"]  # SQL Server's alone
        logged = select(*columns, VALUES).join_from(CHANGES, VALUES)
        rows = [dict(row) for row in connection.execute(logged).mappings()]
    keys = ("full_name", "mob_num", "pan_num", "manager_id", "user_id", "created_at")
    by_user = {row["user_id"]: row for row in rows}
    assert [[by_user[user["user_id"]][key] for key in keys] for user in (first, second)] == [
        [user[key] for key in keys] for user in (first, second)
    ]
    assert by_user[first["user_id"]]["changed"] == "full_name,mob_num,pan_num,manager_id"
    assert by_user[second["user_id"]]["changed"] == "full_name,mob_num,pan_num"
    common = {(row["operation"], row["version"], row["changed_by"], row["reason"]) for row in rows}
    assert common == {("created", 1, "Meera", "A new branch")}
    assert len(rows) == 2


FIELDS: Final = st.fixed_dictionaries(
    {
        "full_name": st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(str.strip),
        "pan_num": st.sampled_from(["ABCPE1234F", " abcce1234f "]),
    },
    optional={"manager_id": st.sampled_from([None, *(m["manager_id"] for m in SEED_MANAGERS if m["is_active"])])},
)


def _contents() -> list[list[tuple[Any, ...]]]:
    """The rows of users, of the log and of its values, without ids and times."""
    columns = [column for column in USERS.c if column.name not in ("id", "user_id", "created_at")]
    log = [CHANGES.c.version, CHANGES.c.operation, CHANGES.c.changed, CHANGES.c.manager_id]
    values = [VALUES.c[name] for name in ("full_name", "mob_num", "pan_num", "updated_at", "reason")]
    with connections.reading() as connection:
        users = connection.execute(select(*columns).order_by(USERS.c.id)).fetchall()
        # Within one creation the order of the log is open: only a user's own changes have one.
        entries = connection.execute(select(*log, *values).join_from(CHANGES, VALUES).order_by(VALUES.c.mob_num))
        return [[tuple(row) for row in rows] for rows in (users, entries.fetchall())]


def _reset() -> None:
    with connections.transaction() as connection:
        reset_database(connection)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.lists(FIELDS, min_size=1, max_size=8))
def test_a_list_leaves_what_single_calls_leave(api: Any, fields: list[dict[str, Any]]) -> None:
    bodies = [{**body, "mob_num": f"+91{9_000_000_000 - number}"} for number, body in enumerate(fields)]
    _reset()
    singly = [api.create(**body) for body in bodies]
    expected = _contents()
    _reset()
    users = _create(api, bodies).json()["users"]
    assert _contents() == expected
    assert [{**user, "user_id": "", "created_at": ""} for user in users] == [
        {**user, "user_id": "", "created_at": ""} for user in singly
    ]


# ---- dry run


def test_a_dry_run_checks_everything_and_writes_nothing(
    api: Any, statements: list[str], managers: list[str], retired_manager: str
) -> None:
    taken = api.create()["mob_num"]
    bodies = [api.new_user(mob_num="+91 98765 43210", manager_id=managers[0]), api.new_user()]
    before = _contents()
    statements.clear()
    response = _create(api, bodies, dry_run=True)
    assert response.status_code == 200
    assert all(statement.startswith("SELECT") for statement in statements)
    users = response.json()["users"]
    assert users[0] == {**bodies[0], "mob_num": "9876543210", "manager_id": managers[0]}
    assert users[1] == {**bodies[1], "manager_id": None}
    assert response.json()["dry_run"] is True
    assert _create(api, [api.new_user(mob_num=taken)], dry_run=True).status_code == 409
    assert _create(api, [api.new_user(manager_id=retired_manager)], dry_run=True).status_code == 400
    assert _contents() == before
    assert _create(api, bodies).status_code == 201  # no number was taken


# ---- repetition


def test_a_repeated_call_with_a_key_returns_the_first_response(api: Any) -> None:
    key = {"Idempotency-Key": "import-1"}
    body = {"users": _bodies(api, 3)}
    first = api.post("create_users", body, headers=key)
    again = api.post("create_users", body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert len(api.get()) == 3
    other = api.post("create_users", {"users": _bodies(api, 3)}, headers=key)
    assert _problem(other)[:2] == (409, "idempotency-key-reused")


def test_the_stored_response_goes_with_any_of_its_users(api: Any) -> None:
    key = {"Idempotency-Key": "import-2"}
    body = {"users": _bodies(api, 3)}
    users = api.post("create_users", body, headers=key).json()["users"]
    assert api.post("delete_user", {"user_id": users[1]["user_id"]}).status_code == 200
    for repeated in (body, {"users": _bodies(api, 1)}):
        assert _problem(api.post("create_users", repeated, headers=key))[:2] == (410, "response-erased")
    assert [user["user_id"] for user in api.get()] == [users[0]["user_id"], users[2]["user_id"]]


# ---- what is rejected


def test_all_violations_of_all_bodies_are_named_together(api: Any) -> None:
    good = api.new_user(mob_num="9876543210")
    bodies = [
        good,
        {"mob_num": "12", "pan_num": 5, "manager_id": "x", "manger_id": "y"},
        "Asha",
        {**good, "mob_num": "+91 98765-43210"},
        {**good, "mob_num": "09876543210", "full_name": "", "dry_run": True},
    ]
    assert _problem(_create(api, bodies, x=1)) == (
        400,
        "body-invalid",
        [
            ("/users/1/full_name", "missing-key"),
            ("/users/1/manager_id", "uuid-invalid"),
            ("/users/1/manger_id", "unknown-key"),
            ("/users/1/mob_num", "mob-num-invalid"),
            ("/users/1/pan_num", "wrong-type"),
            ("/users/2", "wrong-type"),
            ("/users/3/mob_num", "mob-num-repeated"),
            ("/users/4/dry_run", "unknown-key"),
            ("/users/4/full_name", "full-name-invalid"),
            ("/users/4/mob_num", "mob-num-repeated"),
            ("/x", "unknown-key"),
        ],
    )
    assert api.get() == []


@pytest.mark.parametrize("key", ["dry_run", "changed_by", "reason", "details", "user_id"])
def test_a_body_has_no_key_but_the_four_of_create_user(api: Any, key: str) -> None:
    response = _create(api, [api.new_user(), api.new_user(**{key: "x"})])
    assert _problem(response) == (400, "body-invalid", [(f"/users/1/{key}", "unknown-key")])


@pytest.mark.parametrize(
    ("body", "place", "code"),
    [
        ({}, "/users", "missing-key"),
        ({"users": None}, "/users", "wrong-type"),
        ({"users": {"0": {}}}, "/users", "wrong-type"),
        ({"users": []}, "/users", "users-count"),
        ({"users": [{}] * 1001}, "/users", "users-count"),
        ({"users": [{f"k{key}": 0 for key in range(10_000)}]}, "", "too-many-keys"),
        ({"users": [], **{f"k{key}": 0 for key in range(10_000)}}, "", "too-many-keys"),
    ],
)
def test_users_is_a_list_of_1_to_1000_bodies(api: Any, body: dict[str, Any], place: str, code: str) -> None:
    assert _problem(api.post("create_users", body)) == (400, "body-invalid", [(place, code)])


def test_a_problem_lists_1000_violations_and_counts_the_others(api: Any) -> None:
    problem = _create(api, [{"mob_num": number} for number in range(1000)]).json()
    assert len(problem["errors"]) == 1000
    assert problem["more"] == 2000
    assert len(_create(api, [{} for _ in range(333)]).json()["errors"]) == 999


def test_managers_are_checked_after_the_fields_and_before_taken_numbers(
    api: Any, managers: list[str], unknown_id: str, retired_manager: str
) -> None:
    taken = api.create()["mob_num"]
    of = [managers[0], unknown_id, None, retired_manager, unknown_id]
    bodies = [api.new_user(mob_num=taken), *(api.new_user(manager_id=manager_id) for manager_id in of)]
    assert _problem(_create(api, [*bodies, api.new_user(pan_num="x")])) == (
        400, "body-invalid", [("/users/6/pan_num", "pan-num-invalid")],
    )  # fmt: skip
    assert _problem(_create(api, bodies)) == (
        400,
        "manager-unknown",
        [
            ("/users/2/manager_id", "manager-unknown"),
            ("/users/4/manager_id", "manager-inactive"),
            ("/users/5/manager_id", "manager-unknown"),
        ],
    )
    assert _problem(_create(api, bodies[4:5]))[1] == "manager-inactive"
    assert len(api.get()) == 1


def test_each_taken_number_has_its_place(api: Any) -> None:
    numbers = [api.create()["mob_num"] for _ in range(2)]
    before = api.get()
    bodies = [api.new_user(), api.new_user(mob_num="0" + numbers[1]), api.new_user(), api.new_user(mob_num=numbers[0])]
    places = [("/users/1/mob_num", "mob-num-taken"), ("/users/3/mob_num", "mob-num-taken")]
    assert _problem(_create(api, bodies)) == (409, "mob-num-taken", places)
    assert api.get() == before


def test_a_number_that_a_superseded_version_has_is_free(api: Any, managers: list[str]) -> None:
    user = api.create(manager_id=managers[0])
    api.update([user["user_id"]], manager_id=managers[1], mob_num="9876543210")
    assert _create(api, [api.new_user(mob_num=user["mob_num"])]).status_code == 201


def test_a_failure_half_way_leaves_nothing(api: Any, database_file: Path, stored: Any) -> None:
    bodies = _bodies(api, 1000)
    connection = sqlite3.connect(database_file)
    connection.execute(
        f"CREATE TRIGGER fail BEFORE INSERT ON user_change_values WHEN NEW.mob_num = '{bodies[500]['mob_num']}' "
        "BEGIN SELECT RAISE(ABORT, 'the disk burns'); END"
    )
    assert _create(api, bodies).status_code == 500
    assert stored("id") == []
    connection.execute("DROP TRIGGER fail")
    connection.close()
    assert _create(api, bodies).status_code == 201


def test_the_rules_of_fields_are_those_of_the_settings() -> None:
    users = [{"full_name": "Asha", "mob_num": "9876543210", "pan_num": "ABCZE1234F"}]
    body = json.dumps({"users": users, "changed_by": "Meera"}).encode()
    lenient = create_users_model(UsersSettings(pan_holder_check=False))
    assert parse_object(lenient, body).users[0].pan_num == "ABCZE1234F"
    with pytest.raises(BodyInvalidError) as caught:
        parse_object(create_users_model(UsersSettings(changed_by_header="X-Who")), body)
    found = {(violation.path, violation.code) for violation in caught.value.violations}
    assert found == {(("changed_by",), "unknown-key"), (("users", 0, "pan_num"), "pan-holder-invalid")}


# ---- costs and limits


@pytest.mark.parametrize("count", [1, 1000])
def test_a_creation_costs_the_same_for_any_number(api: Any, managers: list[str], statements: Any, count: int) -> None:
    bodies = [api.new_user(manager_id=managers[number % 4]) for number in range(count)]
    statements.clear()
    assert _create(api, bodies).status_code == 201
    assert [statement.split()[0] for statement in statements] == ["SELECT", "SELECT", "INSERT", "INSERT", "INSERT"]


def test_a_body_has_at_most_2_mebibytes(api: Any) -> None:
    body = json.dumps({"users": [api.new_user()]}).encode()
    full = body + b" " * (2 * MEBIBYTE - len(body))
    assert api.post("create_users", content=full).status_code == 201
    assert api.post("create_users", content=full + b" ").status_code == 413


@pytest.mark.parametrize(
    "content",
    [
        b'{"users":[' + b"0," * 1_000_000 + b"0]}",
        b'{"users":[{}],' + b",".join(b'"%x":0' % key for key in range(200_000)) + b"}",
        b'{"users":[{' + b",".join(b'"%x":0' % key for key in range(200_000)) + b"}]}",
        json.dumps({"users": [{f"{key:x}": 0 for key in range(9)}] * 1000}).encode(),
    ],
)
def test_a_hostile_body_is_rejected_quickly(api: Any, content: bytes) -> None:
    began = time.perf_counter()
    response = api.post("create_users", content=content)
    assert time.perf_counter() - began < 3  # 10 to 300 ms
    assert response.status_code == 400
    assert len(response.content) < 300_000


# ---- concurrency


def test_one_of_32_clients_with_overlapping_numbers_creates_all(api: Any, stored: Any) -> None:
    shared = api.new_user()
    lists = [[*_bodies(api, 20), shared, *_bodies(api, 20)] for _ in range(32)]
    responses = at_once(32, lambda client: _create(api, lists[client]))
    assert Counter(response.status_code for response in responses) == {201: 1, 409: 31}
    places = {_problem(response)[2][0] for response in responses if response.status_code == 409}
    assert places == {("/users/20/mob_num", "mob-num-taken")}
    winner = next(client for client, response in enumerate(responses) if response.status_code == 201)
    assert [number for (number,) in stored("mob_num")] == [body["mob_num"] for body in lists[winner]]
    with connections.reading() as connection:
        assert len(connection.execute(select(CHANGES.c.change_id)).all()) == 41
