"""`python -m benchmarks.calculator`: records beside users, long lists, deletions, and the cold start with the service.

Starts the development host on new databases, with the sample accounts. `python -m benchmarks` prints these rows, too.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.host import SECONDS, SERVICES, call, import_seconds, measure, row, serve

WITH_CALCULATOR: Final = f"{SERVICES},calculator"
PASSWORD: Final = "123qweasd"  # noqa: S105 - of the sample accounts
MANAGER: Final = "11111111-1111-4111-8111-111111111111"
CONNECTIONS: Final = 8
ROUNDS: Final = 3
FILL: Final = """\
WITH RECURSIVE numbers AS (SELECT 1 AS number UNION ALL SELECT number + 1 FROM numbers WHERE number < :count)
INSERT INTO calculator_records (account_id, operation_id, amount, user_balance, operation_response, created_at)
SELECT :account, 1, 3, :balance + 3 * (:count - number), '0.3', '2026-01-01T00:00:00.000000Z' FROM numbers"""
PAGES: Final = 95
DELETIONS: Final = 9
IMPORTS: Final = 15


def main() -> None:
    """Runs all measurements and prints each result immediately."""
    print(f"{time.strftime('%Y-%m-%d')}, Python {sys.version.split()[0]}\n")
    print("| what | measured |\n|---|---|")
    measure_all()


def measure_all() -> None:
    """Prints the rows."""
    _throughput()
    _pages_and_deletions()
    _cold_start()


def _sign_in(port: int, username: str) -> dict[str, str]:
    content, _ = call(port, "api/v1/sign-in", {"username": username, "password": PASSWORD})
    return {"Authorization": f"Bearer {json.loads(content)['token']}"}


def _fill(database: Path, username: str, count: int) -> None:
    """Replaces the records of an account by `count` additions, with a balance that lasts for the measurements."""
    connection = sqlite3.connect(database, timeout=60)
    with connection:
        connection.execute("PRAGMA foreign_keys = ON")
        (account,) = connection.execute("SELECT id FROM accounts WHERE username = ?", [username]).fetchone()
        connection.execute("DELETE FROM calculator_balances WHERE account_id = ?", [account])
        given = {"account": account, "balance": 1_000_000_000, "count": count}
        connection.execute("INSERT INTO calculator_balances VALUES (:account, :balance, 0, :count)", given)
        connection.execute(FILL, given)
    connection.close()


# ---- throughput


def _throughput() -> None:
    """Measures records of one account and users in turns, on one server."""
    numbers = itertools.count(6_000_000_001)
    record = b'{"operation_id": 1, "operator1": 0.1, "operator2": 0.2}'

    def user() -> bytes:
        fields = {"full_name": "Load User", "mob_num": str(next(numbers)), "pan_num": "ABCPE1234F"}
        return json.dumps({**fields, "manager_id": MANAGER}).encode()

    records, users = [], []
    with (
        tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder,
        serve(Path(folder), WITH_CALCULATOR) as (port, _),
    ):
        _fill(Path(folder) / "bench.db", "user", 1_000)
        token = f"Authorization: {_sign_in(port, 'user')['Authorization']}\r\n"
        for _ in range(ROUNDS):
            users.append(len(measure(port, "create_user", user, CONNECTIONS)) / SECONDS)
            records.append(len(measure(port, "api/v1/records", lambda: record, CONNECTIONS, token)) / SECONDS)
    created, charged = statistics.median(users), statistics.median(records)
    row(f"a user created, concurrency {CONNECTIONS}, median of {ROUNDS} rounds", f"{created:,.0f}/s")
    row("a record added by one account, in turns with them", f"{charged:,.0f}/s, {charged / created:.2f} times as many")


# ---- lists and deletions


def _pages_and_deletions() -> None:
    """Measures page 1 of 1,000 and of 1,000,000 records, alternating between two servers, and then deletions."""
    with contextlib.ExitStack() as stack:
        servers = []
        for count in (1_000, 1_000_000):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollbook-bench-")))
            port, _ = stack.enter_context(serve(folder, WITH_CALCULATOR))
            _fill(folder / "bench.db", "user", count)
            servers.append((port, _sign_in(port, "user"), folder / "bench.db"))
        times: list[list[float]] = [[], []]
        for _ in range(PAGES):
            for (port, token, _), took in zip(servers, times, strict=True):
                took.append(call(port, "api/v1/records", method="GET", headers=token)[1])
        shorter, longer = (statistics.median(took) for took in times)
        row(f"page 1 of 1,000 records, median of {PAGES}", f"{shorter:.1f} ms")
        row("page 1 of 1,000,000 records", f"{longer:.1f} ms, {longer / shorter:.2f} times as long")
        _deletions(*servers[0])


def _deletions(port: int, token: dict[str, str], database: Path) -> None:
    _fill(database, "user", 100_000 + DELETIONS)
    oldest = json.loads(call(port, "api/v1/records?direction=asc", method="GET", headers=token)[0])["records"][0]["id"]
    took = [
        call(port, f"api/v1/records/{oldest + number}", method="DELETE", headers=token)[1]
        for number in range(DELETIONS)
    ]
    row(
        f"the oldest record deleted with 100,000 later ones, median of {DELETIONS}",
        f"{statistics.median(took):.0f} ms ({min(took):.0f} to {max(took):.0f})",
    )


# ---- cold start


def _cold_start() -> None:
    """Measures imports of function_app in turns, with databases that exist already."""
    with contextlib.ExitStack() as stack:
        folders = {
            services: Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollbook-bench-")))
            for services in (SERVICES, WITH_CALCULATOR)
        }
        rounds = [
            {services: import_seconds(folder, services) * 1e3 for services, folder in folders.items()}
            for _ in range(1 + IMPORTS)
        ]
    without = statistics.median(each[SERVICES] for each in rounds[1:])
    more = statistics.median(each[WITH_CALCULATOR] - each[SERVICES] for each in rounds[1:])
    row(f"import of function_app, SERVICES={SERVICES}, median of {IMPORTS}", f"{without:.0f} ms")
    row(f"the same, SERVICES={WITH_CALCULATOR}, median of the differences", f"{more:+.0f} ms")


if __name__ == "__main__":
    main()
