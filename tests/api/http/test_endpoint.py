"""The behaviour of every endpoint: bodies, problems, headers, retries, log lines."""

from __future__ import annotations

import logging
import re
import sqlite3
import uuid
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from api.http.requests import Request
from api.http.responses import Response
from api.users.schemas import CreateUser
from persistence.database.errors import LostRaceError
from persistence.database.retries import run_with_retries
from tests.support.endpoints import Call, serve

ENDPOINTS = ["create_user", "get_users", "delete_user", "update_user", "get_user_history", "get_changes"]
MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "body-not-json"),
        (b"not json", "body-not-json"),
        (b'{"a": NaN}', "body-not-json"),
        (b'{"a": "\xff"}', "body-not-json"),
        ('{"full_name": "é"}'.encode("latin-1"), "body-not-json"),
        ('{"full_name": "x"}'.encode("utf-16"), "body-not-json"),
        (b'\xef\xbb\xbf{"full_name": "x"}', "body-not-json"),
        (rb'{"full_name": "\ud800"}', "body-not-json"),
        (b"[" * 100_000 + b"]" * 100_000, "body-not-json"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "body-not-json"),
        (b"\x00", "body-not-json"),
        (b"null", "body-not-object"),
        (b"[]", "body-not-object"),
        (b'"text"', "body-not-object"),
        (b"1", "body-not-object"),
        (b'{"a": 1' + b"0" * 400 + b"}", "body-not-json"),
        (b'{"\\u0000": 1}', "body-invalid"),
    ],
)
def test_a_body_that_is_no_json_object_is_a_400(api: Any, endpoint: str, content: bytes, code: str) -> None:
    response = api.post(endpoint, content=content)
    assert response.status_code == 400
    assert response.json()["type"] == f"/problems/{code}"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_body_of_more_than_a_mebibyte_is_a_413(api: Any, endpoint: str) -> None:
    response = api.post(endpoint, content=b" " * (MEBIBYTE + 1))
    assert response.status_code == 413
    assert response.json()["type"] == "/problems/body-too-large"
    assert api.post(endpoint, content=b'{"full_name": "' + b"x" * (10 * MEBIBYTE) + b'"}').status_code == 413


def test_a_body_of_a_mebibyte_is_read(api: Any) -> None:
    assert api.post("get_users", content=b"{}" + b" " * (MEBIBYTE - 2)).status_code == 200


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_chunked_body_that_arrives_empty_is_a_411(api: Any, endpoint: str) -> None:
    # The real host passes every chunked body on empty; here it has to be empty.
    api.create()
    response = api.post(endpoint, content=iter([]))
    assert response.request.headers["transfer-encoding"] == "chunked"
    assert response.status_code == 411
    assert response.json()["type"] == "/problems/length-required"


def test_a_chunked_body_that_arrives_is_read(api: Any) -> None:
    user = api.create()
    response = api.post("get_users", content=iter([b'{"user_id": "', user["user_id"].encode(), b'"}']))
    assert response.json() == {"users": [user]}


@pytest.mark.parametrize("body", [None, {"limit": 1}, {"limit": 0}, {"user_id": str(uuid.uuid4())}])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_response_has_cache_control_no_store(api: Any, endpoint: str, body: Any) -> None:
    assert api.post(endpoint, body).headers["cache-control"] == "no-store"


def test_a_problem_has_the_members_of_rfc_9457_and_the_invocation_id(api: Any, caplog: Any) -> None:
    with caplog.at_level(logging.INFO, "rollbook"):
        response = api.post("delete_user", {"user_id": str(uuid.uuid4())})
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert list(problem) == ["type", "title", "status", "detail", "instance", "errors"]
    assert problem["status"] == response.status_code == 404
    assert problem["instance"] in caplog.text


def test_there_is_one_log_line_per_request_without_personal_data(api: Any, caplog: Any, managers: list[str]) -> None:
    secrets = ["Unmistakable Name", "9876501234", "ABCPE9876Z"]
    body = dict(zip(["full_name", "mob_num", "pan_num"], secrets, strict=True))
    with caplog.at_level(logging.DEBUG):
        user = api.create(**body, manager_id=managers[0])
        api.post("create_user", body)
        api.post("create_user", {**body, "manager_id": str(uuid.uuid4())})
        api.post("create_user", {**body, "Unmistakable Key": 1})
        api.update([user["user_id"]], **body, manager_id=managers[1])
        api.get(mob_num=secrets[1])
        api.post("delete_user", {"mob_num": secrets[1]})
    lines = [record.getMessage() for record in caplog.records if record.name == "rollbook"]
    parts = [re.fullmatch(r"(\w+) (\w+) (\d+) \d+\.\d ms ([0-9a-f-]{36}) (\S*)", line) for line in lines]
    assert [part and part.group(1, 2, 3, 5) for part in parts] == [
        ("create_user", "ok", "201", ""),
        ("create_user", "refused", "409", "mob-num-taken"),
        ("create_user", "refused", "400", "manager-unknown"),
        ("create_user", "refused", "400", "body-invalid"),
        ("update_user", "ok", "200", ""),
        ("get_users", "ok", "200", ""),
        ("delete_user", "ok", "200", ""),
    ]
    for secret in [*secrets, "Unmistakable"]:
        assert secret not in caplog.text


def _execute(database_file: Path, statement: str) -> None:
    connection = sqlite3.connect(database_file)
    connection.execute(statement)
    connection.close()


def test_an_unexpected_error_is_a_500_and_is_logged_once_without_its_text(
    api: Any, caplog: Any, database_file: Path
) -> None:
    _execute(database_file, "ALTER TABLE users RENAME TO lost")
    with caplog.at_level(logging.DEBUG):
        response = api.post("create_user", api.new_user(full_name="Unmistakable"))
    assert response.status_code == 500
    problem = response.json()
    assert problem["type"] == "/problems/internal-error"
    assert problem["detail"] == "The request failed."
    error, line = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.startswith("create_user failed 500 ")
    assert error.startswith("create_user error OperationalError SQLITE_ERROR ")
    assert "records.py:" in error
    assert problem["instance"] in error
    for text in ("no such table", "INSERT", "Unmistakable", "Traceback"):
        assert text not in caplog.text + response.text


def test_the_app_continues_after_an_unexpected_error(api: Any, database_file: Path) -> None:
    user = api.create()
    _execute(database_file, "ALTER TABLE users RENAME TO lost")
    assert api.update([user["user_id"]], full_name="New").status_code == 500
    assert api.post("get_users").status_code == 500
    _execute(database_file, "ALTER TABLE lost RENAME TO users")
    assert api.get() == [user]
    assert api.update([user["user_id"]], full_name="New").status_code == 200


def _racing(outcomes: Iterable[Exception | None]) -> Call:
    left = iter(outcomes)

    def handle(request: Request) -> Response:
        if error := next(left):
            raise error
        return Response({"won": True})

    return serve(handle, body=Request)


def test_a_handler_that_lost_a_race_runs_again_as_a_whole() -> None:
    assert _racing([LostRaceError(), LostRaceError(), None])().status_code == 200


def test_a_handler_that_loses_every_race_is_a_409() -> None:
    response = _racing(repeat(LostRaceError()))()
    assert response.status_code == 409
    assert b"/problems/lost-race" in response.get_body()


def test_no_model_repeats_the_values_of_a_request() -> None:
    with pytest.raises(ValidationError) as caught:
        CreateUser.model_validate({"full_name": 5, "Unmistakable": 1, "mob_num": "Unmistakable Value"})
    assert "Unmistakable Value" not in str(caught.value)


def test_a_log_line_has_only_the_retries_of_its_own_call(caplog: Any) -> None:
    failing = [LostRaceError()]

    def work() -> Response:
        if failing:
            raise failing.pop()
        return Response({})

    run_with_retries(work)  # outside a call, on the same thread
    call = serve(work)
    with caplog.at_level(logging.INFO, "rollbook"):
        for error in ([], [LostRaceError()], []):
            failing += error
            assert call().status_code == 200
    assert [(record.levelname, record.getMessage().split()[6:]) for record in caplog.records] == [
        ("INFO", []),
        ("WARNING", ["lost-race"]),
        ("INFO", []),
    ]
