"""get_users_masked: as get_users, without whole numbers and PANs."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from domain.users.masks import mask_mob_num, mask_pan_num
from tests.support.users import NORTH, SOUTH

MASKED_NUMBER, MASKED_PAN = re.compile(r"[6-9][0-9]X{6}[0-9]{2}"), re.compile(r"X{5}[0-9]{4}X")
NUMBER, PAN = "9876543210", "ABCPE1234F"


def _masked(user: dict[str, Any]) -> dict[str, Any]:
    return {**user, "mob_num": mask_mob_num(user["mob_num"]), "pan_num": mask_pan_num(user["pan_num"])}


def test_a_number_keeps_four_digits_and_a_pan_its_digits() -> None:
    assert mask_mob_num(NUMBER) == "98XXXXXX10"
    assert mask_pan_num(PAN) == "XXXXX1234X"


@pytest.fixture
def users(api: Any) -> list[dict[str, Any]]:
    """A user with two versions, and another one."""
    user = api.create(mob_num=NUMBER, pan_num=PAN, manager_id=NORTH)
    other = api.create(mob_num="9876543211", pan_num="AAACB4321C")
    api.update([user["user_id"]], manager_id=SOUTH)
    return [user, other]


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"mob_num": "+91 98765 43210"},
        {"user_id": 0},
        {"manager_id": NORTH},
        {"is_active": False},
        {"user_ids": 0},
        {"mob_nums": [NUMBER, "9876543211"]},
        {"as_of": 1},
        {"as_of": 1, "mob_num": NUMBER},
        {"limit": 1},
        {"limit": 1, "as_of": 1},
        {"limit": 3},
    ],
)
def test_it_lists_what_get_users_lists_with_masks(api: Any, users: list[Any], filters: dict[str, Any]) -> None:
    values = {"user_id": users[0]["user_id"], "user_ids": [users[0]["user_id"]], "as_of": users[1]["created_at"]}
    body = {key: values.get(key, value) for key, value in filters.items()}
    expected, response = api.post("get_users", body).json(), api.post("get_users_masked", body)
    assert response.status_code == 200
    assert response.json() == {**expected, "users": [_masked(user) for user in expected["users"]]}
    assert expected["users"]
    for user in response.json()["users"]:
        assert MASKED_NUMBER.fullmatch(user["mob_num"])
        assert MASKED_PAN.fullmatch(user["pan_num"])


def test_cursors_hold_no_data_of_users_and_lead_through_all_pages(api: Any, users: list[Any]) -> None:
    for filters in ({}, {"as_of": users[1]["created_at"]}):
        listed: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = api.post("get_users_masked", {"limit": 1, **filters, **cursor}).json()
            listed += page["users"]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
            content = json.loads(base64.urlsafe_b64decode(page["next_cursor"]))
            assert {part for part in content if isinstance(part, str)} <= {"as_of", *_times(listed)}
        assert listed == api.post("get_users_masked", filters).json()["users"]


def _times(users: list[dict[str, Any]]) -> list[str]:
    return [user["created_at"] for user in users]


@pytest.mark.parametrize(
    "body",
    [
        {"mob_num": f"{NUMBER}1"},
        {"mob_num": int(NUMBER)},
        {"mob_nums": [NUMBER, f"{NUMBER}x", PAN]},
        {"user_id": NUMBER, "user_ids": [NUMBER, PAN]},
        {"manager_id": PAN, "limit": PAN},
        {"limit": 1, "cursor": base64.urlsafe_b64encode(json.dumps([PAN, NUMBER]).encode()).decode()},
        {"as_of": NUMBER},
        {"as_of": "2000-01-01T00:00:00Z", "mob_num": NUMBER},
        {"as_of": "2999-01-01T00:00:00Z", "mob_num": NUMBER},
        {"pan_num": PAN},
    ],
)
def test_no_error_repeats_a_number_or_a_pan(api: Any, users: list[Any], body: dict[str, Any]) -> None:
    response = api.post("get_users_masked", body)
    assert response.status_code == 400
    assert NUMBER not in response.text
    assert PAN not in response.text
