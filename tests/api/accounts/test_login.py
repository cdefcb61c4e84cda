"""Sign-in by the password form of OAuth 2.0 (RFC 6749, 4.3), whose errors have the member `error`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.accounts import PASSWORD, WRONG, Added, add_failures, failures, problem

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
RIGHT = {"username": "asha", "password": PASSWORD}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"grant_type": "password"},
        {"grant_type": ""},
        {"grant_type": "password", "scope": "a b", "client_id": "c", "client_secret": "", "other": "x"},
    ],
)
def test_a_form_gets_a_bearer_token(client: httpx.Client, asha: Added, more: dict[str, str]) -> None:
    response = client.post("/login", data={**RIGHT, **more})
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    token = response.json().pop("access_token")
    assert response.json() == {"access_token": token, "token_type": "bearer", "expires_in": 3600}
    assert client.post("/api/v1/sign-out", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_the_content_type_may_have_parameters(client: httpx.Client, asha: Added) -> None:
    headers = {"Content-Type": "Application/X-WWW-Form-URLencoded; charset=UTF-8"}
    assert client.post("/login", content=urlencode(RIGHT), headers=headers).status_code == 200


GRANTS = ["refresh_token", "client_credentials", "Password", " password"]


@pytest.mark.parametrize("grant", GRANTS)
@pytest.mark.parametrize("content", [{}, RIGHT])
def test_another_grant_is_not_supported(client: httpx.Client, asha: Added, grant: str, content: dict[str, str]) -> None:
    response = client.post("/login", data={**content, "grant_type": grant})
    assert problem(response) == (400, "unsupported-grant-type", ["/grant_type"])
    assert response.json()["error"] == "unsupported_grant_type"
    assert failures() == []


@pytest.mark.parametrize(
    ("content", "headers", "pointers"),
    [
        ("", FORM, ["/username", "/password"]),
        ("username=asha", FORM, ["/password"]),
        ("username=asha&password=a&password=a", FORM, ["/password"]),
        ("username=asha&password=a&scope=a&scope=b", FORM, ["/scope"]),
        ("grant_type=password&grant_type=password&username=asha&password=a", FORM, ["/grant_type"]),
        ("username=asha&password=%ff", FORM, []),
        (b"username=asha&password=\xff", FORM, []),
        ("username=asha&password=%ed%a0%80", FORM, []),
        (urlencode(RIGHT), {"Content-Type": "text/plain"}, []),
        (urlencode(RIGHT), {}, []),
        ('{"username": "asha", "password": "a"}', {"Content-Type": "application/json"}, []),
        ("username=asha&password=a", {**FORM, "Idempotency-Key": "k"}, []),
    ],
)
def test_a_form_that_cannot_be_read_is_an_invalid_request(
    client: httpx.Client, content: Any, headers: dict[str, str], pointers: list[str]
) -> None:
    response = client.post("/login", content=content, headers=headers)
    status, _, found = problem(response)
    assert (status, found, response.json()["error"]) == (400, pointers, "invalid_request")
    assert failures() == []


@pytest.mark.parametrize(
    ("username", "password"), [("asha", WRONG), ("unknown", PASSWORD), ("a b", PASSWORD), ("", ""), ("asha", "x" * 999)]
)
def test_a_failed_sign_in_is_an_invalid_grant(client: httpx.Client, asha: Added, username: str, password: str) -> None:
    response = client.post("/login", data={"username": username, "password": password})
    assert problem(response) == (401, "sign-in-failed", [])
    assert (response.json()["error"], response.headers["www-authenticate"]) == ("invalid_grant", "Bearer")


def test_failures_of_both_kinds_of_sign_in_are_counted_together(client: httpx.Client, asha: Added) -> None:
    add_failures("asha", [1.0] * 8)
    assert client.post("/login", data={**RIGHT, "password": WRONG}).status_code == 401
    assert client.post("/api/v1/sign-in", json={**RIGHT, "password": WRONG}).status_code == 401
    response = client.post("/login", data=RIGHT)
    assert problem(response) == (429, "too-many-failures", [])
    assert 1 <= int(response.headers["retry-after"]) <= 600
    assert "error" not in response.json()
