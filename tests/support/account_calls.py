"""Calls of accounts and of the calculator whose statements are counted. Each stores what it needs under a new name."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from domain.accounts import ADMIN
from tests.support.accounts import PASSWORD, WRONG, Added, add_account, bearer, sign_in
from tests.support.calculator import ADDITION, Calculator
from tests.support.keys import age_keys

Prepare = Callable[[Any], Callable[[], Any]]
"""Stores over the API what a call needs, and returns the call."""


def replay(prepare: Prepare) -> Prepare:
    """The same call once more."""

    def prepare_replay(api: Any) -> Callable[[], Any]:
        call = prepare(api)
        call()
        return call

    return prepare_replay


def while_keys_expire(prepare: Prepare) -> Prepare:
    """The call when the key of another one has expired."""

    def prepare_expired(api: Any) -> Callable[[], Any]:
        prepare(api)()
        age_keys(hours=25)
        return prepare(api)

    return prepare_expired


def _new_name() -> str:
    return f"u{uuid.uuid4().hex}"


def _sign_in(password: str = PASSWORD, *, failures: int = 0) -> Prepare:
    def prepare(api: Any) -> Callable[[], Any]:
        username = add_account(_new_name()).username
        for _ in range(failures):
            sign_in(api.client, username, WRONG)
        return lambda: sign_in(api.client, username, password)

    return prepare


def _sign_in_unknown(api: Any) -> Callable[[], Any]:
    return lambda: sign_in(api.client, _new_name())


def _post(route: str, account: Added, **body: str) -> Prepare:
    headers = bearer(account)
    return lambda api: lambda: api.post(route, body or None, headers=headers)


def _sign_out(api: Any) -> Callable[[], Any]:
    return _post("api/v1/sign-out", add_account(_new_name()))(api)


def _change_password(api: Any) -> Callable[[], Any]:
    body = {"password": PASSWORD, "new_password": WRONG}
    return _post("api/v1/change-password", add_account(_new_name()), **body)(api)


def _create_user(api: Any) -> Callable[[], Any]:
    return _post("create-user", add_account(_new_name(), ADMIN), username=_new_name(), password=PASSWORD)(api)


def _delete_user(api: Any) -> Callable[[], Any]:
    meera = _used(api)
    meera.post(ADDITION, idempotency_key="k")
    return _post(f"delete-user/{meera.account.username}", add_account(_new_name(), ADMIN))(api)


def _used(api: Any) -> Calculator:
    """A person who has used the calculator."""
    meera = Calculator(api.client, add_account(_new_name()))
    meera.add()
    return meera


def _get(path: str) -> Prepare:
    def prepare(api: Any) -> Callable[[], Any]:
        meera = _used(api)
        return lambda: meera.call("GET", path)

    return prepare


def _add_first(api: Any) -> Callable[[], Any]:
    meera = Calculator(api.client, add_account(_new_name()))
    return meera.add


def _add_rejected(api: Any) -> Callable[[], Any]:
    meera = _used(api)
    meera.spend_down_to(2)
    return lambda: meera.post(ADDITION)


def _add_with_a_key(api: Any) -> Callable[[], Any]:
    meera = _used(api)
    return lambda: meera.post(ADDITION, idempotency_key="k")


def _delete_record(record: Callable[[Calculator], int]) -> Prepare:
    def prepare(api: Any) -> Callable[[], Any]:
        meera = _used(api)
        record_id = record(meera)
        meera.add()
        return lambda: meera.delete(record_id)

    return prepare


CALLS: Final[dict[str, Prepare]] = {
    "`sign-in`": _sign_in(),
    "`sign-in` with a wrong password": _sign_in(WRONG),
    "`sign-in` of an unknown username": _sign_in_unknown,
    "`sign-in` after ten failures": _sign_in(failures=10),
    "`sign-out`": _sign_out,
    "`change-password`": _change_password,
    "`create-user`": _create_user,
    "`delete-user`": _delete_user,
    "`GET operations`": _get("operations"),
    "`POST records`": lambda api: _used(api).add,
    "`POST records`, the first of an account": _add_first,
    "`POST records` with an insufficient balance": _add_rejected,
    "`POST records` with a new `Idempotency-Key`": _add_with_a_key,
    "`POST records` with a new `Idempotency-Key`, while expired keys are purged": while_keys_expire(_add_with_a_key),
    "`POST records` with a used `Idempotency-Key` (a replay)": replay(_add_with_a_key),
    "`GET records`": _get("records"),
    "`GET records` with `search`": _get("records?search=root"),
    "`DELETE record`": _delete_record(Calculator.add),
    "`DELETE record` of an unknown record": _delete_record(lambda _: 999_999),
    "`GET balance`": _get("balance"),
}
