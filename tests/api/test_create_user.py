"""create_user, sentence by sentence."""

from __future__ import annotations

from typing import Any


def test_a_user_is_created_and_answered_with_the_eight_keys_of_get_users(api: Any) -> None:
    response = api.post("create_user", api.new_user())
    assert response.status_code == 201
    assert response.json()["message"] == "User created successfully"
