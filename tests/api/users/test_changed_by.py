"""`changed_by` and `reason`: parsed like names, stored in the log of changes, and in no log line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.http.openapi import build_document
from api.users import service
from settings import SettingsError, load
from tests.support.change_log import attributions, contents
from tests.support.serving import serving_service

PRINCIPAL = "X-MS-CLIENT-PRINCIPAL-NAME"
ROUTES = ["create_user", "update_user", "delete_user"]
Body = dict[str, Any]


def valid_body(api: Any, route: str) -> Body:
    """A body that the endpoint accepts, of a new user where it needs one."""
    if route == "create_user":
        body: Body = api.new_user()
        return body
    user_id = api.create()["user_id"]
    if route == "update_user":
        return {"user_ids": [user_id], "update_data": {"full_name": "New"}}
    return {"user_id": user_id}


# ---- in the body


def test_every_change_keeps_who_made_it_and_why_until_a_deletion(api: Any, managers: list[str]) -> None:
    user_id = api.post(
        "create_user", api.new_user(manager_id=managers[0], changed_by=" clerk 7 ", reason=" form 12/अ ")
    ).json()["user_id"]
    for update_data, attribution in (
        ({"full_name": "Asha Devi"}, {"changed_by": "clerk 8", "reason": "marriage"}),
        ({"manager_id": managers[1]}, {"changed_by": "clerk 9"}),
        ({"full_name": "Asha Devi"}, {"changed_by": "clerk 10", "reason": "unchanged, so not logged"}),
        ({"pan_num": "AAACB1234C"}, {"reason": "correction"}),
        ({"full_name": "Asha"}, {}),
    ):
        body = {"user_ids": [user_id], "update_data": update_data, **attribution}
        assert api.post("update_user", body).status_code == 200
    kept = [
        ("created", "clerk 7", "form 12/अ"),
        ("updated", "clerk 8", "marriage"),
        ("reassigned", "clerk 9", None),
        ("updated", None, "correction"),
        ("updated", None, None),
    ]
    assert attributions(user_id) == kept
    assert api.post("delete_user", {"user_id": user_id, "changed_by": "clerk 11", "reason": "left"}).status_code == 200
    erased = [(operation, changed_by, None) for operation, changed_by, _ in kept]
    assert attributions(user_id) == [*erased, ("deleted", "clerk 11", "left")]


def test_a_bulk_update_has_one_attribution_for_all(api: Any, managers: list[str]) -> None:
    ids = [api.create()["user_id"] for _ in range(3)]
    body = {"user_ids": ids, "update_data": {"manager_id": managers[0]}, "changed_by": "clerk", "reason": "new team"}
    assert api.post("update_user", body).status_code == 200
    for user_id in ids:
        assert attributions(user_id) == [("created", None, None), ("updated", "clerk", "new team")]


LIMITS = [("changed_by", 200), ("reason", 500)]


@pytest.mark.parametrize(("key", "most"), LIMITS)
@pytest.mark.parametrize("route", ROUTES)
def test_the_texts_obey_the_rules_of_names(api: Any, errors_of: Any, route: str, key: str, most: int) -> None:
    body = valid_body(api, route)
    before = contents()
    value: Any
    for value in (None, 7, True, ["clerk"], {}):
        assert errors_of(api.post(route, {**body, key: value})) == [(f"/{key}", "wrong-type")], value
    for text in ("", "  \u3000", "a\nb", "a\tb", "\x00", "a\x85", "a" * (most + 1), "\U0001d49c" * (most + 1)):
        response = api.post(route, {**body, key: text})
        assert errors_of(response) == [(f"/{key}", f"{key.replace('_', '-')}-invalid")], ascii(text)
        assert response.json()["errors"][0]["detail"].startswith(f"{key} must")
    assert contents() == before
    assert api.post(route, {**body, key: f"  {chr(0x1D49C) * most} "}).status_code < 300


def test_a_lone_surrogate_is_not_stored(api: Any, errors_of: Any) -> None:
    content = b'{"user_id": "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f", "reason": "a\\ud800"}'
    assert api.post("delete_user", content=content).status_code == 400


def test_violations_of_both_are_reported_with_all_others(api: Any, errors_of: Any) -> None:
    response = api.post("create_user", {**api.new_user(mob_num="1"), "changed_by": "", "reason": "", "resaon": "x"})
    assert errors_of(response) == [
        ("/changed_by", "changed-by-invalid"),
        ("/mob_num", "mob-num-invalid"),
        ("/reason", "reason-invalid"),
        ("/resaon", "unknown-key"),
    ]


def test_no_log_line_names_who_or_why(api: Any, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    for route in ROUTES:
        body = {**valid_body(api, route), "changed_by": "clerk-4711", "reason": "because-0815"}
        for sent in ({**body, "dry_run": True}, body, {**body, "reason": "because-0815\n"}, body):
            api.post(route, sent)
    lines = [record.getMessage() for record in caplog.records if record.name == "rollbook"]
    assert len(lines) >= 12
    assert not [line for line in caplog.text.splitlines() if "4711" in line or "0815" in line]


def test_a_header_without_the_setting_is_not_read(api: Any) -> None:
    response = api.post("create_user", api.new_user(changed_by="clerk"), headers={PRINCIPAL: "asha@example.com"})
    assert attributions(response.json()["user_id"]) == [("created", "clerk", None)]
    response = api.post("create_user", api.new_user(), headers={PRINCIPAL: "asha@example.com"})
    assert attributions(response.json()["user_id"]) == [("created", None, None)]


# ---- in a header


@pytest.fixture
def by_header(api: Any, tmp_path: Path) -> Iterator[httpx.Client]:
    """The users service with CHANGED_BY_HEADER."""
    with serving_service(service, tmp_path, CHANGED_BY_HEADER=PRINCIPAL) as client:
        yield client


def test_the_header_says_who_and_the_body_why(api: Any, by_header: httpx.Client, managers: list[str]) -> None:
    def post(route: str, body: Body, who: str, header: str = PRINCIPAL) -> Body:
        response = by_header.post(f"/{route}", json=body, headers={header: who})
        assert response.status_code in (200, 201), response.text
        content: Body = response.json()
        return content

    user_id = post("create_user", api.new_user(reason="form 12"), "asha@example.com")["user_id"]
    update = {"user_ids": [user_id], "update_data": {"manager_id": managers[0]}}
    post("update_user", update, "ravi@example.com", PRINCIPAL.lower())
    post("delete_user", {"user_id": user_id, "reason": "left"}, "a" * 200)
    assert attributions(user_id) == [
        ("created", "asha@example.com", None),
        ("updated", "ravi@example.com", None),
        ("deleted", "a" * 200, "left"),
    ]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "changed-by-required"),
        ({PRINCIPAL: ""}, "changed-by-required"),
        ({PRINCIPAL: "a" * 201}, "changed-by-invalid"),
        ({PRINCIPAL: "a\tb"}, "changed-by-invalid"),
    ],
)
def test_the_header_is_required_also_by_a_dry_run(
    api: Any, by_header: httpx.Client, errors_of: Any, route: str, headers: dict[str, str], code: str
) -> None:
    body = valid_body(api, route)
    before = contents()
    for dry_run in (False, True):
        response = by_header.post(f"/{route}", json={**body, "dry_run": dry_run}, headers=headers)
        assert response.status_code == 400
        assert errors_of(response) == [("/changed_by", code)]
    assert contents() == before
    response = by_header.post(f"/{route}", json={**body, "reason": ""}, headers=headers)
    assert errors_of(response) == [("/changed_by", code), ("/reason", "reason-invalid")]


@pytest.mark.parametrize("route", ROUTES)
def test_with_the_header_the_body_has_no_changed_by(
    api: Any, by_header: httpx.Client, errors_of: Any, route: str
) -> None:
    body = {**valid_body(api, route), "changed_by": "clerk"}
    response = by_header.post(f"/{route}", json=body, headers={PRINCIPAL: "asha@example.com"})
    assert errors_of(response) == [("/changed_by", "unknown-key")]


def test_reading_needs_no_header(by_header: httpx.Client) -> None:
    assert by_header.post("/get_users").status_code == 200


def test_log_lines_have_no_header_either(api: Any, by_header: httpx.Client, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG, "rollbook")
    for who in ("asha@example.com", "asha@example.com" * 20):
        by_header.post("/create_user", json=api.new_user(), headers={PRINCIPAL: who})
    assert len(caplog.records) >= 2
    assert not [record for record in caplog.records if "asha" in record.getMessage()]


# ---- the document


def document(tmp_path: Path, **values: str) -> dict[str, Any]:
    built: dict[str, Any] = build_document(service.build(load(values, tmp_path)).endpoints)
    return built


@pytest.mark.parametrize("holder_check", ["on", "off"])
def test_openapi_has_the_header_only_with_the_setting(tmp_path: Path, holder_check: str) -> None:
    without = document(tmp_path, PAN_HOLDER_CHECK=holder_check)
    described = document(tmp_path, PAN_HOLDER_CHECK=holder_check, CHANGED_BY_HEADER=PRINCIPAL)
    for route in ROUTES:
        name = route.title().replace("_", "")
        keys, keys_by_header = (set(each["components"]["schemas"][name]["properties"]) for each in (without, described))
        assert keys - keys_by_header == {"changed_by"}
        assert {"reason", "dry_run"} < keys_by_header < keys
        assert not _headers(without, route)
        (header,) = _headers(described, route)
        assert (header["name"], header["required"]) == (PRINCIPAL, True)
        assert "changed-by-required" in header["description"]
    assert not [name for name in without["components"]["schemas"] if "Header" in name]
    assert not _headers(described, "get_users")


def test_the_examples_of_the_document_are_valid_with_the_header(by_header: httpx.Client) -> None:
    found = by_header.get("/openapi.json").json()
    for route in (*ROUTES, "create_users"):
        content = found["paths"][f"/{route}"]["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            body = {**example["value"], "dry_run": True}
            response = by_header.post(f"/{route}", json=body, headers={PRINCIPAL: "asha@example.com"})
            assert response.status_code in (200, 404), response.text


def _headers(found: dict[str, Any], route: str) -> list[dict[str, Any]]:
    parameters = found["paths"][f"/{route}"]["post"].get("parameters", [])
    return [parameter for parameter in parameters if parameter["name"] != "Idempotency-Key"]


# ---- the start of the app

AZURE = {"WEBSITE_SITE_NAME": "rollbook", "DATABASE_URL": "sqlite://"}


@pytest.mark.parametrize(
    ("values", "starts"),
    [
        ({}, True),
        (AZURE, True),
        ({"CHANGED_BY_HEADER": PRINCIPAL}, True),
        ({"CHANGED_BY_HEADER": PRINCIPAL, **AZURE}, False),
        ({"CHANGED_BY_HEADER": PRINCIPAL, **AZURE, "WEBSITE_AUTH_ENABLED": "False"}, False),
        ({"CHANGED_BY_HEADER": PRINCIPAL, **AZURE, "WEBSITE_AUTH_ENABLED": ""}, False),
        ({"CHANGED_BY_HEADER": PRINCIPAL, **AZURE, "WEBSITE_AUTH_ENABLED": "True"}, True),
        ({"CHANGED_BY_HEADER": PRINCIPAL, **AZURE, "WEBSITE_AUTH_ENABLED": "true"}, True),
        ({**AZURE, "WEBSITE_AUTH_ENABLED": "False"}, True),
    ],
)
def test_on_azure_the_header_needs_app_service_authentication(
    tmp_path: Path, values: dict[str, str], starts: bool
) -> None:
    loaded = load(values, tmp_path)
    if starts:
        assert service.build(loaded).endpoints
        return
    with pytest.raises(SettingsError, match=r"CHANGED_BY_HEADER needs .* \(WEBSITE_AUTH_ENABLED is not true\)"):
        service.build(loaded)


@pytest.mark.parametrize(
    "name", ["X_User", "X User", "X-User:", "X.User", "7X", "-X", "Ünïcode", "X-\u212a", "a" * 101]
)
def test_a_name_that_no_header_has_prevents_the_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="CHANGED_BY_HEADER must be the name of a request header"):
        service.build(load({"CHANGED_BY_HEADER": name}, tmp_path))
