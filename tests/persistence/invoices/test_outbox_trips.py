"""The statements of the outbox on SQL Server: round trips, declared types of parameters, locks."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence.database import connections
from persistence.invoices import outbox
from tests.support.counting_driver import URL, Server, counting_driver
from tests.support.outbox import NOW, change, entries, later, new_customer, next_entry

OWN = str(uuid.uuid4())
TYPES = {
    "now": "datetime2(6)", "until": "datetime2(6)", "next_at": "datetime2(6)", "of_entry": "bigint",
    "new_claim": "uniqueidentifier", "own_claim": "uniqueidentifier", "error": "nvarchar(200)",
    "reason": "nvarchar(200)", "customer_id": "bigint", "attempts": "int", "first_queued_at": "datetime2(6)",
    "next_attempt_at": "datetime2(6)", "row_limit": "int",
}  # fmt: skip
"""The types of parameters by their names: those of their columns."""


@pytest.fixture
def server(database_file: Path) -> Iterator[Server]:
    """The app on SQL Server, over a driver that counts what it sends."""
    with counting_driver(database_file) as server:
        connections.connect(URL, threads=8)
        yield server
        connections.close()


def test_parameters_have_the_types_of_their_columns(server: Server) -> None:
    customer_id = new_customer("Asha", queued_at=None)
    seen: set[str] = set()
    for call in (
        lambda: change(outbox.queue, customer_id, now=NOW),
        next_entry,
        lambda: change(outbox.claim, 1, OWN, now=NOW, until=later(30)),
        lambda: change(outbox.release, 1, OWN, next_at=later(10), error="status 503"),
        lambda: change(outbox.release, 1, OWN, next_at=NOW, error="status 400", reason="status 400"),
        lambda: change(outbox.requeue, 1, now=NOW),
        lambda: change(outbox.requeue, None, now=NOW),
        lambda: change(outbox.delete_delivered, 1, OWN),
        lambda: change(outbox.queue_earlier, now=NOW),
    ):
        server.sent_by(call)
        (execution,) = server.executions
        assert execution.declared == tuple(TYPES[name] for name in execution.names), execution.text
        assert "describe" not in {request.kind for request in server.requests}, "a NULL is sent with its type"
        seen |= {*execution.names}
    assert seen == {*TYPES}


def test_an_idle_tick_is_one_round_trip_without_a_transaction(server: Server) -> None:
    new_customer("Asha", queued_at=later(1))
    next_entry()
    assert len(server.sent_by(next_entry)) == 1


def test_a_claim_locks_its_row_alone(server: Server) -> None:
    new_customer("Asha")
    entry_id = entries()[0]["id"]
    server.sent_by(lambda: change(outbox.claim, entry_id, OWN, now=NOW, until=later(30)))
    (execution,) = server.executions
    assert "WITH (ROWLOCK)" in execution.text


def test_the_oldest_is_next_whatever_the_identities(server: Server) -> None:
    server.sent_by(next_entry)
    (execution,) = server.executions
    times_then_customers = "ORDER BY invoices_outbox.first_queued_at, invoices_outbox.customer_id OFFSET 0 ROWS"
    assert times_then_customers in execution.text
