"""`python -m benchmarks.beside FOLDER`: the users service beside that of another checkout, such as the version before.

Starts the development host of both, each on a new database of 10,000 users, and measures them in turns. A ratio is the
median of rounds: other processes of the machine slow both down.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.host import PROJECT, call, measure, row, serve

ROUNDS: Final = 9
SECONDS: Final = 1.0
CONNECTIONS: Final = 8
USERS: Final = 10_000
PAGE: Final = 1000
MANAGERS: Final = [f"11111111-1111-4111-8111-11111111111{number}" for number in (1, 2)]


class _Host(NamedTuple):
    """A running host, the users that it started with, and the next number of a user."""

    port: int
    user_ids: list[str]
    numbers: Iterator[int]


def main() -> None:
    """Runs the measurement and prints the table."""
    other = Path(sys.argv[1]).resolve()
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    print(f"{time.strftime('%Y-%m-%d')}, Python {sys.version.split()[0]}, load average {load}\n")
    with tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder, ExitStack() as stack:
        hosts = []
        for name, checkout in (("this", PROJECT), ("other", other)):
            Path(folder, name).mkdir()
            port, _ = stack.enter_context(serve(Path(folder, name), "users", checkout=checkout))
            hosts.append(_fill(port))
        rounds = [[_measure(host, number) for host in hosts] for number in range(ROUNDS)]
    print(f"| what, median of {ROUNDS} rounds | this version relative to the other |\n|---|---|")
    for position, what in enumerate(_WHAT):
        ours, theirs = ([values[position] for values in host] for host in zip(*rounds, strict=True))
        ratios = sorted(one / other for one, other in zip(ours, theirs, strict=True))
        low, median, high = (f"{ratio:.2f}\N{MULTIPLICATION SIGN}" for ratio in statistics.quantiles(ratios))
        row(
            what,
            f"{median}, quartiles {low} and {high} ({statistics.median(ours):,.0f}; {statistics.median(theirs):,.0f})",
        )


_WHAT: Final = (
    f"users created per second, concurrency {CONNECTIONS}",
    f"users read by `user_id` per second, concurrency {CONNECTIONS}",
    f"bulk update of {USERS:,} ids, milliseconds",
)


def _measure(host: _Host, number: int) -> tuple[float, float, float]:
    """Returns the values of `_WHAT`."""
    ids = itertools.cycle(host.user_ids)
    creates = measure(host.port, "create_user", lambda: _new_user(host.numbers), CONNECTIONS, seconds=SECONDS)
    reads = measure(host.port, "get_users", lambda: _json({"user_id": next(ids)}), CONNECTIONS, seconds=SECONDS)
    update = {"user_ids": host.user_ids, "update_data": {"manager_id": MANAGERS[number % 2]}}
    return len(creates) / SECONDS, len(reads) / SECONDS, call(host.port, "update_user", update)[1]


def _fill(port: int) -> _Host:
    """Creates the users, under the manager that the last round leaves them with."""
    numbers = itertools.count(6_000_000_000)
    while next(numbers) < 6_000_000_000 + USERS:
        measure(port, "create_user", lambda: _new_user(numbers), CONNECTIONS, seconds=SECONDS)
    user_ids: list[str] = []
    cursor = None
    while len(user_ids) < USERS:
        body = {"limit": PAGE} if cursor is None else {"limit": PAGE, "cursor": cursor}
        page = json.loads(call(port, "get_users", body)[0])
        user_ids += [user["user_id"] for user in page["users"]]
        cursor = page.get("next_cursor")
    return _Host(port, user_ids[:USERS], numbers)


def _new_user(numbers: Iterator[int]) -> bytes:
    body = {"full_name": "Load User", "mob_num": str(next(numbers)), "pan_num": "ABCPE1234F", "manager_id": MANAGERS[1]}
    return _json(body)


def _json(body: object) -> bytes:
    return json.dumps(body).encode()


if __name__ == "__main__":
    main()
