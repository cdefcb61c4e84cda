"""Errors as problems: a status for every class, at most a hundred violations, and a JSON Pointer for every field."""

from __future__ import annotations

import json
import logging
import re
import uuid
from importlib import import_module
from typing import Any, Final

import azure.functions as func
import pytest

from api import SERVICES, load_services
from api.http.problems import (
    MAX_VIOLATIONS,
    STATUSES,
    TITLES,
    GoneError,
    InternalError,
    LengthRequiredError,
    TooLargeError,
    TooManyRequestsError,
    UnauthorizedError,
    status_of,
)
from api.http.responses import Response
from domain.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, RollbookError, Violation
from persistence.database.errors import (
    DatabaseLoginError,
    LostRaceError,
    OutcomeUnknownError,
    StatementTimeoutError,
    UnavailableError,
)
from tests.conformance import subclasses
from tests.support.endpoints import Call, serve

MEBIBYTE: Final = 1024 * 1024


def _failing(error: Exception) -> Call:
    def fail() -> Response:
        raise error

    return serve(fail)


def _problem(response: func.HttpResponse) -> Any:
    assert response.mimetype == "application/problem+json"
    return json.loads(response.get_body())


# ---- statuses

KINDS: Final = [
    (InvalidError, 400),
    (UnauthorizedError, 401),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (LostRaceError, 409),
    (GoneError, 410),
    (LengthRequiredError, 411),
    (TooLargeError, 413),
    (TooManyRequestsError, 429),
    (RollbookError, 500),
    (UnavailableError, 503),
    (DatabaseLoginError, 503),
    (OutcomeUnknownError, 503),
    (StatementTimeoutError, 503),
]


@pytest.mark.parametrize(("kind", "status"), KINDS)
def test_an_error_has_the_status_and_title_of_its_kind(kind: type[RollbookError], status: int) -> None:
    error = type("ToyError", (kind,), {"code": "toy", "detail": "Toy."})
    response = _failing(error())()
    problem = _problem(response)
    code, detail = ("internal-error", "The request failed.") if status == 500 else ("toy", "Toy.")
    assert (response.status_code, problem["status"], problem["title"]) == (status, status, TITLES[status])
    assert (problem["type"], problem["detail"], problem["errors"]) == (f"/problems/{code}", detail, [])
    assert response.headers.get("Retry-After") == ("5" if status == 503 else None)
    assert response.headers["Cache-Control"] == "no-store"


def test_an_error_adds_its_members_and_headers_to_the_problem() -> None:
    response = _failing(
        TooManyRequestsError("Wait.", member_values={"attempts": 3}, header_values={"Retry-After": "60"})
    )()
    assert (response.status_code, response.headers["Retry-After"]) == (429, "60")
    assert _problem(response)["attempts"] == 3


def _declared_errors() -> list[type[RollbookError]]:
    """Returns every error class of the app, without those of tests."""
    load_services(SERVICES)
    for module in ("api.docs", "api.health"):
        import_module(module)
    found = {error.__name__: error for error in subclasses(RollbookError)}
    return [error for error in found.values() if error.__module__.partition(".")[0] in ("api", "domain", "persistence")]


def test_every_subclass_has_a_status_by_its_kind() -> None:
    errors = _declared_errors()
    assert len(errors) > 40
    assert [error.__name__ for error in errors if status_of(error) == 500] == [InternalError.__name__]
    for error in errors:
        (status,) = {STATUSES[kind] for kind in error.__mro__ if kind in STATUSES}
        assert status_of(error) == status
        assert status in TITLES


def test_every_subclass_that_is_no_kind_has_a_code_of_its_own() -> None:
    codes: dict[str, list[type[RollbookError]]] = {}
    for error in _declared_errors():
        codes.setdefault(error.code, []).append(error)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)+", code) for code in codes)
    assert all(error in STATUSES or error.__subclasses__() for error in codes.pop(InternalError.code))
    for first, *others in codes.values():
        assert all(issubclass(other, first) for other in others), (first, others)


class _UnmappedError(RollbookError):
    """An error without a kind."""

    code = "unmapped"
    detail = "Unmistakable."


@pytest.mark.parametrize("error", [_UnmappedError(), ZeroDivisionError("Unmistakable.")])
def test_an_error_of_no_kind_is_a_logged_500(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "rollbook"):
        problem = _problem(_failing(error)())
    assert (problem["type"], problem["status"]) == ("/problems/internal-error", 500)
    assert problem["detail"] == "The request failed."
    unexpected, call = [record.getMessage() for record in caplog.records if record.name == "rollbook"]
    assert unexpected.startswith(f"fail error {type(error).__name__} - ")
    assert unexpected.endswith(f" {problem['instance']}")
    assert "test_problems.py:" in unexpected
    assert re.fullmatch(rf"fail failed 500 \d+\.\d ms {problem['instance']} internal-error", call)
    assert "Unmistakable" not in caplog.text


# ---- violations: at most a hundred


@pytest.mark.parametrize(("count", "listed", "more"), [(0, 0, None), (100, 100, None), (101, 100, 1), (999, 100, 899)])
def test_a_problem_lists_100_violations_and_counts_the_others(count: int, listed: int, more: int | None) -> None:
    violations = [Violation((number,), "toy", "Toy.") for number in range(count)]
    problem = _problem(_failing(InvalidError(violations=violations))())
    assert [error["pointer"] for error in problem["errors"]] == [f"/{number}" for number in range(listed)]
    assert problem.get("more") == more
    assert ("more" in problem) == (more is not None)
    assert MAX_VIOLATIONS == 100


def test_a_thousand_unknown_keys_are_all_counted(api: Any) -> None:
    response = api.post("get_users", {f"key {number}": number for number in range(1000)})
    assert response.status_code == 400
    assert {error["code"] for error in response.json()["errors"]} == {"unknown-key"}
    assert len(response.json()["errors"]) + response.json()["more"] == 1000


def _mebibyte_of_keys() -> bytes:
    keys = [f'"k{number}":0' for number in range(95_000)]
    return b"{" + ",".join(keys).encode() + b"}"


def _mebibyte_of_nested_keys() -> bytes:
    return b'{"user_ids":["x"],"update_data":' + _mebibyte_of_keys() + b"}"


def _mebibyte_of_ids() -> bytes:
    return json.dumps({"user_ids": ["x" * 98] * 10_000, "update_data": {"full_name": "Asha"}}).encode()


@pytest.mark.parametrize(
    ("endpoint", "make"),
    [
        ("create_user", _mebibyte_of_keys),
        pytest.param("get_users", _mebibyte_of_keys, marks=pytest.mark.slow),
        pytest.param("update_user", _mebibyte_of_nested_keys, marks=pytest.mark.slow),
        ("update_user", _mebibyte_of_ids),
        pytest.param("addTransaction", _mebibyte_of_keys, marks=pytest.mark.slow),
    ],
)
def test_a_mebibyte_of_violations_has_a_small_response(api: Any, endpoint: str, make: Any) -> None:
    content = make()
    assert 0.9 * MEBIBYTE < len(content) <= MEBIBYTE
    response = api.post(endpoint, content=content)
    assert response.status_code == 400
    assert len(response.json()["errors"]) == 100
    assert response.json()["more"] >= 9_900
    assert len(response.content) < 100_000


# ---- pointers: errors name fields, the edge locates them


def test_a_field_that_a_handler_rejects_has_its_place_in_the_body(
    api: Any, errors_of: Any, retired_manager: str, unknown_id: str
) -> None:
    taken, user = api.create()["mob_num"], api.create()
    one = [user["user_id"]]
    assert errors_of(api.post("create_user", api.new_user(mob_num=taken))) == [("/mob_num", "mob-num-taken")]
    assert errors_of(api.update(one, mob_num=taken)) == [("/update_data/mob_num", "mob-num-taken")]
    for manager_id, code in ((unknown_id, "manager-unknown"), (retired_manager, "manager-inactive")):
        created = api.post("create_user", api.new_user(manager_id=manager_id))
        assert errors_of(created) == [("/manager_id", code)]
        assert errors_of(api.update(one, manager_id=manager_id)) == [("/update_data/manager_id", code)]
    several = api.update([*one, unknown_id], full_name="Asha", pan_num="ABCPE1234F")
    places = [f"/update_data/{key}" for key in ("full_name", "pan_num")]
    assert errors_of(several) == [(place, "bulk-update-keys") for place in places]
    assert errors_of(api.post("delete_user", {"user_id": unknown_id})) == [("/user_id", "user-not-found")]


def test_an_invalid_field_has_its_place_in_the_body(api: Any, errors_of: Any) -> None:
    body = {"user_ids": [str(uuid.uuid4()), "x", 1], "update_data": {"mob_num": "1", "a/b~c": 0}}
    assert errors_of(api.post("update_user", body)) == [
        ("/update_data/a~1b~0c", "unknown-key"),
        ("/update_data/mob_num", "mob-num-invalid"),
        ("/user_ids/1", "uuid-invalid"),
        ("/user_ids/2", "wrong-type"),
    ]
    assert errors_of(api.post("update_user", {"user_ids": [], "update_data": {}})) == [
        ("/update_data", "update-data-empty"),
        ("/user_ids", "user-ids-count"),
    ]
    assert errors_of(api.post("delete_user", {})) == [("", "one-key-required")]
