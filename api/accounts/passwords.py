"""Hashes of passwords (argon2id), and the limit of how many are computed at once. argon2 is imported at first use.

OWASP's parameters: 19 MiB, 2 passes, 1 lane. cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from persistence.database.errors import UnavailableError
from settings import Settings

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1
_SALT_BYTES: Final = 16

MAX_AT_ONCE: Final = 4
"""Maximum number of hashes that a process computes at once: each takes 19 MiB and a core."""

DUMMY_HASH: Final = "$argon2id$v=19$m=19456,t=2,p=1$zVsaVb9zqVxerLu21aqAvA$5/oiQSEC9uiTeP8D9araGLaimtoixyHSq+yo7TG4mUY"
"""The hash of a random password that was not kept. A sign-in without an account takes as long as any other."""


class PasswordsBusyError(UnavailableError):
    """As many passwords are being hashed, and as many calls wait for that, as the process permits."""

    code = "passwords-busy"
    detail = "Too many passwords are being checked at the moment. Nothing was changed; retry."


class _Limit(NamedTuple):
    """`calls` admits the calls that hash or wait: twice as many as `hashes` has threads."""

    calls: threading.Semaphore
    hashes: ThreadPoolExecutor


_creating = threading.Lock()


def _limit(threads: int) -> _Limit:
    with _creating:
        return _create_limit(threads)


@functools.cache
def _create_limit(threads: int) -> _Limit:
    at_once = hashes_at_once(threads)
    return _Limit(threading.Semaphore(2 * at_once), ThreadPoolExecutor(at_once, thread_name_prefix="hash"))


def hashes_at_once(threads: int) -> int:
    """Returns how many hashes a process with so many worker threads computes at once: at most a quarter of them."""
    return max(1, min(MAX_AT_ONCE, threads // 4))


@contextmanager
def admit_hashing(settings: Settings) -> Iterator[None]:
    """Admits a call that hashes in the block, at most two for each hash at once. Raises `PasswordsBusyError`.

    A call is admitted before it counts as an attempt: one that is rejected here has tried no password.
    """
    calls = _limit(settings.threads).calls
    if not calls.acquire(blocking=False):
        raise PasswordsBusyError
    try:
        yield
    finally:
        calls.release()


def run_hash(settings: Settings, compute: Callable[[], T]) -> T:
    """Returns the result of `compute`, which computes one hash, as soon as the process may compute another one.

    It runs in threads for hashes alone. glibc has an arena of memory for each thread, and after the first hash keeps
    19 MiB in every arena that has served one: with the worker's threads that would be many times the limit.
    """
    return _limit(settings.threads).hashes.submit(compute).result()


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


def renew_hash(password_hash: str, password: str) -> str:
    """Returns the hash, with today's parameters, of the password that has `password_hash`: the same one each time.

    Its salt is made of the old hash, which is as random and as unique as that hash's own salt. So two sign-ins at once
    renew a hash to the same one, and neither takes it for another password.
    """
    return _hasher().hash(password, salt=hashlib.sha256(password_hash.encode()).digest()[:_SALT_BYTES])


@functools.cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # noqa: PLC0415 - 20 ms, which only a sign-in should take

    return PasswordHasher(
        time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, hash_len=32, salt_len=_SALT_BYTES
    )
