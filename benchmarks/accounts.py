"""`python -m benchmarks.accounts`: how long sign-ins take, and how much memory many of them take at once.

Calls the endpoint in this process, with a new SQLite database. A sign-in with an unknown name, a wrong password and a
right one take turns, each with a name of its own, because ten failures lock a name.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

import settings
from api.accounts import service
from api.accounts.passwords import MEMORY_KIB, hash_password, hashes_at_once
from domain.accounts import USER
from domain.timestamps import format_timestamp
from persistence import accounts as store
from persistence.database import connections
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.state import migration_branches
from tests.support.endpoints import caller_of
from tests.support.threads import at_once

ROUNDS: Final = 200
THREADS: Final = 32
PASSWORD: Final = "a right password"  # noqa: S105 - of the accounts made here
WRONG: Final = "a wrong password"

SignIn = Callable[[str, str], int]


def main() -> None:
    """Measures on this machine and prints a table."""
    logging.disable()
    with tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder:
        connections.connect(f"sqlite:///{folder}/x.db", threads=THREADS)
        upgrade_embedded(migration_branches([service.name]))
        _add_accounts()
        sign_in = _prepare(Path(folder))
        started = time.perf_counter()
        assert sign_in("right0", PASSWORD) == 200
        first = time.perf_counter() - started
        times = _measure(sign_in)
        idle, peak, statuses = _measure_memory(sign_in)
        connections.close()
    at_most = hashes_at_once(THREADS)
    print(f"{time.strftime('%Y-%m-%d')}, Python {sys.version.split()[0]}, {ROUNDS} sign-ins of each kind\n")
    print("| what | measured |\n|---|---|")
    print(f"| first sign-in, with its imports | {first * 1000:.0f} ms |")
    for kind, taken in times.items():
        low, median, high = statistics.quantiles(taken, n=4)
        print(f"| sign-in, {kind} | {median:.2f} ms (quartiles {low:.2f} and {high:.2f}) |")
    print(f"| {THREADS} sign-ins at once: memory above the idle process | {(peak - idle) / 1024:.1f} MiB |")
    print(f"| permitted: {at_most} hashes of {MEMORY_KIB // 1024} MiB | {at_most * MEMORY_KIB / 1024:.0f} MiB |")
    print(f"| their statuses | {', '.join(f'{count} times {status}' for status, count in sorted(statuses.items()))} |")


def _add_accounts() -> None:
    password_hash, now = hash_password(PASSWORD), format_timestamp(datetime.now(UTC))
    with connections.transaction() as connection:
        for number in range(ROUNDS):
            for kind in ("right", "wrong"):
                store.insert_account(connection, f"{kind}{number}", password_hash, role=USER, now=now)


def _prepare(folder: Path) -> SignIn:
    """Returns a function that signs in and returns the status."""
    configured = settings.load({"PYTHON_THREADPOOL_THREAD_COUNT": str(THREADS)}, folder)
    by_name = {endpoint.name: endpoint for endpoint in service.build(configured).endpoints}
    call = caller_of(by_name["accounts_sign_in"])

    def sign_in(username: str, password: str) -> int:
        return int(call(orjson.dumps({"username": username, "password": password})).status_code)

    return sign_in


def _measure(sign_in: SignIn) -> dict[str, list[float]]:
    """Returns the milliseconds of each sign-in by kind."""
    kinds = {
        "unknown name": ("unknown", PASSWORD, 401),
        "wrong password": ("wrong", WRONG, 401),
        "right password": ("right", PASSWORD, 200),
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(ROUNDS):
        for kind, (name, password, expected) in kinds.items():
            started = time.perf_counter()
            status = sign_in(f"{name}{number}", password)
            times[kind].append((time.perf_counter() - started) * 1000)
            assert status == expected
    return times


def _measure_memory(sign_in: SignIn) -> tuple[int, int, Counter[int]]:
    """Returns the memory of the process before and its peak during sign-ins at once, in KiB, and their statuses."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak: man 5 proc
    idle = _read_status("VmRSS")
    statuses = Counter(at_once(THREADS, lambda number: sign_in(f"right{number}", PASSWORD)))
    return idle, _read_status("VmHWM"), statuses


def _read_status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
