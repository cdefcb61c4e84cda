"""The endpoints of the points service. A handler is a sequence: read, load, decide, save, respond."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, TypedDict

from pydantic import BeforeValidator

from api.http.requests import Examples, Request, field
from api.http.responses import Response, Returns
from api.http.service import Service
from domain import points as domain
from domain.errors import InvalidError
from domain.timestamps import format_timestamp
from persistence import points as store
from persistence.database.connections import Connection
from persistence.database.idempotency import delete_keys
from settings import switch


@dataclass(frozen=True)
class PointsSettings:
    """The settings of the points service."""

    allow_flush: bool = switch("POINTS_ALLOW_FLUSH", default=False)


service = Service("points", settings=PointsSettings)


def _points(description: str, *errors: type[InvalidError], **schema: Any) -> Any:
    return field(description, *errors, format="int64", maximum=domain.POINTS_MAX, **schema)


class AddTransaction(Request):
    """The body of `addTransaction`."""

    EXAMPLES: ClassVar[Examples] = {
        "Points": {"payer": "DANNON", "points": 300, "timestamp": "2020-10-31T10:00:00Z"},
        "After that: a debit": {"payer": "DANNON", "points": -200, "timestamp": "2020-10-31T15:00:00Z"},
    }

    payer: Annotated[
        str,
        BeforeValidator(domain.parse_payer),
        field(
            f"At most {domain.PAYER_MAX} characters after trimming; case-sensitive",
            domain.PayerInvalidError,
            minLength=1,
        ),
    ]
    points: Annotated[
        int,
        BeforeValidator(domain.parse_points),
        _points(
            "A negative number is a debit", domain.PointsZeroError, minimum=domain.POINTS_MIN, **{"not": {"const": 0}}
        ),
    ]
    timestamp: Annotated[
        str,
        BeforeValidator(domain.parse_timestamp),
        field("Time of the transaction, with a zone", domain.TimestampInvalidError, format="date-time"),
    ]


class Spend(Request):
    """The body of `spend`."""

    EXAMPLES: ClassVar[Examples] = {"After addTransaction: a spend": {"points": 100}}

    points: Annotated[
        int, BeforeValidator(domain.parse_points_to_spend), _points("Number of points to spend", minimum=1)
    ]


class Transaction(domain.LedgerEntry):
    """The response of `addTransaction`: the stored transaction."""


class FlushedLedger(TypedDict):
    """The response of `flushDB`."""

    message: str


@service.endpoint(
    "add_transaction",
    route="addTransaction",
    body=AddTransaction,
    writes=True,
    idempotent=True,
    returns={201: Returns(Transaction, "The stored transaction")},
    errors=[domain.InsufficientPointsError, domain.PointsOverflowError],
)
def add_transaction(request: AddTransaction, connection: Connection) -> Response:
    """Records a transaction and returns it."""
    if not store.adjust_grand_total(connection, request.points):
        raise domain.PointsOverflowError if request.points > 0 else domain.InsufficientPointsError
    payer_id, balance = store.find_balance(connection, request.payer)
    balance = domain.add_points(balance, request.points)
    added = Transaction(id=str(uuid.uuid4()), payer=request.payer, points=request.points, timestamp=request.timestamp)
    store.insert_transaction(connection, added, payer_id, balance, now=format_timestamp(datetime.now(UTC)))
    return Response(added, 201)


@service.endpoint(
    "spend",
    body=Spend,
    writes=True,
    idempotent=True,
    returns={
        200: Returns(list[domain.Payment], "The points that each payer paid, in the order in which payers first paid")
    },
    errors=[domain.InsufficientPointsError],
)
def spend(request: Spend, connection: Connection) -> Response:
    """Spends the oldest points and returns what each payer paid."""
    if not store.adjust_grand_total(connection, -request.points):
        raise domain.InsufficientPointsError
    with store.open_lots(connection) as lots:
        plan = domain.allocate(lots, request.points)
    store.save_spend(connection, plan, spend_id=str(uuid.uuid4()), now=format_timestamp(datetime.now(UTC)))
    return Response(domain.payments(plan))


@service.endpoint(
    "balance",
    methods="GET",
    ignore_body=True,
    returns={200: Returns(dict[str, domain.Int64], "Points by payer")},
)
def balance(connection: Connection) -> Response:
    """Returns the points of every payer."""
    return Response(store.list_totals(connection))


@service.endpoint(
    "flush_db",
    route="flushDB",
    methods=(),
    ignore_body=True,
    before=lambda settings: domain.require_flush(allowed=settings.allow_flush),
    writes=True,
    returns={200: Returns(FlushedLedger, "The ledger is empty")},
    errors=[domain.FlushNotAllowedError],
)
def flush_db(connection: Connection) -> Response:
    """Empties the ledger if permitted, and deletes the responses stored for its keys. Accepts any method."""
    store.flush(connection)
    # Last: this skips a locked key, whose call waits for the ledger and takes effect after the flush.
    delete_keys(connection, ["add_transaction", "spend"])
    return Response(FlushedLedger(message="Ledger emptied"))
