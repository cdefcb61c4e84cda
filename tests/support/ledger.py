"""The points service over HTTP, and a consistency check of its tables."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import SQLModel

from persistence.database import connections
from persistence.points import BALANCES, LEDGER, SPENDS, TRANSACTIONS

MOST: Final = 2**63 - 1
"""The maximum of points."""
ADD: Final = {"payer": "A", "points": 1, "timestamp": "2020-10-31T10:00:00Z"}
"""A body for addTransaction."""

DAY: Final = "2020-10-31T{:02}:00:00Z"

FIVE: Final[list[tuple[str, int, str]]] = [
    ("DANNON", 1000, "2020-11-02T14:00:00Z"),
    ("UNILEVER", 200, "2020-10-31T11:00:00Z"),
    ("DANNON", -200, "2020-10-31T15:00:00Z"),
    ("MILLER COORS", 10000, "2020-11-01T14:00:00Z"),
    ("DANNON", 300, "2020-10-31T10:00:00Z"),
]
FIVE_PAY: Final = [("DANNON", -100), ("UNILEVER", -200), ("MILLER COORS", -4700)]
FIVE_LEAVE: Final = {"DANNON": 1000, "UNILEVER": 0, "MILLER COORS": 5300}
"""The worked example: five transactions, the payments of a spend of 5000, and the remaining balances."""


class Ledger:
    """The four endpoints of the points service, and the tables behind them."""

    def __init__(self, api: Any) -> None:
        self.api = api

    def try_add(self, payer: object, points: object, at: object = 0) -> Any:
        """The response to a transaction; `at` is an hour of one day, or a timestamp."""
        timestamp = DAY.format(at) if type(at) is int else at
        return self.api.post("addTransaction", {"payer": payer, "points": points, "timestamp": timestamp})

    def add(self, payer: str, points: int, at: int | str = 0) -> dict[str, Any]:
        response = self.try_add(payer, points, at)
        assert response.status_code == 201, response.text
        stored: dict[str, Any] = response.json()
        return stored

    def try_spend(self, points: object) -> Any:
        return self.api.post("spend", {"points": points})

    def spend(self, points: int) -> list[tuple[str, int]]:
        """Spends points and returns the payments, in the order of the response."""
        response = self.try_spend(points)
        assert response.status_code == 200, response.text
        assert all(list(payment) == ["payer", "points"] for payment in response.json())
        return [(payment["payer"], payment["points"]) for payment in response.json()]

    def balance(self) -> dict[str, int]:
        response = self.api.client.get("/balance")
        assert response.status_code == 200, response.text
        totals: dict[str, int] = response.json()
        return totals

    def flush(self) -> None:
        assert self.api.post("flushDB").status_code == 200

    @staticmethod
    def tables() -> dict[str, list[tuple[Any, ...]]]:
        """Returns all rows of the ledger's tables and of stored responses, in the order of their keys."""
        names = ("points_", "idempotency_keys")
        tables = [table for table in SQLModel.metadata.sorted_tables if table.name.startswith(names)]
        with connections.reading() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(select(table).order_by(table.c.id))]
                for table in tables
            }


def check_books(tables: dict[str, list[tuple[Any, ...]]]) -> None:
    """Asserts that each payer's total is the rest of its lots minus its debit, and the sum of its history."""
    left: Counter[int] = Counter()
    moved: Counter[int] = Counter()
    columns = [column.name for column in TRANSACTIONS.columns]
    for row in tables[TRANSACTIONS.name]:
        transaction = dict(zip(columns, row, strict=True))
        assert 0 <= transaction["points_left"] <= max(0, transaction["points"])
        left[transaction["payer_id"]] += transaction["points_left"]
        moved[transaction["payer_id"]] += transaction["points"]
    for _, _, payer_id, points, _ in tables[SPENDS.name]:
        assert points > 0
        moved[payer_id] -= points
    for payer_id, _, total, outstanding_debit in tables[BALANCES.name]:
        assert min(total, outstanding_debit) >= 0
        assert left[payer_id] - outstanding_debit == total == moved[payer_id]
    assert tables[LEDGER.name] == [(1, sum(total for _, _, total, _ in tables[BALANCES.name]))]
