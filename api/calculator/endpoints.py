"""The endpoints of the calculator service. A handler is a sequence: read, load, decide, save, respond."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, NamedTuple

from api.accounts.tokens import AccountCaller, Token
from api.calculator.numbers import NewRecord, parse_record
from api.calculator.random_org import RandomOrg, RandomSourceUnavailableError, fetch_string, local_string
from api.calculator.schemas import (
    AccountBalance,
    AddedRecord,
    CalculatorSettings,
    DeletedRecord,
    OperationPage,
    OperationsQuery,
    RecordPage,
    RecordPath,
    RecordsQuery,
    check_settings,
    paginate,
)
from api.http.responses import Response, Returns
from api.http.service import Service
from domain import calculator as domain
from domain.timestamps import format_timestamp
from persistence import calculator as store
from persistence.database.connections import Connection, reading

service = Service("calculator", requires=("accounts",), settings=CalculatorSettings, enabled=check_settings)

RANDOM_SOURCE: Final = "Random-Source"


class Computed(NamedTuple):
    """The result of an operation before it is charged, and the source of a random string."""

    operation: domain.Operation
    text: str
    random_source: str | None = None


@service.endpoint(
    "calculator_operations",
    route="api/v1/operations",
    methods="GET",
    auth=Token(),
    query=OperationsQuery,
    returns={200: OperationPage},
)
def calculator_operations(query: OperationsQuery) -> Response:
    """Lists the operations and their costs."""
    found = sorted(
        domain.OPERATIONS,
        key=lambda operation: (getattr(operation, query.sort_by), operation.id),
        reverse=query.direction == "desc",
    )
    first = (query.page - 1) * query.per_page
    page = [operation._asdict() for operation in found[first : first + query.per_page]]
    return Response({"success": True, "operations": page, "pagination": paginate(query, len(found))})


def compute(request: NewRecord, caller: AccountCaller, settings: CalculatorSettings) -> Computed:
    """Returns the result of the operation. Reads the balance only before a call of random.org, which may take seconds.

    Raises `OperationNotFoundError`, `DivisionByZeroError`, `NegativeRootError`, `ResultTooLargeError`,
    `InsufficientBalanceError`, `RandomSourceUnavailableError`.
    """
    operation = domain.find_operation(request.operation_id)
    if operation is not domain.RANDOM_STRING:
        return Computed(operation, domain.calculate(operation, *request.operands))
    length = domain.random_length(*request.operands)
    if not settings.random_org_api_key:
        return Computed(operation, local_string(length), "local")
    with reading() as connection:
        if store.find_balance(connection, caller.account_id) < operation.cost:
            raise domain.InsufficientBalanceError
    source = RandomOrg(settings.random_org_url, settings.random_org_api_key, max(1, settings.threads // 2))
    return Computed(operation, fetch_string(source, length), "random.org")


@service.endpoint(
    "calculator_add_record",
    route="api/v1/records",
    auth=Token(),
    body=NewRecord,
    parse=parse_record,
    before=compute,
    writes=True,
    idempotent=True,
    returns={
        201: Returns(
            AddedRecord,
            "The operation is charged, and its record is stored",
            headers={RANDOM_SOURCE: "The source of a random string: random.org or local"},
        )
    },
    errors=[
        domain.DivisionByZeroError,
        domain.NegativeRootError,
        domain.ResultTooLargeError,
        domain.OperationNotFoundError,
        domain.InsufficientBalanceError,
        RandomSourceUnavailableError,
    ],
)
def calculator_add_record(caller: AccountCaller, prepared: Computed, connection: Connection) -> Response:
    """Performs an operation, charges it and stores the record."""
    operation, text, source = prepared
    now = format_timestamp(datetime.now(UTC))
    record_id, balance = store.charge(connection, caller.account_id, operation.id, operation.cost, text, now=now)
    added = AddedRecord(success=True, record_id=record_id, user_balance=balance)
    return Response(added, 201, headers={RANDOM_SOURCE: source} if source else {})


@service.endpoint(
    "calculator_records",
    route="api/v1/records",
    methods="GET",
    auth=Token(),
    query=RecordsQuery,
    returns={200: RecordPage},
)
def calculator_records(query: RecordsQuery, caller: AccountCaller, connection: Connection) -> Response:
    """Lists the account's records."""
    total = store.count_records(connection, caller.account_id, query.search)
    records = store.list_records(connection, caller.account_id, query.rows)
    return Response(RecordPage(success=True, pagination=paginate(query, total), records=records))


@service.endpoint(
    "calculator_delete_record",
    route="api/v1/records/{record_id}",
    methods="DELETE",
    auth=Token(),
    path=RecordPath,
    writes=True,
    returns={200: DeletedRecord},
    errors=[domain.RecordNotFoundError],
)
def calculator_delete_record(path: RecordPath, caller: AccountCaller, connection: Connection) -> Response:
    """Deletes a record and returns its amount to the balance."""
    store.delete_record(connection, caller.account_id, path.record_id, now=format_timestamp(datetime.now(UTC)))
    message = "Record deleted successfully, user balances records updated"
    return Response(DeletedRecord(success=True, message=message))


@service.endpoint(
    "calculator_balance", route="api/v1/balance", methods="GET", auth=Token(), returns={200: AccountBalance}
)
def calculator_balance(caller: AccountCaller, connection: Connection) -> Response:
    """Returns the account's balance."""
    return Response(AccountBalance(balance=store.find_balance(connection, caller.account_id)))
