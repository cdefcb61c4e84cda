"""Hashes of passwords (argon2id), and the limit of how many are computed at once. argon2 is imported at first use.

OWASP's parameters: 19 MiB, 2 passes, 1 lane. cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from persistence.database.errors import UnavailableError
from settings import Settings

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1

MAX_AT_ONCE: Final = 4
"""Maximum number of hashes that a process computes at once: each takes 19 MiB and a core."""

DUMMY_HASH: Final = "$argon2id$v=19$m=19456,t=2,p=1$zVsaVb9zqVxerLu21aqAvA$5/oiQSEC9uiTeP8D9araGLaimtoixyHSq+yo7TG4mUY"
"""The hash of a random password that was not kept. A sign-in without an account takes as long as any other."""


class PasswordsBusyError(UnavailableError):
    """As many passwords are being hashed, and as many calls wait for that, as the process permits."""

    code = "passwords-busy"
    detail = "Too many passwords are being checked at the moment. Nothing was changed; retry."


class _Limit(NamedTuple):
    """`calls` admits the calls that hash or wait, twice as many as `hashes` lets compute."""

    calls: threading.Semaphore
    hashes: threading.Semaphore


@functools.cache
def _limit(threads: int) -> _Limit:
    at_once = hashes_at_once(threads)
    return _Limit(threading.Semaphore(2 * at_once), threading.Semaphore(at_once))


def hashes_at_once(threads: int) -> int:
    """Returns how many hashes a process with so many worker threads computes at once: at most a quarter of them."""
    return max(1, min(MAX_AT_ONCE, threads // 4))


@contextmanager
def admit_hashing(settings: Settings) -> Iterator[None]:
    """Admits a call that hashes in the block, at most half of the worker's threads. Raises `PasswordsBusyError`.

    A call is admitted before it counts as an attempt: one that is rejected here has tried no password.
    """
    calls = _limit(settings.threads).calls
    if not calls.acquire(blocking=False):
        raise PasswordsBusyError
    try:
        yield
    finally:
        calls.release()


@contextmanager
def hashing(settings: Settings) -> Iterator[None]:
    """Waits until the process may compute another hash, which the block does. The block must not use the database."""
    with _limit(settings.threads).hashes:
        yield


def hash_password(password: str) -> str:
    """Returns the hash of a password, with its parameters and a random salt, as text."""
    return _hasher().hash(password)


def verify_password(password_hash: str, password: str) -> bool:
    """Returns whether the hash is the password's."""
    from argon2.exceptions import VerifyMismatchError  # noqa: PLC0415 - like argon2 itself

    try:
        return _hasher().verify(password_hash, password)
    except VerifyMismatchError:
        return False


def needs_rehash(password_hash: str) -> bool:
    """Returns whether a hash was computed with other parameters than today's."""
    return _hasher().check_needs_rehash(password_hash)


@functools.cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # noqa: PLC0415 - 20 ms, which only a sign-in should take

    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, hash_len=32, salt_len=16)
