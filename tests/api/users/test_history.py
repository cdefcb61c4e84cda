"""get_user_history: its contract, sentence by sentence."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from persistence.database import connections
from persistence.users.tables import CHANGES, VALUES

KEYS = (
    *("change_id", "version", "operation", "changed_at", "changed_by", "reason", "changed"),
    *("full_name", "mob_num", "pan_num", "manager_id"),
)


def _history(api: Any, **body: Any) -> list[dict[str, Any]]:
    response = api.post("get_user_history", body)
    assert response.status_code == 200, response.text
    changes: list[dict[str, Any]] = response.json()["changes"]
    return changes


def _columns(changes: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(change[name] for name in names) for change in changes]


def _store(user_id: str, operation: str, second: int, **values: Any) -> None:
    """Stores an entry of the log directly: adoption and attribution happen elsewhere."""
    changed_at = f"2026-01-01T00:00:{second:02}.000000Z"
    entry = {"user_id": user_id, "version": 1, "operation": operation, "changed": "", "changed_at": changed_at}
    with connections.transaction() as connection:
        key = connection.execute(insert(CHANGES), {**entry, "changed_by": "a clerk"}).inserted_primary_key
        if key and values:
            connection.execute(insert(VALUES), {"change_id": key[0], **values})


def test_every_change_is_listed_oldest_first_with_the_user_after_it(api: Any, managers: list[str]) -> None:
    user = api.create(full_name="Asha", mob_num="9876543210", manager_id=managers[0])
    api.update([user["user_id"]], full_name="Asha Rao", pan_num="ABCCE1234F")
    api.update([user["user_id"]], manager_id=managers[1], mob_num="9876543211")
    response = api.post("get_user_history", {"user_id": user["user_id"]})
    assert {*response.json()} == {"user_id", "changes"}
    changes = response.json()["changes"]
    assert [tuple(change) for change in changes] == [KEYS] * 3
    assert _columns(changes, "version", "operation", "changed") == [
        (1, "created", ["full_name", "mob_num", "pan_num", "manager_id"]),
        (1, "updated", ["full_name", "pan_num"]),
        (2, "reassigned", ["mob_num", "manager_id"]),
    ]
    assert _columns(changes, "full_name", "mob_num", "pan_num", "manager_id") == [
        ("Asha", "9876543210", "ABCPE1234F", managers[0]),
        ("Asha Rao", "9876543210", "ABCCE1234F", managers[0]),
        ("Asha Rao", "9876543211", "ABCCE1234F", managers[1]),
    ]
    assert _columns(changes, "changed_by", "reason") == [(None, None)] * 3
    times = [change["changed_at"] for change in changes]
    assert times == sorted({*times})
    assert times[0] == user["created_at"]
    assert times[2] == api.get(user_id=user["user_id"], is_active=True)[0]["updated_at"]


def test_an_entry_has_who_made_the_change_and_why(api: Any, unknown_id: str) -> None:
    values = {"full_name": "Asha", "mob_num": "9876543210", "pan_num": "ABCPE1234F", "reason": "typing error"}
    _store(unknown_id, "adopted", 1, **values)
    (change,) = _history(api, user_id=unknown_id)
    assert (change["operation"], change["changed"]) == ("adopted", [])
    assert (change["changed_by"], change["reason"]) == ("a clerk", "typing error")


@pytest.mark.parametrize("spelling", ["9876543210", "+91 98765 43210"])
def test_a_number_selects_its_current_holder(api: Any, managers: list[str], spelling: str) -> None:
    former = api.create(mob_num="9876543210", manager_id=managers[0])
    api.update([former["user_id"]], manager_id=managers[1], mob_num="9876543211")
    holder = api.create(mob_num="9876543210")
    response = api.post("get_user_history", {"mob_num": spelling}).json()
    assert (response["user_id"], len(response["changes"])) == (holder["user_id"], 1)


def test_of_a_deleted_user_no_data_is_left_but_the_reason_of_the_deletion(
    api: Any, managers: list[str], unknown_id: str
) -> None:
    user = api.create(mob_num="9876543210", manager_id=managers[0])
    api.update([user["user_id"]], manager_id=managers[1])
    before = _history(api, user_id=user["user_id"])
    assert api.post("delete_user", {"user_id": user["user_id"]}).status_code == 200
    *earlier, deletion = _history(api, user_id=user["user_id"].upper())
    assert earlier == [{**change, "full_name": None, "mob_num": None, "pan_num": None} for change in before]
    assert _columns([deletion], "operation", "version", "changed", "manager_id") == [("deleted", 2, [], managers[1])]
    assert _columns([deletion], "full_name", "mob_num", "pan_num", "reason") == [(None,) * 4]
    assert api.post("get_user_history", {"mob_num": "9876543210"}).status_code == 404
    _store(unknown_id, "created", 1)
    _store(unknown_id, "deleted", 2, reason="asked for it")
    assert _columns(_history(api, user_id=unknown_id), "operation", "reason") == [
        ("created", None),
        ("deleted", "asked for it"),
    ]


@pytest.mark.parametrize("paging", [{}, {"limit": 5}])
@pytest.mark.parametrize("key", ["user_id", "mob_num"])
def test_an_unknown_user_is_not_found(api: Any, errors_of: Any, unknown_id: str, key: str, paging: Any) -> None:
    response = api.post("get_user_history", {key: unknown_id if key == "user_id" else "9876543210", **paging})
    assert (response.status_code, errors_of(response)) == (404, [(f"/{key}", "user-not-found")])


def test_pages_have_every_change_once_also_while_more_are_made(api: Any) -> None:
    user = api.create(mob_num="9876543210")
    for number in range(4):
        api.update([user["user_id"]], full_name=f"Name {number}")
    whole = _history(api, user_id=user["user_id"])
    pages: list[dict[str, Any]] = []
    body = {"mob_num": "9876543210", "limit": 2}
    for number in range(3):
        page = api.post("get_user_history", body).json()
        pages += page["changes"]
        body["cursor"] = page["next_cursor"]
        api.update([user["user_id"]], full_name=f"Later {number}") if number < 1 else None
    assert body["cursor"] is None
    assert pages == _history(api, user_id=user["user_id"])
    assert pages[:5] == whole


def test_a_cursor_continues_the_history_of_its_user_alone(api: Any, errors_of: Any) -> None:
    user = api.create(mob_num="9876543210")
    api.update([user["user_id"]], full_name="Another")
    cursor = api.post("get_user_history", {"mob_num": "9876543210", "limit": 1}).json()["next_cursor"]
    api.update([user["user_id"]], mob_num="9876543211")
    api.create(mob_num="9876543210")
    assert [change["version"] for change in _history(api, mob_num="9876543211", limit=9, cursor=cursor)] == [1, 1]
    response = api.post("get_user_history", {"mob_num": "9876543210", "limit": 1, "cursor": cursor})
    assert (response.status_code, errors_of(response)) == (400, [("/cursor", "cursor-invalid")])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("", "one-key-required")]),
        ({"limit": 5}, [("", "one-key-required")]),
        ({"mob_num": "9876543210", "user_id": "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"}, [("", "one-key-required")]),
        ({"mob_num": "1", "limit": 0, "extra": 1},
         [("/extra", "unknown-key"), ("/limit", "out-of-range"), ("/mob_num", "mob-num-invalid")]),
        ({"mob_num": "9876543210", "limit": 1001}, [("/limit", "out-of-range")]),
        ({"mob_num": "9876543210", "limit": True}, [("/limit", "wrong-type")]),
        ({"mob_num": "9876543210", "cursor": "W10="}, [("/cursor", "cursor-invalid"), ("/limit", "missing-key")]),
        ({"mob_num": "9876543210", "limit": 1, "cursor": 5}, [("/cursor", "cursor-invalid")]),
        ({"mob_num": "9876543210", "limit": 1, "cursor": "WyJhIiwiMjAyNiJd"}, [("/cursor", "cursor-invalid")]),
    ],
)  # fmt: skip
def test_all_violations_of_a_body_are_returned_together(
    api: Any, errors_of: Any, body: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    response = api.post("get_user_history", body)
    assert (response.status_code, errors_of(response)) == (400, expected)


def test_a_history_is_one_statement(api: Any, unknown_id: str, count_statements: Any) -> None:
    user = api.create()
    count_statements()
    _history(api, user_id=user["user_id"])
    assert count_statements() == 1
    _history(api, mob_num=user["mob_num"], limit=1)
    assert count_statements() == 1
    api.post("get_user_history", {"user_id": unknown_id})
    assert count_statements() == 1
