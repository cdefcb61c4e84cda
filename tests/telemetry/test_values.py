"""No span and no counter contains a value of a request."""

from __future__ import annotations

from typing import Any

from tests.support.telemetry import NAME, NUMBER, PAN, PAYER, Observed

KEY = "key-of-xylophone"


def test_no_value_is_recorded_of_any_request(observed: Observed, api: Any, managers: list[str]) -> None:
    user = api.create(full_name=NAME, mob_num=NUMBER, pan_num=PAN, manager_id=managers[0])
    more = [api.create(full_name=NAME, pan_num=PAN, manager_id=managers[0]) for _ in range(3)]
    ids = [user["user_id"], *(other["user_id"] for other in more)]
    body = api.new_user(full_name=NAME, pan_num=PAN, mob_num=NUMBER, manager_id=managers[0])
    deposit = {"payer": PAYER, "points": 734_512, "timestamp": "2026-01-01T00:00:00Z"}
    for _ in range(2):
        assert api.post("addTransaction", deposit, headers={"Idempotency-Key": KEY}).status_code == 201
    statuses = [
        api.post("create_user", body).status_code,
        api.post("create_user", {**body, "pan_num": PAN[:-1]}).status_code,
        api.post("create_user", {**body, NAME: NUMBER}).status_code,
        api.post("create_user", content=f'{{"{NAME}"'.encode()).status_code,
        api.post("get_users", {"mob_num": NUMBER}).status_code,
        api.post("get_users", {"user_id": ids[0]}).status_code,
        api.post("get_users", {"manager_id": managers[0]}).status_code,
        api.update([ids[0]], full_name=f"{NAME} II", mob_num="9123498767", pan_num=PAN).status_code,
        api.update(ids, manager_id=managers[1]).status_code,  # one JSON parameter
        api.update(ids, manager_id=ids[0]).status_code,
        api.update(ids, full_name=NAME).status_code,
        api.post("delete_user", {"mob_num": NUMBER}).status_code,
        api.post("delete_user", {"user_id": ids[0]}).status_code,
        api.post("addTransaction", deposit).status_code,
        api.post("spend", {"points": 734_511}).status_code,
        api.post("spend", {"points": 734_599}).status_code,
        api.client.get("/balance").status_code,
        api.client.get(f"/health?database=1&code={NAME}").status_code,
    ]
    assert {200, 400, 404, 409} <= {*statuses}, statuses
    assert 500 not in statuses
    text = observed.text()
    values = [NAME, "Zebulon", NUMBER, "9123498767", PAN, PAN[:-1], PAYER, KEY, "73451", "734599"]
    values += [*ids, *managers, "2026-01-01T00:00:00"]
    assert [value for value in values if value.lower() in text.lower()] == []
    assert len(observed.requests()) == 24


def test_no_value_of_a_spend_from_many_lots_is_recorded(observed: Observed, api: Any) -> None:
    for number in range(1, 6):
        body = {"payer": f"{PAYER}{number}", "points": 734_510 + number, "timestamp": f"2026-01-0{number}T00:00:00Z"}
        assert api.post("addTransaction", body).status_code == 201
    assert api.post("spend", {"points": 3_000_000}).status_code == 200
    assert PAYER not in observed.text()
    assert "73451" not in observed.text()
