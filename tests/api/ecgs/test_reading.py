"""Lists, insights, deletion, and which ECGs an account sees."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from domain import ecgs as domain
from domain.accounts import ADMIN
from persistence import accounts as store
from persistence.database import connections
from tests.support.accounts import add_account
from tests.support.ecg_calls import SIGNAL, Person
from tests.support.threads import at_once

UNKNOWN = "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"
OF_ONE = [("GET", ""), ("GET", "/insights"), ("GET", "/plot.svg"), ("DELETE", "")]
"""The endpoints of one ECG."""


def test_the_last_uploaded_comes_first_whatever_its_date(asha: Person) -> None:
    ids = [asha.upload(date=f"20{year}-01-01T00:00:00Z") for year in (25, 27, 24, 26)]
    assert asha.listed() == ids[::-1]
    first = asha.get("")["ecgs"][0]
    assert first == {
        "ecg_id": ids[-1],
        "date": "2026-01-01T00:00:00.000000Z",
        "leads": [{"name": "I", "number_of_samples": 10}, {"name": "aVR", "number_of_samples": 2}],
    }


def test_without_ecgs_the_list_is_empty(asha: Person) -> None:
    assert asha.get("") == {"ecgs": [], "next_cursor": None}


def test_a_page_has_20_ecgs_by_default_and_at_most_100(asha: Person) -> None:
    ids = [asha.upload([1]) for _ in range(101)]
    assert [len(asha.get("", **query)["ecgs"]) for query in ({}, {"limit": "100"}, {"limit": "007"})] == [20, 100, 7]
    page = asha.get("", limit="100")
    rest = asha.get("", limit="100", cursor=page["next_cursor"])
    assert [ecg["ecg_id"] for ecg in rest["ecgs"]] == ids[:1]
    assert rest["next_cursor"] is None
    assert asha.get("", limit="100", cursor=asha.get("", limit="1")["next_cursor"])["next_cursor"] is None


def test_pages_have_every_ecg_once_while_others_are_uploaded_and_deleted(asha: Person, ravi: Person) -> None:
    ids = [asha.upload([number]) for number in range(7)]
    seen, cursor = [], None
    while True:
        page = asha.get("", limit="2", **({"cursor": cursor} if cursor else {}))
        seen += [ecg["ecg_id"] for ecg in page["ecgs"]]
        if (cursor := page["next_cursor"]) is None:
            break
        asha.upload()
        ravi.upload()
        assert asha.call("DELETE", f"/ecgs/{seen[-1]}").status_code == 200, "the end of the page"
    assert seen == ids[::-1]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "+1", "1.0", "1e1", " 1", "٣", "x", "1,2", "1" * 5000])
def test_a_wrong_limit_is_a_400(asha: Person, problem_of: Any, limit: str) -> None:
    response = asha.call("GET", "/ecgs", params={"limit": limit})
    assert problem_of(response) == (400, "request-invalid", [("/query/limit", "out-of-range")])


def _cursor(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode()


@pytest.mark.parametrize(
    "cursor",
    ["x", "ä", "=", _cursor(b"[1]"), _cursor(b"[1, 2]"), _cursor(b"[1,true]"), _cursor(b"[1,-2]"), _cursor(b"{}"),
     _cursor(b"[1,9223372036854775808]"), _cursor(b"[1,1e400]"), _cursor(b"[null,1]"), "A" * 8000],
)  # fmt: skip
def test_what_is_no_cursor_is_a_400(asha: Person, problem_of: Any, cursor: str) -> None:
    response = asha.call("GET", "/ecgs", params={"cursor": cursor})
    assert problem_of(response) == (400, "request-invalid", [("/query/cursor", "cursor-invalid")])


def test_a_cursor_is_good_for_its_account_only(asha: Person, ravi: Person, problem_of: Any) -> None:
    for person, _ in product((asha, ravi), range(2)):
        person.upload()
    cursor = asha.get("", limit="1")["next_cursor"]
    assert len(asha.get("", cursor=cursor)["ecgs"]) == 1
    response = ravi.call("GET", "/ecgs", params={"cursor": cursor})
    assert problem_of(response) == (400, "request-invalid", [("/query/cursor", "cursor-invalid")])


def test_insights_are_in_the_order_of_the_upload(asha: Person) -> None:
    ecg_id = asha.upload([2, -5], SIGNAL)
    assert asha.get(f"/{ecg_id}/insights") == {
        "ecg_id": ecg_id,
        "leads": [
            {"name": "0", "zero_crossings": 1, "minimum": -5, "maximum": 2, "mean": -1.5, "rms": 3.807887},
            {"name": "1", "zero_crossings": 5, "minimum": -7, "maximum": 6, "mean": 0.2, "rms": 3.741657},
        ],
    }


def test_an_insight_added_later_is_returned_for_stored_ecgs(
    database_file: Path, monkeypatch: pytest.MonkeyPatch, asha: Person
) -> None:
    ecg_id = asha.upload(SIGNAL)
    before = asha.get(f"/{ecg_id}/insights")["leads"]
    monkeypatch.setitem(domain.INSIGHTS, "peak_to_peak", lambda signal: int(np.max(signal)) - int(np.min(signal)))
    with httpx.Client(base_url=asha.client.base_url) as client:  # the document describes the insights at the start
        after = Person(client, asha.account).get(f"/{ecg_id}/insights")["leads"]
    assert after == [before[0] | {"peak_to_peak": 13}]


def test_a_deleted_ecg_is_gone(asha: Person) -> None:
    kept, deleted = asha.upload(), asha.upload()
    response = asha.call("DELETE", f"/ecgs/{deleted.upper()}")
    assert (response.status_code, response.json().keys()) == (200, {"message", "ecg_id"})
    assert response.json()["ecg_id"] == deleted
    assert asha.listed() == [kept]
    assert {asha.call(method, f"/ecgs/{deleted}{path}").status_code for method, path in OF_ONE} == {404}


def test_of_deletions_at_once_one_succeeds(asha: Person) -> None:
    ecg_id = asha.upload()
    responses = at_once(8, lambda _: asha.call("DELETE", f"/ecgs/{ecg_id}"))
    assert sorted(response.status_code for response in responses) == [200] + [404] * 7


@pytest.mark.parametrize(("method", "path"), OF_ONE)
def test_foreign_unknown_and_malformed_ids_are_the_same_404(
    asha: Person, ravi: Person, problem_of: Any, method: str, path: str
) -> None:
    foreign = ravi.upload()
    before = ravi.get(f"/{foreign}")
    wrong = [foreign, UNKNOWN, "x", "1", UNKNOWN[:-1], UNKNOWN.replace("-", ""), f"{UNKNOWN}%0A", f"%20{UNKNOWN}",
             "%00", UNKNOWN.replace("1", "%D9%A1"), "null", "9" * 5000, f"{{{UNKNOWN}}}", "%F0%9F%AB%80"]  # fmt: skip
    bodies = []
    for ecg_id in wrong:
        response = asha.call(method, f"/ecgs/{ecg_id}{path}")
        assert problem_of(response) == (404, "ecg-not-found", []), ecg_id
        bodies.append({**response.json(), "instance": ""})
    assert bodies == [bodies[0]] * len(wrong)
    assert ravi.get(f"/{foreign}") == before


def test_every_endpoint_shows_and_changes_own_ecgs_only(asha: Person, ravi: Person) -> None:
    own, foreign = asha.upload([1, -1], date="2026-01-01T00:00:00Z"), ravi.upload([7, 8, 9])
    paths = ["", "?limit=1", *(f"/{foreign}{path}" for method, path in OF_ONE if method == "GET")]
    before = [ravi.call("GET", f"/ecgs{path}").content for path in paths]
    for method, path in OF_ONE:
        assert asha.call(method, f"/ecgs/{foreign}{path}").status_code == 404
    assert asha.listed() == [own]
    assert asha.call("DELETE", f"/ecgs/{own}").status_code == 200
    assert asha.listed() == []
    assert [ravi.call("GET", f"/ecgs{path}").content for path in paths] == before


def test_an_admin_has_no_ecgs(asha: Person, problem_of: Any) -> None:
    ecg_id = asha.upload()
    admin = Person(asha.client, add_account("root", ADMIN))
    for method, path in [("POST", ""), ("GET", ""), *((method, f"/{ecg_id}{path}") for method, path in OF_ONE)]:
        response = admin.call(method, f"/ecgs{path}", content=b"x" * (33 * 2**20) if method == "POST" else None)
        assert problem_of(response) == (403, "role-required", []), (method, path)


def test_token_and_role_come_before_everything_else_of_a_call(asha: Person, problem_of: Any) -> None:
    admin = Person(asha.client, add_account("root", ADMIN))
    expected = {None: (401, "token-invalid"), "Bearer x": (401, "token-invalid"),
                admin.headers["Authorization"]: (403, "role-required")}  # fmt: skip
    calls = [("POST", ""), ("GET", "?limit=x"), *((method, f"/x{path}?rate=x") for method, path in OF_ONE)]
    for (method, path), (token, problem) in product(calls, expected.items()):
        headers = {"Idempotency-Key": "k" * 256} | ({"Authorization": token} if token else {})
        content = b"x" * (33 * 2**20) if method == "POST" else b"{"
        response = asha.client.request(method, f"/ecgs{path}", content=content, headers=headers)
        assert problem_of(response) == (*problem, []), (method, path, token)
        assert response.headers.get("www-authenticate") == ("Bearer" if problem[0] == 401 else None)


def test_with_an_account_its_ecgs_go(asha: Person, ravi: Person, count_rows: Callable[[], int]) -> None:
    asha.upload()
    kept = ravi.upload()
    root = add_account("root", ADMIN)
    with connections.transaction() as connection:
        store.delete_account(connection, "asha", by_id=root.id)
    assert (count_rows(), ravi.listed()) == (1, [kept])


def test_all_but_uploads_take_neither_a_body_nor_a_key(asha: Person, problem_of: Any) -> None:
    ecg_id = asha.upload()
    for method, path in [("GET", ""), *((method, f"/{ecg_id}{path}") for method, path in OF_ONE)]:
        assert problem_of(asha.call(method, f"/ecgs{path}", content=b"{}")) == (400, "body-not-expected", [])
        response = asha.call(method, f"/ecgs{path}", headers={"Idempotency-Key": "k"})
        assert problem_of(response) == (400, "idempotency-key-unsupported", [])
    assert asha.listed() == [ecg_id]
