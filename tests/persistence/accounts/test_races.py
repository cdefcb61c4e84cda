"""What two transactions on the same account, name or key do to each other.

Threads show it on the embedded database. What only a SQL Server could show is pinned on the text of its statements.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select

from domain.accounts import ADMIN, MAX_FAILURES, LastAdminError
from persistence import accounts as store
from persistence.accounts import accounts, failures, sessions
from persistence.accounts.tables import ACCOUNTS, FAILURES, KEYS
from persistence.database import connections
from tests.conftest import PROJECT
from tests.persistence.accounts.conftest import NOW, active_admins, change, rows, sessions_of, sign_in
from tests.support.threads import at_once
from tests.support.tsql import compile_tsql

New = Callable[..., store.Account]


# ---- failed sign-ins


@pytest.mark.usefixtures("app_database")
def test_of_many_attempts_at_once_ten_are_counted() -> None:
    waits = at_once(32, lambda _: change(store.count_failure, "ann", now=NOW))
    assert sorted(waits, key=str) == [600] * (32 - MAX_FAILURES) + [None] * MAX_FAILURES
    assert rows(select(func.count()).select_from(FAILURES)) == [MAX_FAILURES]


_ATTEMPTS = f"""
import sys
from persistence import accounts as store
from persistence.database import connections
connections.connect(sys.argv[1], threads=1)
sys.stdin.readline()
for _ in range({MAX_FAILURES}):
    with connections.transaction() as connection:
        print(store.count_failure(connection, "ann", now={NOW!r}))
"""


def test_of_the_attempts_of_several_instances_ten_are_counted(database_file: Path) -> None:
    command = [sys.executable, "-c", _ATTEMPTS, f"sqlite:///{database_file}?timeout=30"]
    processes = [
        subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        printed = at_once(3, lambda number: processes[number].communicate("go\n", timeout=60)[0])
    finally:
        for process in processes:
            process.kill()
    assert "".join(printed).split().count("None") == MAX_FAILURES
    assert len("".join(printed).split()) == 3 * MAX_FAILURES


# ---- the last active ADMIN


def _deactivate(username: str, _: int) -> None:
    change(store.set_active, username, active=False)


def _delete(username: str, by_id: int) -> None:
    change(store.delete_account, username, by_id=by_id)


@pytest.mark.parametrize("functions", [(_deactivate, _deactivate), (_delete, _delete), (_delete, _deactivate)])
def test_of_two_admins_that_end_each_other_at_once_one_stays(new_account: New, functions: Any) -> None:
    for turn in range(10):
        admins = [new_account(f"{name}{turn}", ADMIN) for name in ("ann", "bob")]

        def end(number: int, admins: list[store.Account] = admins) -> bool:
            try:
                functions[number](admins[1 - number].username, admins[number].id)
            except LastAdminError:
                return False
            return True

        assert sorted(at_once(2, end)) == [False, True]
        (left,) = active_admins()
        with connections.transaction() as connection:
            connection.execute(ACCOUNTS.delete().where(ACCOUNTS.c.username == left))


# ---- a sign-in that overlaps with a change of its account


def _replace(account: store.Account) -> Any:
    return change(store.replace_password, account.id, old_hash=account.password_hash, new_hash="new")


CHANGES: dict[str, Callable[[store.Account], Any]] = {
    "change-password": _replace,
    "deactivate": lambda account: change(store.set_active, account.username, active=False),
    "delete": lambda account: change(store.delete_account, account.username, by_id=0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_sign_in_that_overlaps_with_a_change_leaves_no_session(new_account: New, name: str) -> None:
    new_account("boss", ADMIN)
    for turn in range(5):
        ann = new_account(f"ann{turn}")

        def act(number: int, ann: store.Account = ann) -> object:
            return CHANGES[name](ann) if number == 4 else sign_in(ann)

        assert len(at_once(8, act)) == 8
        assert sessions_of(ann) == []


# ---- the signing key


def test_sign_ins_and_rotations_at_once_leave_one_current_key(new_account: New) -> None:
    ann = new_account("ann")
    at_once(8, lambda _: sign_in(ann))
    assert len(rows(select(KEYS.c.kid))) == 1  # the first use of all
    at_once(8, lambda number: sign_in(ann) if number % 2 else change(store.rotate_keys, now=NOW))
    replaced = rows(select(KEYS.c.replaced_at))
    assert sorted(replaced, key=str) == [NOW] * 4 + [None]


# ---- locks on SQL Server


@pytest.fixture
def executed(app_database: None) -> Any:
    """The statements as SQL Server gets them, in order."""
    texts: list[str] = []

    def record(_: object, statement: Any, *__: object) -> None:
        texts.append(" ".join(compile_tsql(statement).split()))

    event.listen(Engine, "before_execute", record)
    yield texts
    event.remove(Engine, "before_execute", record)


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        (accounts._LOCK_ADMINS, "FROM accounts WITH (UPDLOCK, ROWLOCK) WHERE accounts.role = 'ADMIN' AND "),
        (sessions._INSERT_SESSION, "FROM accounts WITH (UPDLOCK, ROWLOCK) WHERE accounts.id = "),
        (failures._INSERT, "FROM account_failures WITH (UPDLOCK, HOLDLOCK, ROWLOCK) WHERE account_failures.username"),
        (failures._DELETE_OLD, "WITH (UPDLOCK, ROWLOCK, READPAST, READCOMMITTEDLOCK) WHERE account_failures.failed_at"),
        (sessions._DELETE_ENDED, "WITH (UPDLOCK, ROWLOCK, READPAST, READCOMMITTEDLOCK) WHERE account_sessions.expires"),
        (sessions._DELETE_OLD_KEYS, "WITH (UPDLOCK, ROWLOCK, READPAST, READCOMMITTEDLOCK) WHERE account_keys.replaced"),
    ],
)
def test_a_statement_locks_what_it_decides_on_and_a_sweep_skips_locked_rows(statement: Any, hint: str) -> None:
    assert hint in " ".join(compile_tsql(statement).split())


def test_admins_are_locked_in_order_and_the_account_before_what_belongs_to_it(new_account: New, executed: Any) -> None:
    for name in ("ann", "bob"):
        new_account(name)
    new_account("boss", ADMIN)
    executed.clear()
    change(store.set_active, "ann", active=False)
    change(store.delete_account, "bob", by_id=0)
    admins = "SELECT accounts.id, accounts.username FROM accounts WITH (UPDLOCK, ROWLOCK)"
    assert [text.startswith(admins) and text.endswith("ORDER BY accounts.id") for text in executed].count(True) == 2
    assert [text.split(" WHERE ")[0].split(" SET ")[0] for text in executed] == [
        admins, "UPDATE accounts", "DELETE FROM account_sessions",
        admins, "DELETE FROM accounts OUTPUT deleted.id", "DELETE FROM idempotency_keys",
        "DELETE FROM account_failures",
    ]  # fmt: skip
