"""No statement over accounts scans a table, and what an account owns goes by one indexed path to each table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Table
from sqlmodel import SQLModel

from domain.accounts import ADMIN, MAX_FAILURES
from persistence import accounts as store
from persistence.accounts.tables import ACCOUNTS
from tests.persistence.accounts.conftest import NOW, change, later, sign_in

New = Callable[..., store.Account]
Call = Callable[[store.Account], Any]
ID = "7f3d1c1e-9a4b-4d0e-8a52-3f1b2c4d5e6f"

BY_NAME = "SEARCH accounts USING INDEX ux_accounts_username (username=?)"
BY_ID = "SEARCH accounts USING INTEGER PRIMARY KEY (rowid=?)"
ADMINS = "SCAN accounts USING INDEX ix_accounts_admins"
JTI = "SEARCH account_sessions USING INDEX sqlite_autoindex_account_sessions_1 (jti=?)"
OF_ACCOUNT = "SEARCH account_sessions USING INDEX ix_account_sessions_account_id (account_id=?)"
ENDED = "SEARCH account_sessions USING INDEX ix_account_sessions_expires_at (expires_at<?)"
KID = "SEARCH account_keys USING INDEX sqlite_autoindex_account_keys_1 (kid=?)"
CURRENT = "SEARCH account_keys USING INDEX ux_account_keys_current (replaced_at=?)"
SMALL = "SCAN account_keys"  # the current key, and those that were replaced in the last hour
FAILURE = "SEARCH account_failures USING INTEGER PRIMARY KEY (rowid=?)"
OF_NAME = "SEARCH account_failures USING INDEX ix_account_failures_username (username=?)"
WINDOW = "SEARCH account_failures USING COVERING INDEX ix_account_failures_username (username=? AND failed_at>?)"
LEFT = "SEARCH account_failures USING COVERING INDEX ix_account_failures_failed_at (failed_at<?)"
RESPONSES = "SEARCH idempotency_keys USING INDEX ix_idempotency_keys_caller (caller=?)"


STEPS: dict[str, tuple[Call, list[str]]] = {
    "find_account": (lambda _: change(store.find_account, "ann"), [BY_NAME]),
    "find_account_by_id": (lambda ann: change(store.find_account_by_id, ann.id), [BY_ID]),
    "has_sample_accounts": (
        lambda _: change(store.has_sample_accounts),
        ["SCAN accounts USING INDEX ix_accounts_samples"],
    ),
    "insert_session": (
        lambda ann: [sign_in(ann), change(store.rotate_keys, now=NOW), sign_in(ann, now=later(4000))],
        [BY_ID, CURRENT, ENDED, "SCAN old", JTI, KID, SMALL],
    ),
    "find_session": (lambda ann: change(store.find_session, kid=ID, jti=ID, account_id=ann.id), [JTI, BY_ID, KID]),
    "delete_session": (lambda _: change(store.delete_session, ID), [JTI]),
    "count_failure": (
        lambda _: [change(store.count_failure, "ann", now=NOW) for _ in range(MAX_FAILURES + 1)],
        [FAILURE, LEFT, WINDOW],
    ),
    "forget_failures": (lambda _: change(store.forget_failures, "ann"), [OF_NAME]),
    "replace_password": (
        lambda ann: change(store.replace_password, ann.id, old_hash=ann.password_hash, new_hash="new"),
        [BY_ID, OF_ACCOUNT],
    ),
    "set_active": (
        lambda _: change(store.set_active, "ann", active=False),
        [ADMINS, BY_NAME, OF_ACCOUNT, BY_NAME.replace("INDEX", "COVERING INDEX")],
    ),
    "delete_account": (
        lambda _: change(store.delete_account, "ann", by_id=0),
        [ADMINS, BY_NAME, RESPONSES, OF_NAME],
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_statement_seeks_or_reads_a_small_index(new_account: New, plans: Any, name: str) -> None:
    new_account("boss", ADMIN)
    ann = new_account("ann")
    call, expected = STEPS[name]
    steps = [step for step in plans(lambda: call(ann)) if "SUBQUERY" not in step and step != "SCAN CONSTANT ROW"]
    assert [*dict.fromkeys(steps)] == expected


def _paths(parent: Table) -> Counter[str]:
    """Returns the number of paths of foreign keys from a table to each other one, after a check of each."""
    paths: Counter[str] = Counter()
    for table in SQLModel.metadata.tables.values():
        for key in table.foreign_keys:
            if key.column.table is not parent:
                continue
            assert key.ondelete == "CASCADE", key
            indexed = [
                next(iter(columns)) for columns in (table.primary_key.columns, *(i.columns for i in table.indexes))
            ]
            assert key.parent in indexed, f"no index begins with {key.parent}"
            paths += Counter([table.name]) + _paths(table)
    return paths


def test_what_an_account_owns_goes_by_one_indexed_path_with_cascade() -> None:
    paths = _paths(ACCOUNTS)
    assert paths["account_sessions"] == 1
    assert {*paths.values()} == {1}  # SQL Server rejects a second path: error 1785
