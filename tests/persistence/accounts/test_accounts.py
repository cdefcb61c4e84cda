"""The statements over accounts: what each changes, raises and costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from domain.accounts import (
    ADMIN,
    USER,
    AccountNotFoundError,
    LastAdminError,
    OwnAccountError,
    UsernameTakenError,
)
from domain.errors import RollbookError
from persistence import accounts as store
from persistence.accounts.tables import ACCOUNTS, FAILURES
from persistence.database.connections import reading
from persistence.database.errors import LostRaceError
from persistence.database.idempotency import KEYS as RESPONSES
from persistence.database.idempotency import Key, claim_key
from tests.persistence.accounts.conftest import NOW, active_admins, change, later, rows, sessions_of, sign_in

New = Callable[..., store.Account]


def _find(username: str) -> store.Account | None:
    with reading() as connection:
        return store.find_account(connection, username)


def _store_response(account: store.Account) -> None:
    key = Key(f"account:{account.id}", "calculator_charge", "k")
    change(claim_key, key, call_hash="0" * 64, now=NOW, expired_at=later(-60))


# ---- find and insert


def test_an_account_is_found_by_its_name_and_its_id(new_account: New) -> None:
    ann, bob = new_account("ann"), new_account("bob", ADMIN)
    assert ann == store.Account(ann.id, "ann", "hash of ann", USER, is_active=True, is_sample=False)
    assert (bob.role, bob.id > ann.id) == (ADMIN, True)
    assert _find("Ann") is None  # by code point
    with reading() as connection:
        assert store.find_account_by_id(connection, bob.id) == bob
        assert store.find_account_by_id(connection, bob.id + 1) is None


def test_a_name_is_taken_by_one_account(new_account: New) -> None:
    ann = new_account()
    with pytest.raises(UsernameTakenError):
        change(store.insert_account, "ann", "other", role=ADMIN, now=NOW)
    assert _find("ann") == ann


def test_a_role_is_user_or_admin(new_account: New) -> None:
    with pytest.raises(IntegrityError):
        change(store.insert_account, "ann", "hash", role="admin", now=NOW)


def test_sample_accounts_are_found_by_their_mark(new_account: New) -> None:
    def has_samples() -> bool:
        with reading() as connection:
            return store.has_sample_accounts(connection)

    new_account("ann")
    assert not has_samples()
    change(store.insert_account, "sample", "hash", role=USER, now=NOW, is_sample=True)
    assert has_samples()


# ---- delete


def test_a_deleted_account_goes_with_all_that_belongs_to_it(new_account: New) -> None:
    admin, ann, bob = new_account("boss", ADMIN), new_account("ann"), new_account("bob")
    for account in (ann, bob):
        sign_in(account)
        _store_response(account)
        change(store.count_failure, account.username, now=NOW)
    change(store.delete_account, "ann", by_id=admin.id)
    assert (_find("ann"), _find("bob")) == (None, bob)
    assert (sessions_of(ann), len(sessions_of(bob))) == ([], 1)
    assert rows(select(RESPONSES.c.caller)) == [f"account:{bob.id}"]
    assert rows(select(FAILURES.c.username)) == ["bob"]


def test_an_id_is_never_used_again(new_account: New) -> None:
    admin, ann = new_account("boss", ADMIN), new_account("ann")
    change(store.delete_account, "ann", by_id=admin.id)
    assert new_account("ann").id > ann.id


@pytest.mark.parametrize(
    ("username", "by", "error"),
    [
        ("nobody", "boss", AccountNotFoundError),
        ("boss", "boss", OwnAccountError),
        ("boss", "ann", LastAdminError),
        ("ann", "ann", OwnAccountError),  # an ADMIN who was made a USER by hand since the check of the token
    ],
)
def test_a_deletion_that_is_rejected_changes_nothing(
    new_account: New, username: str, by: str, error: type[RollbookError]
) -> None:
    accounts = {name: new_account(name, role) for name, role in (("boss", ADMIN), ("ann", USER))}
    before = rows(select(ACCOUNTS))
    with pytest.raises(error):
        change(store.delete_account, username, by_id=accounts[by].id)
    assert rows(select(ACCOUNTS)) == before


# ---- activate and deactivate


def test_a_deactivated_account_loses_its_sessions_for_good(new_account: New) -> None:
    ann, bob = new_account("ann"), new_account("bob")
    sign_in(ann)
    sign_in(bob)
    for _ in range(2):  # it may be inactive already
        change(store.set_active, "ann", active=False)
        assert _find("ann") == ann._replace(is_active=False)
    change(store.set_active, "ann", active=True)
    assert (_find("ann"), sessions_of(ann), len(sessions_of(bob))) == (ann, [], 1)


def test_the_last_active_admin_stays_active(new_account: New) -> None:
    new_account("boss", ADMIN)
    new_account("chief", ADMIN)
    change(store.set_active, "boss", active=False)
    change(store.set_active, "boss", active=False)
    with pytest.raises(LastAdminError):
        change(store.set_active, "chief", active=False)
    assert active_admins() == ["chief"]


@pytest.mark.parametrize("active", [True, False])
def test_an_unknown_account_is_neither_activated_nor_deactivated(new_account: New, active: bool) -> None:
    new_account("boss", ADMIN)
    with pytest.raises(AccountNotFoundError):
        change(store.set_active, "nobody", active=active)


# ---- passwords


def test_a_new_password_ends_every_session_and_takes_the_mark_away(new_account: New) -> None:
    ann = new_account("ann")
    change(store.insert_account, "sample", "old", role=USER, now=NOW, is_sample=True)
    sample = _find("sample")
    assert sample is not None
    for account in (sample, sample, ann):
        sign_in(account)
    assert change(store.replace_password, sample.id, old_hash="old", new_hash="new")
    assert _find("sample") == sample._replace(password_hash="new", is_sample=False)  # noqa: S106
    assert (sessions_of(sample), len(sessions_of(ann))) == ([], 1)


def test_a_renewed_hash_keeps_sessions_and_the_mark(new_account: New) -> None:
    ann = new_account("ann")
    sign_in(ann)
    change(store.renew_hash, ann.id, old_hash=ann.password_hash, new_hash="new")
    assert _find("ann") == ann._replace(password_hash="new")  # noqa: S106
    assert len(sessions_of(ann)) == 1


@pytest.mark.parametrize("function", [store.replace_password, store.renew_hash])
def test_a_hash_that_is_not_the_accounts_any_more_replaces_nothing(new_account: New, function: Any) -> None:
    ann = new_account("ann")
    sign_in(ann)
    for account_id, old_hash in ((ann.id, "hash of Ann"), (ann.id, "older"), (ann.id + 1, ann.password_hash)):
        assert not change(function, account_id, old_hash=old_hash, new_hash="new")
    assert (_find("ann"), len(sessions_of(ann))) == (ann, 1)


# ---- costs and lock order


def test_each_function_costs_a_fixed_number_of_statements(
    new_account: New, count_statements: Callable[[], int]
) -> None:
    admin, ann = new_account("boss", ADMIN), new_account("ann")
    for _ in range(3):
        sign_in(ann)
    count_statements()
    costs = {}
    for name, arguments, options in (
        ("find_account", ("ann",), {}),
        ("find_account_by_id", (ann.id,), {}),
        ("has_sample_accounts", (), {}),
        ("insert_account", ("bob", "hash"), {"role": USER, "now": NOW}),
        ("renew_hash", (ann.id,), {"old_hash": ann.password_hash, "new_hash": "new"}),
        ("replace_password", (ann.id,), {"old_hash": "new", "new_hash": "newer"}),
        ("set_active", ("ann", False), {}),
        ("delete_account", ("ann",), {"by_id": admin.id}),
    ):
        change(getattr(store, name), *arguments, **options)
        costs[name] = count_statements()
    assert costs == {
        "find_account": 1,
        "find_account_by_id": 1,
        "has_sample_accounts": 1,
        "insert_account": 1,
        "renew_hash": 1,
        "replace_password": 2,
        "set_active": 3,
        "delete_account": 4,
    }


def test_a_session_whose_id_is_taken_is_a_lost_race(new_account: New) -> None:
    ann = new_account("ann")
    jti = sign_in(ann)
    options = {"jti": jti, "expires_at": later(9), "now": NOW}
    with pytest.raises(LostRaceError):
        change(store.insert_session, ann.id, password_hash=ann.password_hash, **options)
