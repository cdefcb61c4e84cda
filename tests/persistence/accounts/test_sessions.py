"""Sessions and signing keys: when there is one, what a token check reads, and what a sign-in sweeps."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import select

from persistence import accounts as store
from persistence.accounts.sessions import SECRET_BYTES, SWEEP_LIMIT
from persistence.accounts.tables import KEYS, SESSIONS
from persistence.database.connections import reading
from tests.persistence.accounts.conftest import NOW, change, insert_all, later, rows, sessions_of, sign_in

New = Callable[..., store.Account]
OTHER_ID = "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"


def _kids() -> dict[str, str | None]:
    """Returns the keys, with when each was replaced."""
    return dict(rows(select(KEYS.c.kid, KEYS.c.replaced_at)))


def _current() -> str:
    (kid,) = [kid for kid, replaced_at in _kids().items() if replaced_at is None]
    return kid


def _find(kid: str, jti: str, account_id: int) -> store.Session | None:
    with reading() as connection:
        return store.find_session(connection, kid=kid, jti=jti, account_id=account_id)


# ---- sessions


def test_a_session_is_found_with_its_account_and_the_key(new_account: New) -> None:
    ann = new_account("ann")
    jti = sign_in(ann)
    assert jti is not None
    (secret,) = rows(select(KEYS.c.secret))
    found = _find(_current(), jti, ann.id)
    assert found == store.Session(secret, None, "USER", is_active=True, is_sample=False)
    change(store.delete_session, jti)
    assert _find(_current(), jti, ann.id) is None


def test_a_session_is_only_that_of_its_account_and_of_a_key_that_exists(new_account: New) -> None:
    ann, bob = new_account("ann"), new_account("bob")
    jti, other = sign_in(ann), sign_in(bob)
    assert jti is not None
    assert other is not None
    for kid, session, account_id in (
        (_current(), jti, bob.id),
        (OTHER_ID, jti, ann.id),
        (_current(), OTHER_ID, ann.id),
    ):
        assert _find(kid, session, account_id) is None
    change(store.delete_session, other)
    assert (sessions_of(ann), sessions_of(bob)) == ([jti], [])


@pytest.mark.parametrize(
    ("kid", "jti", "account_id"),
    [
        ("../../etc/passwd", OTHER_ID, 1),
        (OTHER_ID, "' OR 1 = 1 --", 1),
        (OTHER_ID.upper(), OTHER_ID, 1),
        (OTHER_ID, OTHER_ID + "\n", 1),
        (OTHER_ID, "\ud800" * 36, 1),
        ("", "", 1),
        (OTHER_ID, OTHER_ID, 0),
        (OTHER_ID, OTHER_ID, -1),
        (OTHER_ID, OTHER_ID, 2**63),
    ],
)
def test_what_no_token_of_ours_names_costs_no_statement(
    app_database: None, count_statements: Callable[[], int], kid: str, jti: str, account_id: int
) -> None:
    assert _find(kid, jti, account_id) is None
    assert count_statements() == 0


def test_there_is_no_session_without_the_current_hash_and_an_active_account(new_account: New) -> None:
    ann = new_account("ann")
    assert sign_in(ann, password_hash="hash of Ann") is None  # noqa: S106
    change(store.renew_hash, ann.id, old_hash=ann.password_hash, new_hash="new")
    assert sign_in(ann) is None
    assert sign_in(ann, password_hash="new") is not None  # noqa: S106
    change(store.set_active, "ann", active=False)
    assert sign_in(ann, password_hash="new") is None  # noqa: S106
    assert sign_in(ann._replace(id=ann.id + 1)) is None
    assert sessions_of(ann) == []


# ---- keys


def test_the_first_session_makes_the_key_and_later_ones_sign_with_it(new_account: New) -> None:
    ann = new_account("ann")
    assert _kids() == {}
    values = {"password_hash": ann.password_hash, "expires_at": later(3600), "now": NOW}
    keys = [change(store.insert_session, ann.id, jti=str(uuid.uuid4()), **values) for _ in range(3)]
    assert len({*keys}) == 1
    assert (keys[0].kid, len(keys[0].secret)) == (_current(), SECRET_BYTES)
    assert rows(select(KEYS.c.kid, KEYS.c.secret, KEYS.c.created_at)) == [(*keys[0], NOW)]


def test_a_replaced_key_keeps_the_time_of_its_replacement(new_account: New) -> None:
    ann = new_account("ann")
    change(store.rotate_keys, now=NOW)  # before the first use, too
    first = _current()
    sign_in(ann)
    assert _current() == first
    change(store.rotate_keys, now=later(5))
    second = _current()
    change(store.rotate_keys, now=later(10))
    assert _kids() == {first: later(5), second: later(10), _current(): None}
    assert len({first, second, _current()}) == 3
    jti = sign_in(ann, now=later(11))
    assert jti is not None
    assert [session.replaced_at for kid in _kids() if (session := _find(kid, jti, ann.id))].count(None) == 1


# ---- what a sign-in sweeps


def test_a_sign_in_sweeps_ended_sessions_and_old_keys(new_account: New) -> None:
    ann, bob = new_account("ann"), new_account("bob")
    sign_in(bob)
    first = _current()
    change(store.rotate_keys, now=later(1))
    stays = sign_in(ann, now=later(2))
    sign_in(ann, now=later(3599))
    assert (len(sessions_of(bob)), first in _kids()) == (1, True)
    sign_in(ann, now=later(3600))  # the moment at which the session of bob ends
    assert (sessions_of(bob), stays in sessions_of(ann), first in _kids()) == ([], True, True)
    sign_in(ann, now=later(3601))
    assert [*_kids()] == [_current()]


def test_a_sign_in_sweeps_a_bounded_number(new_account: New) -> None:
    ann, bob = new_account("ann"), new_account("bob")
    sign_in(ann, now=later(-9))
    ended = [
        {"jti": str(uuid.uuid4()), "account_id": bob.id, "expires_at": later(-1)} for _ in range(2 * SWEEP_LIMIT + 1)
    ]
    insert_all(SESSIONS, ended)
    replaced = {"secret": b"s" * 32, "created_at": NOW, "replaced_at": later(-3600)}
    insert_all(KEYS, [{"kid": str(uuid.uuid4()), **replaced} for _ in range(SWEEP_LIMIT + 1)])
    left = []
    for _ in range(3):
        sign_in(ann)
        left.append((len(sessions_of(bob)), len(_kids())))
    assert left == [(SWEEP_LIMIT + 1, 2), (1, 1), (0, 1)]


def test_each_function_costs_a_fixed_number_of_statements(
    new_account: New, count_statements: Callable[[], int]
) -> None:
    ann = new_account("ann")
    count_statements()
    costs = []
    for seconds in (0, 1, 4000):  # the first makes the key, the last sweeps sessions
        jti = sign_in(ann, now=later(seconds)) or ""
        costs.append(count_statements())
    kid = _current()
    count_statements()
    _find(kid, jti, ann.id)
    costs.append(count_statements())
    change(store.delete_session, jti)
    costs.append(count_statements())
    change(store.rotate_keys, now=NOW)
    assert [*costs, count_statements()] == [3, 2, 3, 1, 1, 2]
