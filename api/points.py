"""The triggers of the points service. A handler is a sequence: read, load, decide, save, answer."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, TypedDict

import azure.functions as func
from pydantic import BeforeValidator

import settings
from api.description import WRITING, described, shaped
from api.http import Answer, Examples, Request, endpoint_without_body, idempotent_endpoint
from domain import points as domain
from domain.timestamps import format_timestamp
from persistence import points as store
from persistence.database.connections import Connection, reading, transaction
from persistence.database.idempotency import delete_keys

blueprint = func.Blueprint()  # type: ignore[no-untyped-call]


def _points(description: str, *codes: str, **schema: Any) -> Any:
    return shaped(description, *codes, format="int64", maximum=domain.POINTS_MAX, **schema)


class AddTransaction(Request):
    """The body of `addTransaction`."""

    EXAMPLES: ClassVar[Examples] = {
        "Points": {"payer": "DANNON", "points": 300, "timestamp": "2020-10-31T10:00:00Z"},
        "After that: a debit": {"payer": "DANNON", "points": -200, "timestamp": "2020-10-31T15:00:00Z"},
    }

    payer: Annotated[
        str,
        BeforeValidator(domain.parse_payer),
        shaped(
            f"At most {domain.PAYER_MAX} characters after trimming; upper and lower case differ",
            "payer-invalid",
            minLength=1,
        ),
    ]
    points: Annotated[
        int,
        BeforeValidator(domain.parse_points),
        _points("Below zero for a debit", "points-zero", minimum=domain.POINTS_MIN, **{"not": {"const": 0}}),
    ]
    timestamp: Annotated[
        str,
        BeforeValidator(domain.parse_timestamp),
        shaped("When it happened, with a zone", "timestamp-invalid", format="date-time"),
    ]


class Spend(Request):
    """The body of `spend`."""

    EXAMPLES: ClassVar[Examples] = {"After addTransaction: a spend": {"points": 100}}

    points: Annotated[int, BeforeValidator(domain.parse_points_to_spend), _points("How many to spend", minimum=1)]


class FlushedLedger(TypedDict):
    """The answer of `flushDB`."""

    message: str


@blueprint.route(route="addTransaction", methods=["POST"])
@described(
    {201: (domain.Transaction, "The stored transaction")},
    {409: ("insufficient-points", "points-overflow")},
    WRITING,
)
@idempotent_endpoint(AddTransaction)
def add_transaction(request: AddTransaction, connection: Connection) -> Answer:
    """Records a transaction and answers it."""
    added = domain.Transaction(
        id=str(uuid.uuid4()), payer=request.payer, points=request.points, timestamp=request.timestamp
    )
    if not store.adjust_grand_total(connection, request.points):
        raise domain.points_overflow() if request.points > 0 else domain.insufficient_points()
    payer_id, balance = store.find_balance(connection, request.payer)
    balance = domain.add_points(balance, request.points)
    store.insert_transaction(connection, added, payer_id, balance, now=format_timestamp(datetime.now(UTC)))
    return Answer(added, 201)


@blueprint.route(route="spend", methods=["POST"])
@described(
    {200: (list[domain.Payment], "What each payer paid, in the order of the first points taken")},
    {409: ("insufficient-points",)},
    WRITING,
)
@idempotent_endpoint(Spend)
def spend(request: Spend, connection: Connection) -> Answer:
    """Spends the oldest points and answers what each payer paid."""
    if not store.adjust_grand_total(connection, -request.points):
        raise domain.insufficient_points()
    with store.open_lots(connection) as lots:
        spending = domain.allocate(lots, request.points)
    store.save_spending(connection, spending, spend_id=str(uuid.uuid4()), now=format_timestamp(datetime.now(UTC)))
    return Answer(domain.payments(spending))


@blueprint.route(route="balance", methods=["GET"])
@described({200: (dict[str, domain.Int64], "The points of each payer, who is the key")})
@endpoint_without_body
def balance() -> Answer:
    """Answers the points of every payer."""
    with reading() as connection:
        return Answer(store.list_totals(connection))


@blueprint.route(route="flushDB")
@described({200: (FlushedLedger, "The ledger is empty")}, {403: ("flush-not-allowed",)}, WRITING)
@endpoint_without_body
def flush_db() -> Answer:
    """Empties the ledger, where that is allowed, with the answers kept for its keys. Any method will do."""
    domain.require_flush(allowed=settings.current().points_allow_flush)
    with transaction() as connection:
        store.flush(connection)
        # Second: a claim that is passed over waits for the ledger, and its effect comes after the flush.
        delete_keys(connection, ["add_transaction", "spend"])
    return Answer(FlushedLedger(message="Ledger emptied"))
