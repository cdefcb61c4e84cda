"""The tables of accounts, and their statements by subject: accounts, sessions with their keys, failed sign-ins."""

from persistence.accounts.accounts import (
    Account,
    delete_account,
    find_account,
    find_account_by_id,
    has_sample_accounts,
    insert_account,
    renew_hash,
    replace_password,
    set_active,
)
from persistence.accounts.failures import count_failure, forget_failures
from persistence.accounts.sessions import (
    Key,
    Session,
    delete_session,
    find_session,
    insert_session,
    rotate_keys,
)

__all__ = [
    "Account",
    "Key",
    "Session",
    "count_failure",
    "delete_account",
    "delete_session",
    "find_account",
    "find_account_by_id",
    "find_session",
    "forget_failures",
    "has_sample_accounts",
    "insert_account",
    "insert_session",
    "renew_hash",
    "replace_password",
    "rotate_keys",
    "set_active",
]
