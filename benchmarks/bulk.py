"""`python -m benchmarks.bulk`: 1,000 users created by one call, beside 1,000 calls of create_user on one connection.

Then all of these users are listed: now, with masks, and as of now, which reads the log of changes.

Starts the development host on a new database. `python -m benchmarks` prints these rows, too.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from benchmarks.host import call, row, serve

COUNT: Final = 1000
ROUNDS: Final = 9
MANAGER, *OTHERS = (f"11111111-1111-4111-8111-11111111111{digit}" for digit in (1, 2, 3))
LISTS: Final = 5


def main() -> None:
    """Runs the measurement and prints each result immediately."""
    print(f"{time.strftime('%Y-%m-%d')}, Python {sys.version.split()[0]}\n")
    print("| what | measured |\n|---|---|")
    measure_all()


def measure_all() -> None:
    """Prints the rows."""
    bodies = (_body(number) for number in itertools.count(6_000_000_000))
    together: list[float] = []
    checked: list[float] = []
    singly: list[float] = []
    with tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder, serve(Path(folder)) as (port, _):
        for _ in range(ROUNDS):  # in turns, so that both see the same table and the same machine
            users = list(itertools.islice(bodies, COUNT))
            checked.append(call(port, "create_users", {"users": users, "dry_run": True})[1])
            together.append(call(port, "create_users", {"users": users})[1])
            singly.append(_call_each(port, itertools.islice(bodies, COUNT)))
        listed = _measure_lists(port)
    one, many = statistics.median(together), statistics.median(singly)
    row(f"{COUNT:,} users by one create_users, median of {ROUNDS}", f"{one:.0f} ms")
    row("a dry run of the same", f"{statistics.median(checked):.0f} ms")
    row(f"{COUNT:,} users by create_user, one after the other", f"{many:.0f} ms, {many / one:.1f} times as long")
    current, masked, as_of = map(statistics.median, listed)
    row(f"get_users of {2 * COUNT * ROUNDS:,} users with {1 + len(OTHERS)} changes each", f"{current:.0f} ms")
    row("get_users_masked of them", f"{masked:.0f} ms, {masked / current:.2f} times as long")
    row("get_users as_of of them", f"{as_of:.0f} ms, {as_of / current:.2f} times as long")


def _body(number: int) -> dict[str, Any]:
    return {"full_name": "Load User", "mob_num": str(number), "pan_num": "ABCPE1234F", "manager_id": MANAGER}


def _measure_lists(port: int) -> tuple[list[float], list[float], list[float]]:
    """Gives every user two further changes, and returns the milliseconds of the lists."""
    content, _ = call(port, "get_users", {"is_active": True})
    ids = [user["user_id"] for user in json.loads(content)["users"]]
    for manager_id in OTHERS:
        for first in range(0, len(ids), COUNT):
            body = {"user_ids": ids[first : first + COUNT], "update_data": {"manager_id": manager_id}}
            call(port, "update_user", body)
    current: list[float] = []
    masked: list[float] = []
    as_of: list[float] = []
    for _ in range(LISTS):
        current.append(call(port, "get_users", {"is_active": True})[1])
        masked.append(call(port, "get_users_masked", {"is_active": True})[1])
        as_of.append(call(port, "get_users", {"as_of": datetime.now(UTC).isoformat()})[1])
    return current, masked, as_of


def _call_each(port: int, bodies: Iterator[dict[str, Any]]) -> float:
    """Returns the milliseconds of the calls."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    started = time.perf_counter()
    for body in bodies:
        connection.request("POST", "/create_user", json.dumps(body))
        response = connection.getresponse()
        response.read()
        assert response.status == 201
    milliseconds = (time.perf_counter() - started) * 1e3
    connection.close()
    return milliseconds


if __name__ == "__main__":
    main()
