"""`python -m benchmarks.users_csv`: imports and exports of files by the development host on a new database."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.host import PROJECT, row, serve

ROWS: Final = 100_000
BAD_EVERY: Final = 250
MANAGER: Final = "11111111-1111-4111-8111-111111111111"


def measure_all() -> None:
    """Runs the measurements of files of users and prints each result immediately."""
    with (
        tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder,
        serve(Path(folder), "users") as (port, server),
    ):
        small, large = Path(folder) / "small.csv", Path(folder) / "large.csv"
        small.write_text("\n".join(_lines(6_000_000_000, ROWS // 10)))
        large.write_text("\n".join(_lines(7_000_000_000, ROWS)))
        _measure(server.pid, port, f"import of {ROWS // 10:,} rows, 0.4 % of them with errors", "import", small)
        _measure(server.pid, port, f"import of {ROWS:,} rows, 0.4 % of them with errors", "import", large)
        _measure(server.pid, port, "the same again", "import", large)
        _measure(server.pid, port, "all checked, none imported", "import", large, "--all-or-nothing")
        _measure(server.pid, port, f"export of {ROWS * 11 // 10:,} users", "export", Path(folder) / "export.csv")


def _lines(first: int, count: int) -> Iterator[str]:
    """Yields a header and rows; of every `BAD_EVERY` one is not valid, in turns in one of four ways."""
    yield "full_name,mob_num,pan_num,manager_id"
    bad = [",{},ABCPE1234F,", "Load User,12345,ABCPE1234F,", "Load User,{},x,", "Load User,{},ABCPE1234F,x"]
    for number in range(count):
        turn, position = divmod(number, BAD_EVERY)
        form = bad[turn % 4] if position == 100 else f"Load User,{{}},ABCPE1234F,{MANAGER}"
        yield form.format(first + number)


def _measure(server: int, port: int, what: str, command: str, file: Path, *options: str) -> None:
    before, started = _cpu_seconds(server), time.perf_counter()
    arguments = [sys.executable, "-m", "tools.users_csv", command, str(file), "--url", f"http://127.0.0.1:{port}"]
    process = subprocess.Popen(
        [*arguments, *options], cwd=PROJECT, env={**os.environ, "ROLLBOOK_KEY": ""}, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in {0, 1}
    seconds = time.perf_counter() - started
    tool = f"{used.ru_utime + used.ru_stime:.1f} s of CPU, {used.ru_maxrss / 1024:.0f} MB"
    row(what, f"{seconds:.1f} s; the tool: {tool}; the server: {_cpu_seconds(server) - before:.1f} s of CPU")


def _cpu_seconds(pid: int) -> float:
    """Returns the CPU time of a process so far, which a busy machine changes less than the time (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    measure_all()
