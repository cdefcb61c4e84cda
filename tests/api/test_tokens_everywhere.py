"""Every endpoint of every service that takes a token: what it does without one, with a bad one, and in another role."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

import settings
from api import SERVICES, load_services
from api.accounts import service as accounts
from api.accounts.tokens import Token
from api.http.service import Endpoint, Service
from domain.accounts import ADMIN, USER
from settings import Settings
from tests.support.accounts import add_account, bearer
from tests.support.endpoints import caller_of

SERVED: list[Service] = [*{one.name: one for one in (accounts, *load_services(SERVICES))}.values()]
"""Every service that the app can serve. Accounts has no word of its own."""


def _endpoints(services: list[Service], configured: Settings) -> list[Endpoint]:
    return [endpoint for service in services for endpoint in service.build(configured).endpoints]


def _protected(configured: Settings) -> list[Endpoint]:
    return [endpoint for endpoint in _endpoints(SERVED, configured) if isinstance(endpoint.auth, Token)]


PROTECTED = _protected(settings.current())


def _call(endpoint: Endpoint, headers: dict[str, str]) -> Any:
    path = dict.fromkeys(re.findall(r"{(\w+)}", endpoint.route), "1")
    return caller_of(endpoint)(headers=headers, path=path, body=b"{")


def test_what_a_service_with_accounts_serves_is_anonymous_to_the_host() -> None:
    own = [service for service in SERVED if accounts.name in (service.name, *service.requires)]
    found = {endpoint.name: endpoint.auth.auth_level for endpoint in _endpoints(own, settings.current())}
    assert set(found.values()) == {func.AuthLevel.ANONYMOUS}
    protected = {endpoint.name for endpoint in PROTECTED}
    assert found.keys() - protected == {"accounts_sign_in", "accounts_login"}, "these alone need no token"


@pytest.mark.parametrize("endpoint", PROTECTED, ids=lambda endpoint: endpoint.name)
def test_a_token_is_checked_before_anything_else(
    endpoint: Endpoint, database_file: Path, statements: list[str]
) -> None:
    accounts_by_role = {role: bearer(add_account(f"of-{role}", role)) for role in (USER, ADMIN)}
    bodies = []
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": accounts_by_role[USER]["Authorization"][:-9]}):
        response = _call(endpoint, headers)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        bodies.append(json.loads(response.get_body()) | {"instance": ""})
    assert bodies == [bodies[0]] * 3
    for role, headers in accounts_by_role.items():
        statements.clear()
        response = _call(endpoint, headers)
        if endpoint.auth.role in (None, role):  # type: ignore[attr-defined]
            assert response.status_code not in (401, 403)
        else:
            assert json.loads(response.get_body())["type"] == "/problems/role-required"
            assert (response.status_code, len(statements)) == (403, 1)


@pytest.mark.parametrize(
    ("variables", "is_good"),
    [
        ({"HOST": "::1"}, True),
        ({"HOST": "0.0.0.0"}, False),  # noqa: S104 - it is not bound
        ({"WEBSITE_SITE_NAME": "app", "DATABASE_URL": "not used"}, False),
    ],
)
def test_a_token_of_a_sample_account_is_good_on_loopback_only(
    variables: dict[str, str], is_good: bool, database_file: Path, tmp_path: Path, statements: list[str]
) -> None:
    samples = {role: add_account(f"sample-{role}".lower(), role, is_sample=True) for role in (USER, ADMIN)}
    protected = _protected(settings.load(variables, tmp_path))
    assert len(protected) == len(PROTECTED)
    for endpoint in protected:
        headers = bearer(samples[endpoint.auth.role or USER])  # type: ignore[attr-defined]
        statements.clear()
        response, without = _call(endpoint, headers), _call(endpoint, {})
        if is_good:
            assert response.status_code not in (401, 403), endpoint.name
        else:
            bodies = [json.loads(each.get_body()) | {"instance": ""} for each in (response, without)]
            assert (bodies[0], len(statements)) == (bodies[1], 1), endpoint.name
            assert response.headers["www-authenticate"] == "Bearer"
