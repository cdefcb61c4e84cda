"""Dry runs: the status, the errors and the results of the call that follows, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event
from sqlalchemy.sql import ClauseElement

from persistence.database import connections
from tests.conftest import Api
from tests.support.change_log import contents
from tests.support.tsql import compile_tsql

NUMBERS = [f"987654321{digit}" for digit in range(4)]
PAN = "ABCPE1234F"


def dry(api: Any, route: str, body: dict[str, Any]) -> httpx.Response:
    """The response to a dry run, after a check that it changed no table."""
    before = contents()
    response: httpx.Response = api.post(route, {**body, "dry_run": True})
    assert contents() == before
    return response


@pytest.fixture
def ids(api: Any, managers: list[str], retired_manager: str, unknown_id: str) -> dict[str, str]:
    """Ids by name: two users, of whom the first has a manager, two managers, a retired one, and an unknown id."""
    asha = api.create(mob_num=NUMBERS[0], manager_id=managers[0])
    ravi = api.create(mob_num=NUMBERS[1])
    names = {"asha": asha["user_id"], "ravi": ravi["user_id"], "first": managers[0], "second": managers[1]}
    return {**names, "retired": retired_manager, "unknown": unknown_id}


def filled(body: Any, ids: dict[str, str]) -> Any:
    """A body with the ids in place of their names."""
    if isinstance(body, dict):
        return {key: filled(value, ids) for key, value in body.items()}
    if isinstance(body, list):
        return [filled(value, ids) for value in body]
    return ids.get(body, body) if isinstance(body, str) else body


def new(number: str, **fields: Any) -> dict[str, Any]:
    return {"full_name": "Asha Rao", "mob_num": number, "pan_num": PAN, **fields}


def update(*user_ids: str, **update_data: Any) -> dict[str, Any]:
    return {"user_ids": [*user_ids], "update_data": update_data}


CALLS: list[tuple[str, dict[str, Any], int, str]] = [
    ("create_user", new(NUMBERS[2]), 201, ""),
    ("create_user", new(NUMBERS[2], manager_id="first"), 201, ""),
    ("create_user", new(NUMBERS[2], manager_id=None), 201, ""),
    ("create_user", new(f"+91 {NUMBERS[1]}"), 409, "mob-num-taken"),
    ("create_user", new(NUMBERS[1], manager_id="retired"), 400, "manager-inactive"),
    ("create_user", new(NUMBERS[1], manager_id="unknown"), 400, "manager-unknown"),
    ("create_user", new("12345", full_name=""), 400, "body-invalid"),
    ("create_user", {}, 400, "body-invalid"),
    ("delete_user", {"user_id": "asha"}, 200, ""),
    ("delete_user", {"mob_num": f"0{NUMBERS[1]}"}, 200, ""),
    ("delete_user", {"user_id": "unknown"}, 404, "user-not-found"),
    ("delete_user", {"mob_num": NUMBERS[2]}, 404, "user-not-found"),
    ("delete_user", {"mob_num": NUMBERS[0], "user_id": "asha"}, 400, "body-invalid"),
    ("delete_user", {}, 400, "body-invalid"),
    ("update_user", update("asha", manager_id="second"), 200, ""),
    ("update_user", update("asha", "ravi", "asha", manager_id="first"), 200, ""),
    ("update_user", update("asha", "unknown", manager_id="second"), 207, ""),
    ("update_user", update("asha", full_name="Asha Rao"), 200, ""),
    ("update_user", update("asha", mob_num=NUMBERS[2]), 200, ""),
    ("update_user", update("asha", mob_num=f"+91{NUMBERS[0]}", full_name="Asha Devi"), 200, ""),
    ("update_user", update("asha", mob_num=NUMBERS[1]), 409, "mob-num-taken"),
    ("update_user", update("asha", mob_num=NUMBERS[1], manager_id="second"), 409, "mob-num-taken"),
    ("update_user", update("asha", mob_num=NUMBERS[1], manager_id="retired"), 400, "manager-inactive"),
    ("update_user", update("unknown", mob_num=NUMBERS[1]), 404, "users-not-found"),
    ("update_user", update("unknown", manager_id="unknown"), 400, "manager-unknown"),
    ("update_user", update("unknown", "asha", full_name="New"), 400, "bulk-update-keys"),
    ("update_user", update("asha"), 400, "body-invalid"),
    ("update_user", update(manager_id="first"), 400, "body-invalid"),
]


@pytest.mark.parametrize(("route", "body", "status", "code"), CALLS)
def test_a_dry_run_has_the_status_and_errors_of_the_call(
    api: Any, ids: dict[str, str], route: str, body: dict[str, Any], status: int, code: str
) -> None:
    predicted = dry(api, route, filled(body, ids))
    called = api.post(route, filled(body, ids))
    assert called.status_code == status
    assert predicted.status_code == (200 if status == 201 else status)
    if code:
        assert predicted.json()["type"] == f"/problems/{code}"
        assert {**predicted.json(), "instance": ""} == {**called.json(), "instance": ""}
    else:
        assert predicted.json()["dry_run"] is True
        assert "dry_run" not in called.json()


def test_the_response_of_a_dry_run_says_what_would_be(api: Any, ids: dict[str, str]) -> None:
    created = dry(api, "create_user", new(f"+91{NUMBERS[2]}", pan_num=PAN.lower(), full_name=" Asha ")).json()
    values = {"full_name": "Asha", "mob_num": NUMBERS[2], "pan_num": PAN, "manager_id": None}
    assert created == {"message": "Dry run: the user can be created", "dry_run": True, "user": values}
    deleted = dry(api, "delete_user", {"mob_num": NUMBERS[0]}).json()
    assert deleted == {"message": "Dry run: the user can be deleted", "user_id": ids["asha"], "dry_run": True}
    updated = dry(api, "update_user", filled(update("unknown", "ravi", "asha", manager_id="first"), ids)).json()
    assert updated == {
        "message": "Dry run. Updated: 1. Unchanged: 1. Not found and skipped: 1.",
        "updated": [ids["ravi"]],
        "unchanged": [ids["asha"]],
        "not_found": [ids["unknown"]],
        "results": [
            {"user_id": ids["unknown"], "outcome": "not_found", "version": None},
            {"user_id": ids["ravi"], "outcome": "in_place", "version": 1},
            {"user_id": ids["asha"], "outcome": "unchanged", "version": 1},
        ],
        "dry_run": True,
    }


def test_a_dry_run_takes_no_number(api: Any) -> None:
    for _ in range(2):
        assert dry(api, "create_user", new(NUMBERS[0])).status_code == 200
    assert api.post("create_user", new(NUMBERS[0])).status_code == 201


@pytest.mark.parametrize("route", ["create_user", "update_user", "delete_user"])
@pytest.mark.parametrize("value", [None, "true", 1])
def test_dry_run_is_true_or_false(api: Any, ids: Any, errors_of: Any, route: str, value: Any) -> None:
    body = next(filled(body, ids) for name, body, status, _ in CALLS if name == route and status < 300)
    before = contents()
    assert errors_of(api.post(route, {**body, "dry_run": value})) == [("/dry_run", "wrong-type")]
    assert contents() == before
    assert api.post(route, {**body, "dry_run": False}).status_code < 300
    assert contents() != before


# ---- what a dry run costs


def test_a_dry_run_waits_for_no_writer(api: Any, ids: dict[str, str], database_file: Path) -> None:
    calls = [(route, filled(body, ids), status) for route, body, status, _ in CALLS if status < 300]
    with connections.transaction():  # holds the lock that every writer waits for
        for route, body, status in calls:
            response = api.post(route, {**body, "dry_run": True}, timeout=5)
            assert response.status_code == (200 if status == 201 else status)


def test_a_dry_run_reads_in_few_statements_without_lock_hints(
    api: Any, ids: dict[str, str], store_users: Any, count_statements: Callable[[], int]
) -> None:
    texts: list[str] = []

    def compile_for_sql_server(_: object, statement: object, multiparams: Any, params: Any, _o: object) -> None:
        if isinstance(statement, ClauseElement):
            texts.append(compile_tsql(statement, multiparams[0] if multiparams else params))

    many = store_users(10_000, ids["first"])
    event.listen(Engine, "before_execute", compile_for_sql_server)
    try:
        for route, body, most in (
            ("create_user", new(NUMBERS[2]), 1),
            ("create_user", new(NUMBERS[2], manager_id="first"), 2),
            ("delete_user", {"user_id": "asha"}, 1),
            ("update_user", update("asha", mob_num=NUMBERS[2]), 2),
            ("update_user", update("asha", mob_num=NUMBERS[2], manager_id="second"), 2),
            ("update_user", update("unknown", *many[1:], manager_id="second"), 2),
        ):
            count_statements()
            assert api.post(route, filled({**body, "dry_run": True}, ids)).status_code in (200, 207)
            assert count_statements() <= most, body
    finally:
        event.remove(Engine, "before_execute", compile_for_sql_server)
    assert len(texts) >= 5
    assert [text for text in texts if not text.startswith("SELECT") or "WITH (" in text.upper()] == []


# ---- any calls

_USERS = st.sampled_from(["asha", "ravi", "unknown"])
_VALUES = st.fixed_dictionaries(
    {},
    optional={
        "full_name": st.sampled_from(["Asha Rao", "Ravi", ""]),
        "mob_num": st.sampled_from([*NUMBERS, f"0{NUMBERS[0]}", "12345"]),
        "pan_num": st.sampled_from([PAN, "AAACB1234C"]),
        "manager_id": st.sampled_from(["first", "second", "retired", "unknown"]),
    },
)
_BODIES = st.one_of(
    st.tuples(st.just("create_user"), st.builds(lambda given: {**new(NUMBERS[3]), **given}, _VALUES)),
    st.tuples(
        st.just("update_user"),
        st.fixed_dictionaries({"user_ids": st.lists(_USERS, max_size=4), "update_data": _VALUES}),
    ),
    st.tuples(
        st.just("delete_user"),
        st.one_of(
            st.fixed_dictionaries({"user_id": _USERS}),
            st.fixed_dictionaries({"mob_num": st.sampled_from(NUMBERS)}),
        ),
    ),
)


def _start(api: Api, managers: dict[str, str]) -> dict[str, str]:
    """Deletes the users that an example left, and returns the ids of new ones and of the managers."""
    for user in api.get(is_active=True):
        assert api.post("delete_user", {"user_id": user["user_id"]}).status_code == 200
    asha = api.create(mob_num=NUMBERS[0], manager_id=managers["first"])["user_id"]
    return {**managers, "asha": asha, "ravi": api.create(mob_num=NUMBERS[1])["user_id"]}


@given(calls=st.lists(_BODIES, min_size=1, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_dry_run_predicts_the_call_that_follows(
    api: Api, managers: list[str], retired_manager: str, unknown_id: str, database_file: Path, calls: list[Any]
) -> None:
    named = {"first": managers[0], "second": managers[1], "retired": retired_manager, "unknown": unknown_id}
    ids = _start(api, named)
    files = [database_file, database_file.with_name(f"{database_file.name}-wal")]
    for route, body in calls:
        given = filled(body, ids)
        before = [path.read_bytes() for path in files]
        predicted = api.post(route, {**given, "dry_run": True})
        assert [path.read_bytes() for path in files] == before
        called = api.post(route, {**given, **({"details": True} if route == "update_user" else {})})
        assert predicted.status_code == (200 if called.status_code == 201 else called.status_code)
        assert _decision(predicted) == _decision(called)


def _decision(response: httpx.Response) -> dict[str, Any]:
    """What a response says of the effect: all of it but texts and what only one of the two has."""
    body = response.json()
    if "user" in body:  # of a record, what a new user has
        body["user"] = {key: body["user"][key] for key in ("full_name", "mob_num", "pan_num", "manager_id")}
        body.pop("user_id", None)
    return {key: value for key, value in body.items() if key not in ("message", "dry_run", "instance")}
