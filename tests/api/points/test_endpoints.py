"""What the endpoints of the points service return and store, their methods and routes, and what is logged."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from azure.functions.decorators.http import HttpTrigger
from sqlalchemy import select

import function_app
import settings
from persistence.database import connections
from persistence.points import BALANCES, SPENDS, TRANSACTIONS
from tests.support.ledger import ADD, FIVE, FIVE_PAY, MOST, Ledger
from tests.support.programs import running


def test_an_add_returns_201_and_the_stored_transaction_with_its_id(ledger: Ledger) -> None:
    response = ledger.try_add("DANNON", 300, "2020-10-31T10:00:00Z")
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    added = response.json()
    assert str(uuid.UUID(added["id"])) == added["id"]
    assert added == {
        "id": added["id"], "payer": "DANNON", "points": 300, "timestamp": "2020-10-31T10:00:00.000000Z",
    }  # fmt: skip
    assert ledger.add("DANNON", -300, 1)["points"] == -300
    with connections.reading() as connection:
        stored = connection.execute(select(TRANSACTIONS.c.transaction_id, TRANSACTIONS.c.occurred_at)).first()
    assert stored == (added["id"], added["timestamp"])


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("2020-10-31T10:00:00Z", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31t10:00:00z", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31T10:00:00+00:00", "2020-10-31T10:00:00.000000Z"),
        ("2020-10-31T10:00:00-00:00", "2020-10-31T10:00:00.000000Z"),
        ("2021-01-01T05:15:00.25+05:30", "2020-12-31T23:45:00.250000Z"),
        ("2020-02-28T23:59:59.999999-00:01", "2020-02-29T00:00:59.999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z"),
    ],
)
def test_timestamps_are_returned_in_utc(ledger: Ledger, sent: str, returned: str) -> None:
    assert ledger.add("A", 1, sent)["timestamp"] == returned


def test_a_spend_returns_each_payer_in_the_order_of_first_points_taken(ledger: Ledger) -> None:
    for hour, payer in enumerate(["Z", "M", "Z", "A", "M"]):
        ledger.add(payer, 10, hour)
    response = ledger.try_spend(50)
    assert response.status_code == 200
    assert response.json() == [
        {"payer": "Z", "points": -20},
        {"payer": "M", "points": -20},
        {"payer": "A", "points": -10},
    ]


def test_the_balance_of_an_empty_ledger_is_an_empty_object(ledger: Ledger) -> None:
    assert ledger.balance() == {}


def test_the_balance_has_payers_at_zero(ledger: Ledger) -> None:
    ledger.add("A", 5, 1)
    ledger.add("B", 5, 2)
    ledger.add("B", -5, 3)
    ledger.spend(5)
    assert ledger.balance() == {"A": 0, "B": 0}


def test_each_payment_is_stored_permanently(ledger: Ledger) -> None:
    ledger.add("A", 5, 1)
    ledger.add("B", 5, 2)
    ledger.spend(7)
    ledger.spend(3)
    tables = ledger.tables()
    payers = {row[0]: row[1] for row in tables[BALANCES.name]}
    spends: dict[str, list[tuple[str, int]]] = {}
    for _, spend_id, payer_id, points, recorded_at in tables[SPENDS.name]:
        assert recorded_at >= "2026"
        spends.setdefault(spend_id, []).append((payers[payer_id], points))
    assert sorted(map(sorted, spends.values())) == [[("A", 5), ("B", 2)], [("B", 3)]]
    assert [row[3] for row in tables[TRANSACTIONS.name]] == [5, 5]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_a_flush_by_any_method_empties_everything(ledger: Ledger, method: str) -> None:
    fresh = ledger.tables()
    for transaction in FIVE:
        ledger.add(*transaction)
    ledger.spend(5000)
    response = ledger.api.client.request(method, "/flushDB")
    assert response.status_code == 200, response.text
    assert isinstance(response.json(), dict)
    assert ledger.tables() == fresh
    assert ledger.balance() == {}
    assert ledger.try_spend(1).status_code == 409
    for transaction in FIVE:
        ledger.add(*transaction)
    assert ledger.spend(5000) == FIVE_PAY


def test_an_empty_ledger_can_be_flushed(ledger: Ledger) -> None:
    ledger.flush()
    ledger.flush()
    assert ledger.balance() == {}


def test_a_flush_is_rejected_where_the_setting_does_not_allow_it(
    ledger: Ledger, unchanged: Any, database_file: Path, tmp_path: Path
) -> None:
    ledger.add("A", 5, 1)
    ledger.spend(1)
    url = f"sqlite:///{database_file}"
    with running(tmp_path, SERVICES="points", DATABASE_URL=url, POINTS_ALLOW_FLUSH="off") as program:
        for method in ("GET", "POST", "DELETE"):
            flush = partial(program.client.request, method, program.urls["flush_db"])
            unchanged(flush, 403, "flush-not-allowed")
    assert ledger.balance() == {"A": 4}


# ---- names of payers


def test_names_of_payers_are_case_sensitive(ledger: Ledger) -> None:
    names = ["DANNON", "Dannon", "dannon", "STRASSE", "straße", "strasse", "I", "i", "ı", "İ"]
    for points, payer in enumerate(names, 1):
        ledger.add(payer, points, points)
    assert ledger.balance() == {payer: points for points, payer in enumerate(names, 1)}
    assert ledger.try_add("Dannon", -3, 1).status_code == 409
    assert ledger.spend(55) == [(payer, -points) for points, payer in enumerate(names, 1)]


def test_names_of_payers_are_trimmed(ledger: Ledger) -> None:
    assert ledger.add("  MILLER COORS\t", 5, 1)["payer"] == "MILLER COORS"
    assert ledger.add("\u00a0MILLER COORS \n", 5, 1)["payer"] == "MILLER COORS"
    ledger.add("MILLERCOORS", 1, 2)
    assert ledger.balance() == {"MILLER COORS": 10, "MILLERCOORS": 1}


@pytest.mark.parametrize("character", ["x", "é", "中", "🐄", "'", '"', "\\", "%"])
def test_a_name_may_have_200_characters_of_any_script(ledger: Ledger, character: str) -> None:
    payer = character * 200
    assert ledger.add(f"  {payer}  ", 5, 1)["payer"] == payer
    ledger.add(payer, 5, 1)
    assert ledger.balance() == {payer: 10}
    assert ledger.spend(3) == [(payer, -3)]
    assert ledger.try_add(f"{payer}{character}", 5, 1).status_code == 400


# ---- methods, routes, log lines


@pytest.mark.parametrize(
    ("method", "route"),
    [(method, "addTransaction") for method in ("GET", "PUT", "PATCH", "DELETE")]
    + [(method, "spend") for method in ("GET", "PUT", "PATCH", "DELETE")]
    + [(method, "balance") for method in ("POST", "PUT", "PATCH", "DELETE")],
)
def test_a_method_that_an_endpoint_does_not_have_is_not_found(ledger: Ledger, method: str, route: str) -> None:
    ledger.add("A", 5, 1)
    before = ledger.tables()
    body = ADD if route == "addTransaction" else {"points": 1} if route == "spend" else None
    assert ledger.api.client.request(method, f"/{route}", json=body).status_code == 404
    assert ledger.tables() == before


@pytest.fixture
def built(tmp_path: Path) -> Iterator[func.FunctionApp]:
    """An app with only the points service and a separate database."""
    yield function_app.build(
        replace(
            settings.current(), database_url=f"sqlite:///{tmp_path}/built.db", services=("points",), health_check=False
        )
    )
    connections.close()


def test_the_endpoints_have_their_routes_methods_and_function_keys(built: func.FunctionApp) -> None:
    triggers = [function.get_trigger() for function in built.get_functions()]
    assert all(isinstance(trigger, HttpTrigger) for trigger in triggers)
    assert {
        trigger.route: ({method.value for method in trigger.methods or ()}, trigger.auth_level)
        for trigger in triggers
        if isinstance(trigger, HttpTrigger)
    } == {
        "addTransaction": ({"POST"}, func.AuthLevel.FUNCTION),
        "spend": ({"POST"}, func.AuthLevel.FUNCTION),
        "balance": ({"GET"}, func.AuthLevel.FUNCTION),
        "flushDB": (set(), func.AuthLevel.FUNCTION),  # any
        "openapi.json": ({"GET"}, func.AuthLevel.FUNCTION),
    }


def test_no_name_is_in_the_log(ledger: Ledger, database_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        ledger.add("Unmistakable", 5, 1)
        ledger.try_add("Unmistakable", -6, 1)
        ledger.try_add("Unmistakable", MOST, 1)
        ledger.try_add("Unmistakable\x00", 1)
        ledger.try_add("Unmistakable", 1, "Unmistakable")
        ledger.api.post("addTransaction", {"Unmistakable": 1})
        ledger.spend(2)
        ledger.balance()
        connection = sqlite3.connect(database_file)
        connection.execute("ALTER TABLE points_balances RENAME TO lost")
        connection.close()
        assert ledger.try_add("Unmistakable", 5, 1).status_code == 500
    lines = [record.getMessage() for record in caplog.records if record.name == "rollbook"]
    assert len(lines) == 10  # one for each call, and one more for the fault
    assert "Unmistakable" not in caplog.text
