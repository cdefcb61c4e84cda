"""The triggers of the points service. A handler is a sequence: read, load, decide, save, answer."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, TypedDict

import azure.functions as func
from pydantic import BeforeValidator

import settings
from api.http import Answer, Request, endpoint_without_body, idempotent_endpoint
from domain import points as domain
from domain.instants import timestamp
from persistence import points as store
from persistence.database import Connection, reading, transaction
from persistence.idempotency import forget_keys

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


class AddTransaction(Request):
    """The body of `addTransaction`."""

    payer: Annotated[str, BeforeValidator(domain.parse_payer)]
    points: Annotated[int, BeforeValidator(domain.parse_points)]
    timestamp: Annotated[str, BeforeValidator(domain.parse_timestamp)]


class Spend(Request):
    """The body of `spend`."""

    points: Annotated[int, BeforeValidator(domain.parse_points_to_spend)]


class Flushed(TypedDict):
    """The answer of `flushDB`."""

    message: str


@blueprint.route(route="addTransaction", methods=["POST"])
@idempotent_endpoint(AddTransaction)
def add_transaction(request: AddTransaction, connection: Connection) -> Answer:
    """Records a transaction and answers it."""
    added = domain.Transaction(
        id=str(uuid.uuid4()), payer=request.payer, points=request.points, timestamp=request.timestamp
    )
    if not store.move_grand_total(connection, request.points):
        raise domain.points_overflow() if request.points > 0 else domain.insufficient_points()
    payer_id, balance = store.find_balance(connection, request.payer)
    balance = domain.add_points(balance, request.points)
    store.insert_transaction(connection, added, payer_id, balance, now=timestamp(datetime.now(UTC)))
    return Answer(added, 201)


@blueprint.route(route="spend", methods=["POST"])
@idempotent_endpoint(Spend)
def spend(request: Spend, connection: Connection) -> Answer:
    """Spends the oldest points and answers what each payer paid."""
    if not store.move_grand_total(connection, -request.points):
        raise domain.insufficient_points()
    with store.open_lots(connection) as lots:
        spending = domain.allocate(lots, request.points)
    store.save_spending(connection, spending, spend_id=str(uuid.uuid4()), now=timestamp(datetime.now(UTC)))
    return Answer(domain.payments(spending))


@blueprint.route(route="balance", methods=["GET"])
@endpoint_without_body
def balance() -> Answer:
    """Answers the points of every payer."""
    with reading() as connection:
        return Answer(store.list_totals(connection))


@blueprint.route(route="flushDB")
@endpoint_without_body
def flush_db() -> Answer:
    """Empties the ledger, where that is allowed. Answers kept for idempotency keys go with what they tell of."""
    domain.require_flush(allowed=settings.current().points_allow_flush)
    with transaction() as connection:
        store.flush(connection)
        # Second: a claim that is passed over waits for the ledger, and its effect comes after the flush.
        forget_keys(connection, ["add_transaction", "spend"])
    return Answer(Flushed(message="Ledger emptied"))
