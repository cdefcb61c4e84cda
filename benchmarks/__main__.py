"""`python -m benchmarks`: starts the development host on a new database, measures it and prints a table.

If the machine has two cores, the server runs on core 0 and this client on core 1. Only loopback is used; the database
is deleted at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from benchmarks import bulk, calculator, ecgs, invoices
from benchmarks.host import SECONDS, call, import_seconds, measure, row, serve

MANAGERS = [f"11111111-1111-4111-8111-11111111111{digit}" for digit in range(1, 5)]
USERS = 100_000


def main() -> None:
    """Runs all measurements and prints each result immediately."""
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {sys.version.split()[0]}\n")
    print("| what | measured |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        seconds = [import_seconds(Path(folder)) for _ in range(8)]
    row("import of function_app, warm byte code", f"{statistics.median(seconds[1:]):.2f} s")  # the first may compile
    with tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder, serve(Path(folder)) as (port, process):
        _throughput(port)
        _fill(Path(folder) / "bench.db", USERS)
        _listing(port, process.pid)
        _bulk(port)
    bulk.measure_all()
    _spends()
    calculator.measure_all()
    ecgs.measure_all()
    invoices.measure_all()


# ---- throughput


def _throughput(port: int) -> None:
    numbers = iter(range(6_000_000_001, 7_000_000_000))

    def create() -> bytes:
        user = {"full_name": "Load User", "mob_num": str(next(numbers)), "pan_num": "ABCPE1234F"}
        return json.dumps({**user, "manager_id": MANAGERS[0]}).encode()

    for connections in (1, 8, 32):
        _row_of("a user created", connections, measure(port, "create_user", create, connections))
    ids = [user["user_id"] for user in json.loads(call(port, "get_users", {"limit": 1000})[0])["users"]]
    bodies = [json.dumps({"user_id": user_id}).encode() for user_id in ids]
    turn = iter(range(10**9))
    for connections in (1, 8, 32):
        reads = measure(port, "get_users", lambda: bodies[next(turn) % len(bodies)], connections)
        _row_of("a user read by user_id", connections, reads)


def _row_of(what: str, connections: int, latencies: list[float]) -> None:
    p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    row(f"{what}, concurrency {connections}", f"{len(latencies) / SECONDS:,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms")


# ---- listings and bulk updates


def _fill(database: Path, count: int) -> None:
    """Stores users directly until there are `count`: 100,000 calls would take longer than the measurement."""
    connection = sqlite3.connect(database, timeout=30)
    with connection:
        (have,) = connection.execute("SELECT COUNT(*) FROM users").fetchone()
        connection.executemany(
            "INSERT INTO users (user_id, version, manager_id, full_name, mob_num, pan_num, created_at, is_active) "
            "VALUES (?, 1, ?, 'Load User', ?, 'ABCPE1234F', '2027-01-01T00:00:00.000000Z', 1)",
            ((str(uuid.uuid4()), MANAGERS[0], str(8_000_000_000 + number)) for number in range(count - have)),
        )
    connection.close()


def _listing(port: int, pid: int) -> None:
    milliseconds, content = [], b""
    for _ in range(5):
        content, took = call(port, "get_users", {})
        milliseconds.append(took)
    users = content.count(b'"user_id"')
    row(
        f"{users:,} users listed ({len(content) / 1e6:.0f} MB), median of 5",
        f"{statistics.median(milliseconds):.0f} ms",
    )
    with contextlib.suppress(OSError):
        peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        row("peak memory of the server", f"{int(peak[1]) / 1024:.0f} MB" if peak else "unknown")
    row("slowest small read while everything is listed", f"{_slowest_small_read(port):.1f} ms")


def _slowest_small_read(port: int) -> float:
    export = threading.Thread(target=lambda: [call(port, "get_users", {}) for _ in range(3)])
    export.start()
    slowest = 0.0
    while export.is_alive():
        slowest = max(slowest, call(port, "get_users", {"user_id": str(uuid.UUID(int=1))})[1])
        time.sleep(0.001)
    return slowest


def _bulk(port: int) -> None:
    users: list[dict[str, Any]] = json.loads(call(port, "get_users", {"is_active": True})[0])["users"]
    for count in (1_000, 10_000):
        ids = [user["user_id"] for user in users[-count:]]
        milliseconds = [
            call(port, "update_user", {"user_ids": ids, "update_data": {"manager_id": MANAGERS[1 + turn % 2]}})[1]
            for turn in range(9)
        ]
        row(f"a bulk update of {count:,} ids, median of 9", f"{statistics.median(milliseconds):.0f} ms")


# ---- points


def _spends() -> None:
    """Measures spends of 10 lots with 1,000 and with 1,000,000 stored transactions, alternating between the two."""
    few: list[float] = []
    many: list[float] = []
    with contextlib.ExitStack() as stack:
        ports = []
        for transactions in (1_000, 1_000_000):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollbook-bench-")))
            ports.append(stack.enter_context(serve(folder))[0])
            _fill_ledger(folder / "bench.db", transactions)
        for _ in range(95):
            for port, took in zip(ports, (few, many), strict=True):
                took.append(call(port, "spend", {"points": 100})[1])
    shorter, longer = statistics.median(few), statistics.median(many)
    row("a spend of 10 lots with 1,000 stored transactions, median of 95", f"{shorter:.1f} ms")
    row("the same with 1,000,000 stored transactions", f"{longer:.1f} ms, {longer / shorter:.2f} times as long")


def _fill_ledger(database: Path, transactions: int) -> None:
    """Stores lots of 10 points, spread over 1,000 payers and over time."""
    at = "2020-01-01T00:00:00.000000Z"
    connection = sqlite3.connect(database, timeout=30)
    with connection:
        connection.execute("UPDATE points_ledger SET total = ?", [10 * transactions])
        connection.executemany(
            "INSERT INTO points_balances VALUES (?, ?, ?, 0)",
            ((payer, f"PAYER {payer}", 10 * transactions // 1_000) for payer in range(1_000)),
        )
        connection.executemany(
            "INSERT INTO points_transactions (transaction_id, payer_id, points, points_left, occurred_at, recorded_at) "
            "VALUES (?, ?, 10, 10, ?, ?)",
            (
                (
                    str(uuid.UUID(int=number)),
                    number % 1_000,
                    f"2020-01-01T00:00:00.{(number * 7919) % 1_000_000:06}Z",
                    at,
                )
                for number in range(transactions)
            ),
        )
    connection.close()


if __name__ == "__main__":
    main()
