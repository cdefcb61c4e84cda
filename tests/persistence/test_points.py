"""The costs of adds and spends (statements, query plans, fetched rows), and constraints of the tables."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from domain.timestamps import format_timestamp
from persistence.database import connections
from persistence.points import BALANCES, LEDGER, SPENDS, TRANSACTIONS

AT = "2020-10-31T10:00:00.000000Z"


def store_lots(payers: int, lots: int) -> None:
    """Stores lots of one point each, of the payers `P0`, `P1`… in turn, directly, because the API would take longer.

    The last one to arrive is the oldest.
    """
    with connections.transaction() as connection:
        totals = [len(range(payer, lots, payers)) for payer in range(payers)]
        balances = [
            {"id": number, "payer": f"P{number}", "total": total, "outstanding_debit": 0}
            for number, total in enumerate(totals)
        ]
        transactions = [
            {
                "transaction_id": str(uuid.UUID(int=number)),
                "payer_id": number % payers,
                "points": 1,
                "points_left": 1,
                "occurred_at": format_timestamp(datetime(2020, 10, 31, tzinfo=UTC) - timedelta(seconds=number)),
                "recorded_at": AT,
            }
            for number in range(lots)
        ]
        connection.execute(insert(BALANCES), balances)
        connection.execute(insert(TRANSACTIONS), transactions)
        connection.execute(update(LEDGER).values(total=lots))


def add(api: Any, payer: str, points: int) -> int:
    """Returns the status of the response to a transaction."""
    return int(api.post("addTransaction", {"payer": payer, "points": points, "timestamp": AT}).status_code)


def spend(api: Any, points: int) -> list[dict[str, Any]]:
    """Returns the response to a spend."""
    response = api.post("spend", {"points": points})
    assert response.status_code == 200, response.text
    payments: list[dict[str, Any]] = response.json()
    return payments


# ---- statements


@pytest.mark.parametrize(("payers", "lots"), [(1, 1), (1, 500), (50, 50), (50, 500)])
def test_a_spend_costs_five_statements_however_many_lots_and_payers_it_touches(
    api: Any, database_file: Path, count_statements: Callable[[], int], payers: int, lots: int
) -> None:
    store_lots(payers, lots + 1)
    count_statements()
    assert len(spend(api, lots)) == payers
    assert count_statements() == 5  # lock, lots, and three writes
    with connections.reading() as connection:
        assert connection.execute(select(func.count()).where(TRANSACTIONS.c.points_left == 0)).scalar_one() == lots
        assert connection.execute(select(func.count()).select_from(SPENDS)).scalar_one() == payers


def test_an_add_costs_four_statements_and_a_rejected_one_fewer(api: Any, count_statements: Callable[[], int]) -> None:
    def cost(response: object, expected: object) -> int:
        assert response == expected
        return count_statements()

    api.client.get("/balance")  # the first read of a new pool queries the version of a SQL Server, once
    count_statements()
    assert cost(add(api, "NEW", 100), 201) == 4
    assert cost(add(api, "NEW", 100), 201) == 4
    assert cost(add(api, "NEW", -50), 201) == 4
    assert cost(api.client.get("/balance").json(), {"NEW": 150}) == 1
    assert cost(add(api, "NEW", -151), 409) == 1  # more than all of them have
    assert cost(add(api, "OTHER", -1), 409) == 2  # more than this one has
    assert cost(add(api, "NEW", 2**63 - 1), 409) == 1
    assert cost(api.post("spend", {"points": 151}).status_code, 409) == 1
    assert cost(add(api, "NEW", 0), 400) == 0
    assert cost(add(api, " ", 1), 400) == 0
    assert cost(api.post("spend", {"points": 0}).status_code, 400) == 0


def test_a_flush_costs_the_same_whatever_it_empties(
    api: Any, database_file: Path, count_statements: Callable[[], int]
) -> None:
    costs = []
    for lots in (1, 500):
        store_lots(1, lots)
        count_statements()
        assert api.post("flushDB").status_code == 200
        costs.append(count_statements())
    assert costs[0] == costs[1]


def test_every_write_locks_the_ledger_before_it_reads_or_writes_more(api: Any, statements: list[str]) -> None:
    """SQLite locks its whole file; on SQL Server this row is the only lock."""
    calls: list[Callable[[], Any]] = [
        lambda: add(api, "A", 5),
        lambda: add(api, "A", -1),
        lambda: spend(api, 1),
        lambda: api.post("flushDB"),
    ]
    for call in calls:
        statements.clear()
        call()
        assert next(text for text in statements if "points_" in text).startswith("UPDATE points_ledger SET total=")


def test_the_query_of_the_lots_has_the_literal_condition_of_their_index(api: Any, statements: list[str]) -> None:
    """SQLite plans with the value of a parameter; SQL Server uses the index only for the literal."""
    assert add(api, "A", 5) == 201
    spend(api, 1)
    (lots,) = [text for text in statements if text.startswith("SELECT") and "points_left" in text]
    assert "WHERE points_transactions.points_left > 0 ORDER BY" in lots.replace("\n", "")


# ---- plans

Plans = Callable[[Callable[[], Any]], list[str]]
BY_KEY = "SEARCH {} USING INTEGER PRIMARY KEY (rowid=?)"
LOTS_IN_ORDER = "SCAN points_transactions USING INDEX ix_points_transactions_lots"


def test_a_spend_reads_lots_in_the_order_of_their_index_and_writes_by_key(api: Any, plans: Plans) -> None:
    store_lots(3, 9)
    steps = plans(lambda: spend(api, 5))
    assert not [step for step in steps if "TEMP B-TREE" in step]
    assert steps.count(LOTS_IN_ORDER) == 1
    assert steps.count(BY_KEY.format("points_transactions")) == 1  # the lots that it empties
    assert steps.count(BY_KEY.format("points_balances")) == 2  # of each lot, and of the payers
    touched = [step for step in steps if "points_transactions" in step or "points_balances" in step]
    assert len(touched) == 4, steps
    assert not [step for step in steps if step.startswith("SCAN points_spends")]


@pytest.mark.parametrize("payer", ["P1", "NEW"])
@pytest.mark.parametrize("points", [1, -1])
def test_an_add_seeks_its_payer_and_writes_by_key(api: Any, plans: Plans, payer: str, points: int) -> None:
    store_lots(3, 9)
    steps = plans(lambda: add(api, payer, points))
    assert steps.count("SEARCH points_balances USING INDEX ux_points_balances_payer (payer=?)") == 1
    assert steps.count(BY_KEY.format("points_balances")) == (payer == "P1")
    assert {step for step in steps if step.startswith("SCAN")} == {"SCAN points_ledger"}  # which has one row


def test_a_balance_reads_no_transaction_and_sorts_nothing(api: Any, plans: Plans) -> None:
    store_lots(3, 9)
    assert plans(lambda: api.client.get("/balance")) == ["SCAN points_balances"]


# ---- as far as needed


@pytest.fixture
def writer(database_file: Path) -> sqlite3.Connection:
    """The connection of the driver on which every transaction runs."""
    with connections.transaction() as connection:
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    assert type(driver) is sqlite3.Connection
    return driver


@pytest.mark.parametrize(("touched", "most"), [(1, 100), (10, 100), (100, 100), (150, 200), (1000, 1000)])
def test_a_spend_fetches_a_hundred_lots_at_a_time_and_no_more_than_it_needs(
    api: Any, writer: sqlite3.Connection, touched: int, most: int
) -> None:
    store_lots(5, 3000)
    fetched = []

    def record(_: sqlite3.Cursor, row: tuple[Any, ...]) -> tuple[Any, ...]:
        fetched.append(row)
        return row

    writer.row_factory = record  # the driver calls it for each row that is fetched
    spend(api, touched)
    writer.row_factory = None
    assert touched <= len(fetched) <= most


def _steps(writer: sqlite3.Connection, call: Callable[[], Any]) -> int:
    """The instructions of SQLite's machine that a call costs on the writing connection."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1

    writer.set_progress_handler(count, 1)
    call()
    writer.set_progress_handler(None, 1)
    return done


def test_a_spend_of_ten_lots_is_as_much_work_in_a_ledger_of_any_size(api: Any, writer: sqlite3.Connection) -> None:
    steps = []
    for payers, lots in ((10, 1_000), (1_000, 20_000)):
        api.post("flushDB")
        store_lots(payers, lots)
        # The least of several: the first call of a connection prepares statements.
        steps.append(min(_steps(writer, lambda: spend(api, 10)) for _ in range(3)))
    assert 0 < steps[1] <= steps[0] * 1.2


def test_an_add_is_as_much_work_in_a_ledger_of_any_size(api: Any, writer: sqlite3.Connection) -> None:
    steps = []
    for payers, lots in ((10, 1_000), (1_000, 20_000)):
        api.post("flushDB")
        store_lots(payers, lots)
        steps.append(min(_steps(writer, lambda: add(api, "P7", 1)) for _ in range(3)))
    assert 0 < steps[1] <= steps[0] * 1.2


def test_empty_lots_are_not_read_again(api: Any, writer: sqlite3.Connection) -> None:
    store_lots(10, 20_000)
    first = min(_steps(writer, lambda: spend(api, 10)) for _ in range(3))
    spend(api, 19_000)
    assert _steps(writer, lambda: spend(api, 10)) <= first * 1.2


# ---- constraints of the tables


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        (update(LEDGER).values(total=-1), "ck_points_ledger_total"),
        (insert(LEDGER).values(id=2, total=0), "ck_points_ledger_one_row"),
        (update(BALANCES).values(total=-1), "ck_points_balances_not_below_zero"),
        (update(BALANCES).values(outstanding_debit=-1), "ck_points_balances_not_below_zero"),
        (update(TRANSACTIONS).values(points_left=-1), "ck_points_transactions_not_below_zero"),
    ],
)
def test_the_tables_reject_what_is_below_zero_and_a_second_grand_total(api: Any, statement: Any, name: str) -> None:
    assert add(api, "A", 5) == 201
    with connections.transaction() as connection, pytest.raises(IntegrityError, match=name):
        connection.execute(statement)
    assert api.client.get("/balance").json() == {"A": 5}


def test_the_tables_reject_a_second_balance_of_one_payer(api: Any) -> None:
    assert add(api, "A", 5) == 201
    with connections.transaction() as connection, pytest.raises(IntegrityError):
        connection.execute(insert(BALANCES).values(payer="A", total=0, outstanding_debit=0))


@pytest.mark.parametrize("table", [TRANSACTIONS, SPENDS])
def test_the_tables_reject_an_unknown_payer(api: Any, table: Any) -> None:
    values = {"payer_id": 5, "points": 1, "points_left": 1, "occurred_at": AT, "recorded_at": AT}
    values |= {"transaction_id": str(uuid.UUID(int=5)), "spend_id": str(uuid.UUID(int=5))}
    with connections.transaction() as connection, pytest.raises(IntegrityError):
        connection.execute(insert(table).values({column: values[column] for column in table.c.keys()[1:]}))
