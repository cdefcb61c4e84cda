"""Statements and round trips of every endpoint on SQL Server, the declared types of parameters, and kept cursors."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

import settings
from api.http.endpoint import timer_function
from api.purge import service as purge
from tests.support.account_calls import CALLS as ACCOUNT_CALLS
from tests.support.account_calls import Prepare, replay, while_keys_expire
from tests.support.counting_driver import Server
from tests.support.ecg_calls import CALLS as ECG_CALLS
from tests.support.invoice_calls import CALLS as INVOICE_CALLS
from tests.support.peer_calls import CALLS as PEER_CALLS
from tests.support.seed import SEED_MANAGERS

PAGE: Final = Path(__file__).resolve().parents[3] / "docs/azure-sql.md"
NORTH, SOUTH = (str(manager["manager_id"]) for manager in SEED_MANAGERS[:2])
RETIRED: Final = next(str(manager["manager_id"]) for manager in SEED_MANAGERS if not manager["is_active"])
PAYER: Final = {"payer": "DANNON", "points": 300, "timestamp": "2020-10-31T10:00:00Z"}


def _create(**fields: Any) -> Prepare:
    return lambda api: lambda: api.post("create_user", api.new_user(**fields))


def _create_with_a_key(api: Any) -> Callable[[], Any]:
    body, headers = api.new_user(), {"Idempotency-Key": str(uuid.uuid4())}
    return lambda: api.post("create_user", body, headers=headers)


def _purge(_: Any) -> Callable[[], Any]:
    (timer,) = purge.build(settings.current()).timers
    tick, context = SimpleNamespace(past_due=False), SimpleNamespace(invocation_id="id")
    return lambda: timer_function(timer)(timer=tick, context=context)


def _create_many(count: int, **fields: Any) -> Prepare:
    return lambda api: lambda: api.post("create_users", {"users": [api.new_user(**fields) for _ in range(count)]})


def _create_taken(api: Any) -> Callable[[], Any]:
    users = [api.new_user(mob_num=api.create()["mob_num"])]
    return lambda: api.post("create_users", {"users": users})


def _get(*keys: str, **filters: Any) -> Prepare:
    def prepare(api: Any) -> Callable[[], Any]:
        user = api.create(manager_id=NORTH)
        return lambda: api.post("get_users", {**{key: user[key] for key in keys}, **filters})

    return prepare


def _get_as_of(*keys: str, name: str = "get_users") -> Prepare:
    def prepare(api: Any) -> Callable[[], Any]:
        user = api.create(manager_id=NORTH)
        return lambda: api.post(name, {"as_of": user["created_at"], **{key: user[key] for key in keys}})

    return prepare


def _get_many(key: str, column: str) -> Prepare:
    def prepare(api: Any) -> Callable[[], Any]:
        users = [api.create() for _ in range(100)]
        return lambda: api.post("get_users", {key: [user[column] for user in users]})

    return prepare


def _get_next_page(api: Any) -> Callable[[], Any]:
    for _ in range(2):
        api.create()
    cursor = api.post("get_users", {"limit": 1}).json()["next_cursor"]
    return lambda: api.post("get_users", {"limit": 1, "cursor": cursor})


def _get_history(key: str, **paging: Any) -> Prepare:
    def prepare(api: Any) -> Callable[[], Any]:
        user = api.create()
        api.update([user["user_id"]], full_name="New")
        first = api.post("get_user_history", {key: user[key], "limit": 1}).json()
        cursor = {"cursor": first["next_cursor"]} if paging else {}
        return lambda: api.post("get_user_history", {key: user[key], **paging, **cursor})

    return prepare


def _get_changes(api: Any) -> Callable[[], Any]:
    api.create()
    after = api.post("get_changes", {"limit": 1}).json()["next"]
    return lambda: api.post("get_changes", {"after": after})


def _delete(key: str) -> Prepare:
    def prepare(api: Any) -> Callable[[], Any]:
        user = api.create()
        return lambda: api.post("delete_user", {key: user[key]})

    return prepare


def _delete_unknown(api: Any) -> Callable[[], Any]:
    return lambda: api.post("delete_user", {"user_id": str(uuid.uuid4())})


def _update(count: int = 1, *, unknown: int = 0, stored: dict[str, Any], **changes: Any) -> Prepare:
    def prepare(api: Any) -> Callable[[], Any]:
        ids = [api.create(**stored)["user_id"] for _ in range(count)] + [str(uuid.uuid4()) for _ in range(unknown)]
        return lambda: api.update(ids, **changes)

    return prepare


def _update_in_place(api: Any) -> Callable[[], Any]:
    user_id = api.create()["user_id"]
    return lambda: api.update([user_id], **api.new_user(full_name="New", pan_num="ABCCE1234F"))


def _add(api: Any) -> Callable[[], Any]:
    api.post("addTransaction", PAYER)
    return lambda: api.post("addTransaction", PAYER)


def _add_new(api: Any) -> Callable[[], Any]:
    return lambda: api.post("addTransaction", {**PAYER, "payer": str(uuid.uuid4())})


def _spend(api: Any, key: str | None = None) -> Callable[[], Any]:
    api.post("addTransaction", PAYER)
    headers = {} if key is None else {"Idempotency-Key": key}
    return lambda: api.post("spend", {"points": 100}, headers=headers)


def _spend_with_a_key(api: Any) -> Callable[[], Any]:
    return _spend(api, str(uuid.uuid4()))


CALLS: Final[dict[str, Prepare]] = {
    "`get_users` by `user_id`": _get("user_id"),
    "`get_users` by `mob_num`": _get("mob_num"),
    "`get_users`, a list": _get("manager_id"),
    "`get_users`, the first page": _get(limit=1),
    "`get_users`, a later page": _get_next_page,
    "`get_users` of 100 `user_ids`": _get_many("user_ids", "user_id"),
    "`get_users` of 100 `mob_nums`": _get_many("mob_nums", "mob_num"),
    "`get_users` `as_of`, one user": _get_as_of("user_id"),
    "`get_users` `as_of`, by `mob_num`": _get_as_of("mob_num"),
    "`get_users` `as_of`, all users": _get_as_of(),
    "`get_users_masked`, a list": lambda api: lambda: api.post("get_users_masked"),
    "`create_user`": _create(),
    "`create_user` with a manager": _create(manager_id=NORTH),
    "`create_user` with a manager who is rejected": _create(manager_id=RETIRED),
    "`create_user` with a new `Idempotency-Key`": _create_with_a_key,
    "`create_user` with a used `Idempotency-Key` (a replay)": replay(_create_with_a_key),
    "`create_users`, one user": _create_many(1),
    "`create_users`, 1,000 users": _create_many(1000),
    "`create_users`, 1,000 users with a manager": _create_many(1000, manager_id=NORTH),
    "`create_users` with a taken number": _create_taken,
    "`create_users`, a dry run": lambda api: (
        lambda: api.post("create_users", {"users": [api.new_user()], "dry_run": True})
    ),
    "`get_user_history` by `user_id`": _get_history("user_id"),
    "`get_user_history` by `mob_num`, a later page": _get_history("mob_num", limit=1),
    "`get_changes`": lambda api: lambda: api.post("get_changes"),
    "`get_changes` with `after`": _get_changes,
    "`delete_user` by `user_id`": _delete("user_id"),
    "`delete_user` by `mob_num`": _delete("mob_num"),
    "`delete_user` of an unknown user": _delete_unknown,
    "`update_user`, one user, in place": _update_in_place,
    "`update_user`, one user, a first manager": _update(stored={}, manager_id=NORTH),
    "`update_user`, one user, a new version": _update(stored={"manager_id": NORTH}, manager_id=SOUTH),
    "`update_user`, one user, without a change": _update(stored={"full_name": "Same"}, full_name="Same"),
    "`update_user`, 100 users": _update(100, stored={"manager_id": NORTH}, manager_id=SOUTH),
    "`update_user`, several users, some of them unknown": _update(
        2, unknown=1, stored={"manager_id": NORTH}, manager_id=SOUTH
    ),
    "`addTransaction`": _add,
    "`addTransaction` of a new payer": _add_new,
    "`spend`": _spend,
    "`spend` with a new `Idempotency-Key`": _spend_with_a_key,
    "`spend` with a new `Idempotency-Key`, while expired keys are purged": while_keys_expire(_spend_with_a_key),
    "`spend` with a used `Idempotency-Key` (a replay)": replay(_spend_with_a_key),
    "`balance`": lambda api: lambda: api.client.get("/balance"),
    "`flushDB`": lambda api: lambda: api.post("flushDB"),
    "a purge of idempotency keys with nothing expired": _purge,
    **ACCOUNT_CALLS,
    **ECG_CALLS,
    **INVOICE_CALLS,
    **PEER_CALLS,
}
DECLARED: Final = {
    "user_id": "uniqueidentifier", "manager_id": "uniqueidentifier", "new_manager_id": "uniqueidentifier",
    "transaction_id": "uniqueidentifier", "spend_id": "uniqueidentifier",
    "full_name": "nvarchar(400)", "new_full_name": "nvarchar(400)", "payer": "nvarchar(400)",
    "mob_num": "char(10)", "pan_num": "char(10)", "new_mob_num": "char(10)", "new_pan_num": "char(10)",
    "created_at": "datetime2(6)", "now": "datetime2(6)", "after_created_at": "datetime2(6)",
    "occurred_at": "datetime2(6)", "recorded_at": "datetime2(6)", "expired_at": "datetime2(6)",
    "user_ids": "nvarchar(max)", "row_ids": "nvarchar(max)", "ids": "nvarchar(max)", "lots": "nvarchar(max)",
    "shares": "nvarchar(max)", "paid": "nvarchar(max)", "new_headers": "nvarchar(max)",
    "mob_nums": "nvarchar(max)", "as_of": "datetime2(6)",
    "after_id": "bigint", "payer_id": "bigint", "points": "bigint", "points_left": "bigint", "below": "bigint",
    "most": "bigint", "total": "bigint", "outstanding_debit": "bigint", "new_total": "bigint",
    "new_outstanding_debit": "bigint", "last_lot": "bigint", "last_points_left": "bigint",
    "version": "int", "version_1": "int", "row_limit": "int", "new_status": "int", "is_active": "bit",
    "of_caller": "nvarchar(255)", "of_operation": "nvarchar(255)", "of_key": "nvarchar(255)", "new_hash": "char(64)",
    "of_user": "uniqueidentifier", "subjects": "nvarchar(max)",
    "new_media_type": "nvarchar(100)", "new_body": "varbinary(max)",
    "of_id": "bigint", "of_username": "nvarchar(64)", "username": "nvarchar(64)", "role": "nvarchar(10)",
    "password_hash": "nvarchar(200)", "old_hash": "nvarchar(200)", "new_password_hash": "nvarchar(200)",
    "is_sample": "bit", "new_jti": "uniqueidentifier", "of_jti": "uniqueidentifier", "kid": "uniqueidentifier",
    "secret": "varbinary(max)", "new_expires_at": "datetime2(6)", "replaced_at": "datetime2(6)",
    "new_failed_at": "datetime2(6)", "window_start": "datetime2(6)", "most_failures": "int",
    "account_id": "bigint", "of_account": "bigint", "of_record": "bigint", "of_amount": "bigint",
    "first_balance": "bigint", "user_balance": "bigint", "amount": "int", "operation_id": "smallint",
    "operation_response": "nvarchar(230)", "operation_ids": "nvarchar(max)", "row_offset": "bigint",
    "ecg_id": "uniqueidentifier", "of_ecg": "uniqueidentifier", "before_id": "bigint", "leads": "nvarchar(max)",
    "insights": "nvarchar(max)", "signals": "varbinary(max)",
    "added": "nvarchar(max)", "address": "nvarchar(1000)", "changed": "nvarchar(max)", "customer_id": "bigint",
    "customer_uid": "uniqueidentifier", "description": "nvarchar(1000)", "description_hash": "char(64)",
    "expiry_date": "char(10)", "is_from_peer": "bit", "wanted": "nvarchar(max)", "low_stock_threshold": "int",
    "name": "nvarchar(400)", "new_description": "nvarchar(1000)", "new_description_hash": "char(64)",
    "new_expiry_date": "char(10)", "new_low_stock_threshold": "int", "new_name": "nvarchar(400)",
    "new_price": "bigint", "new_quantity": "bigint", "number": "bigint", "of_customer": "bigint",
    "of_invoice": "bigint", "of_item": "bigint", "phone": "nvarchar(16)", "price": "bigint", "quantity": "bigint",
    "removed": "nvarchar(max)", "taken": "nvarchar(max)",
    "attempts": "int", "first_queued_at": "datetime2(6)", "next_attempt_at": "datetime2(6)", "of_entry": "bigint",
    "new_claim": "uniqueidentifier", "own_claim": "uniqueidentifier", "until": "datetime2(6)",
    "uid": "uniqueidentifier",
    "operation": "nvarchar(10)", "changed_columns": "nvarchar(60)", "changed_by": "nvarchar(400)",
    "changed_at": "datetime2(6)", "reason": "nvarchar(1000)", "entries": "nvarchar(max)",
    "new_users": "nvarchar(max)", "manager_ids": "nvarchar(max)",
    "after_changed_at": "datetime2(6)", "after_key": "bigint", "after_other": "datetime2(6)",
    "after_position": "binary(8)", "below_position": "binary(8)",
}  # fmt: skip
"""The types of parameters by their names: those of their columns."""
MANY: Final = "`update_user`, 10,000 users"


_, _, SECTION = PAGE.read_text("utf-8").partition("## Statements and round trips per call\n")
DOCUMENTED: Final = {
    call: (int(statements), int(trips))
    for call, statements, trips in re.findall(r"^\| (.+?) \| (\d+) \| (\d+) \|$", SECTION, re.MULTILINE)
}
"""The statements and the round trips of each call, as the page says."""


def _trips(server: Server, call: Callable[[], Any]) -> tuple[int, int]:
    """The statements and the round trips of a call."""
    requests = server.sent_by(call)
    return len(server.executions), len(requests)


def test_the_page_documents_every_call() -> None:
    assert {*DOCUMENTED} == {*CALLS, MANY}


@pytest.mark.parametrize("call", CALLS)
def test_a_warm_connection_needs_the_documented_round_trips(server: Server, api: Any, call: str) -> None:
    CALLS[call](api)()
    assert _trips(server, CALLS[call](api)) == DOCUMENTED[call]


@pytest.fixture
def many(store_users: Callable[..., list[str]]) -> list[str]:
    """The ids of 10,000 users. Requested before the stand-in, so that SQLite stores them at once."""
    return store_users(10_000, NORTH)


def test_10_000_users_need_as_many_round_trips_as_100(many: list[str], server: Server, api: Any) -> None:
    _update(stored={"manager_id": NORTH}, manager_id=SOUTH)(api)()
    assert _trips(server, lambda: api.update(many, manager_id=SOUTH)) == DOCUMENTED[MANY]


def test_the_first_read_of_a_connection_is_one_round_trip(server: Server, api: Any) -> None:
    assert [request.kind for request in server.sent_by(api.get) if request.kind != "sp_datatype_info"] == ["batch"]
    assert "The first read of a pool takes no more round\ntrips" in SECTION
    assert len(server.logins) == 1


def test_every_parameter_is_declared_by_its_column(server: Server, api: Any) -> None:
    seen: set[str] = set()
    for prepare in CALLS.values():
        server.sent_by(prepare(api))
        for execution in server.executions:
            expected = tuple(DECLARED[name] for name in execution.names)
            assert (execution.names, execution.declared) == (execution.names, expected), execution.text
            seen |= {*execution.names}
        assert "describe" not in {request.kind for request in server.requests}, "a NULL is sent with its type"
    assert seen == {*DECLARED}


def test_users_of_a_stored_response_are_checked_by_seeks(server: Server, api: Any) -> None:
    server.sent_by(_create_with_a_key(api))
    (stored,) = (sent.text for sent in server.executions if sent.text.startswith("INSERT INTO stored_response_users"))
    assert stored.endswith(" OPTION (LOOP JOIN)")
