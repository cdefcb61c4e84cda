"""`python -m benchmarks.invoices`: purchases, PDFs, the cold start with the service, and what it adds to a deployment.

Starts the development host on new databases. `python -m benchmarks` prints these rows, too.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event

from benchmarks.host import PROJECT, SERVICES, call, environment, row, serve
from domain.invoices.fields import Entry
from domain.invoices.purchases import plan_addition
from persistence import invoices as store
from persistence.database import connections
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.state import migration_branches

WITH_INVOICES: Final = f"{SERVICES},invoices"
ITEMS: Final = 1000
PURCHASES: Final = 31
PDFS: Final = 31
STARTS: Final = 15
LARGE: Final = (1000, 10_000)
"""Lines of large invoices."""
FILL: Final = (
    """\
WITH RECURSIVE numbers AS (SELECT 1 AS number UNION ALL SELECT number + 1 FROM numbers WHERE number < :items)
INSERT INTO invoices_items (id, name, description, description_hash, price, quantity)
SELECT number, 'Item ' || number, 'The item ' || number, printf('%064d', number), 12345, 1000000000 FROM numbers""",
    """\
WITH RECURSIVE numbers AS (SELECT 1 AS number UNION ALL SELECT number + 1 FROM numbers WHERE number < 1000)
INSERT INTO invoices_customers (id, customer_uid, name, phone, address, is_from_peer, created_at)
SELECT number, printf('00000000-0000-4000-8000-%012d', number), 'Asha Rao', '9876543210', '12 MG Road, Pune', 0,
'2026-01-01T00:00:00.000000Z' FROM numbers""",
)
"""1,000 items and 1,000 customers."""
FIRST_REQUEST: Final = """\
import sys, time
import azure.functions as func, function_app
functions = {function.get_function_name(): function for function in function_app.app.get_functions()}
request = func.HttpRequest(method="GET", url="/", body=b"")
context = type("Context", (), {"invocation_id": "1", "trace_context": None})
response = functions[sys.argv[1]].get_user_function()(request, context)
assert response.status_code == 200, response.get_body()
print(time.process_time())
"""
NOT_DEPLOYED: Final = (
    "admin/",
    "sql/",
    "tools/",
    "benchmarks/",
    "devhost/",
    "docs/",
    "infra/",
    "tests/",
    ".",
    "require",
)
OF_INVOICES: Final = ("typst", "tzdata")
"""The packages that only this service needs."""


def main() -> None:
    """Runs all measurements and prints each result immediately."""
    print(f"{time.strftime('%Y-%m-%d')}, Python {sys.version.split()[0]}\n")
    print("| what | measured |\n|---|---|")
    measure_all()


def measure_all() -> None:
    """Prints the rows."""
    with tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder:
        _statements(Path(folder) / "bench.db")
    with (
        tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder,
        serve(Path(folder), WITH_INVOICES) as (port, _),
    ):
        _fill(Path(folder) / "bench.db")
        _purchases(port)
        _pdfs(port)
    for lines in LARGE:
        _large(lines)
    _cold_start()
    _package()


def _fill(database: Path, items: int = ITEMS) -> None:
    """Stores items and customers directly."""
    connection = sqlite3.connect(database, timeout=60)
    with connection:
        for statement in FILL:
            connection.execute(statement, {"items": items})
    connection.close()


# ---- purchases


def _statements(database: Path) -> None:
    """Counts the statements of first purchases."""
    connections.connect(f"sqlite:///{database}", threads=1)
    upgrade_embedded(migration_branches(["invoices"]))
    _fill(database)
    counts = {lines: _count_statements(customer, lines) for customer, lines in enumerate((1, ITEMS), 1)}
    connections.close()
    row(f"statements of a first purchase of 1 line, and of {ITEMS:,}", f"{counts[1]}, {counts[ITEMS]}")


def _count_statements(customer_id: int, lines: int) -> int:
    executed: list[None] = []

    def record(*_: Any) -> None:
        executed.append(None)

    entries = [Entry(item, 1) for item in range(1, lines + 1)]
    event.listen(Engine, "before_cursor_execute", record)
    with connections.transaction() as connection:
        purchase = store.load_purchase(connection, customer_id, [entry.item for entry in entries])
        store.save_purchase(connection, purchase, plan_addition(purchase, entries))
    event.remove(Engine, "before_cursor_execute", record)
    return len(executed)


def _purchases(port: int) -> None:
    """Measures first purchases of customers, one after the other."""
    customers = iter(range(1, ITEMS))
    for lines in (1, ITEMS):
        body = [{"item": item, "quantity": 1} for item in range(1, lines + 1)]
        took = [call(port, f"api/customer-purchase/{next(customers)}", body)[1] for _ in range(PURCHASES)]
        row(
            f"a purchase of {lines:,} line{'s' * (lines > 1)}, median of {PURCHASES}",
            f"{statistics.median(took):.1f} ms",
        )


# ---- PDFs


def _pdfs(port: int) -> None:
    """Measures the PDF of 60 lines: the first of the process, and later ones of changing content."""
    path = f"api/customer-purchase/{ITEMS}"
    call(port, path, [{"item": item, "quantity": 1} for item in range(1, 61)])
    row("a PDF of 60 lines, the first of a process", f"{call(port, path, method='GET')[1]:.0f} ms")
    took = []
    for number in range(PDFS):
        call(port, path, [{"item": 1, "quantity": 2 + number}], method="PUT")
        took.append(call(port, path, method="GET")[1])
    row(f"later, median of {PDFS}, and the longest", f"{statistics.median(took):.0f} ms, {max(took):.0f} ms")


def _large(lines: int) -> None:
    """Measures an invoice of many lines, first as JSON and then as PDF, and the peak of memory with each."""
    path = "api/customer-purchase/1"
    with (
        tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder,
        serve(Path(folder), WITH_INVOICES) as (port, process),
    ):
        _fill(Path(folder) / "bench.db", lines)
        for first in range(1, lines, ITEMS):
            call(port, path, [{"item": item, "quantity": 1} for item in range(first, first + ITEMS)])
        for media_type in ("application/json", "application/pdf"):
            before = _peak_memory(process.pid)
            body, took = call(port, path, method="GET", headers={"Accept": media_type})
            more = _peak_memory(process.pid) - before
            row(f"{lines:,} lines, {media_type}", f"{took:.0f} ms, {len(body) / 1e6:.1f} MB, memory +{more:.0f} MB")


def _peak_memory(pid: int) -> float:
    """Returns the largest resident memory of a process so far, in MB (Linux)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("ascii"))
    return int(found[1]) / 1024 if found else 0


# ---- cold start


def _first_request(folder: Path, services: str, function: str) -> float:
    """Returns the CPU time of a process until its first response, in ms: other processes disturb it less."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_REQUEST, function],
        cwd=PROJECT,
        env=environment(folder, services),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout) * 1e3


def _cold_start() -> None:
    """Measures starts until the first response, in turns, with databases that exist already."""
    kinds = [(SERVICES, "balance"), (WITH_INVOICES, "balance"), (WITH_INVOICES, "invoices_items_list")]
    with contextlib.ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollbook-bench-"))) for _ in kinds]
        rounds = [
            [_first_request(folder, *kind) for folder, kind in zip(folders, kinds, strict=True)]
            for _ in range(1 + STARTS)
        ][1:]
    without = statistics.median(each[0] for each in rounds)
    row(f"CPU of a start and `GET balance`, SERVICES={SERVICES}, median of {STARTS}", f"{without:.0f} ms")
    for place, what in ((1, "the same"), (2, "start and `GET /api/items/`")):
        more = statistics.median(each[place] - each[0] for each in rounds)
        row(f"{what}, SERVICES={WITH_INVOICES}, median of the differences", f"{more:+.0f} ms")


# ---- the package


def _package() -> None:
    """Adds up the files of a deployment: the app's, and those of the packages in requirements.txt."""
    pinned = re.findall(r"^([\w-]+)==", (PROJECT / "requirements.txt").read_text("utf-8"), re.MULTILINE)
    packages = {name: sum(_sizes(name)) for name in pinned}
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    app = {name: (PROJECT / name).stat().st_size for name in listed.split("\n") if name and _is_deployed(name)}
    own = sum(size for name, size in app.items() if "/invoices" in name)
    own += sum(packages[name] for name in OF_INVOICES)
    total = sum(packages.values()) + sum(app.values())
    row("a deployment, unpacked, without what only invoices need", f"{(total - own) / 1e6:.0f} MB")
    row("with it: typst, tzdata, fonts and code", f"{total / 1e6:.0f} MB")


def _sizes(package: str) -> Iterator[int]:
    """Yields the sizes of the files of an installed package; of one for another Python or system there are none."""
    with contextlib.suppress(ModuleNotFoundError):
        for file in distribution(package).files or ():
            path = Path(str(file.locate()))
            if path.suffix != ".pyc" and path.is_file():
                yield path.stat().st_size


def _is_deployed(name: str) -> bool:
    """Returns whether .funcignore leaves a file in the package."""
    return not name.startswith(NOT_DEPLOYED) and not name.endswith(".md")


if __name__ == "__main__":
    main()
