"""`python -m benchmarks.ecgs`: what an upload and a reading cost beside orjson, stored bytes, peak memory, and lists.

It is measured in this process, and memory in a child, without HTTP. `python -m benchmarks` prints these rows, too.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from benchmarks.host import PROJECT, SERVICES, call, row, serve
from domain.ecgs import Lead, parse_signal
from persistence.accounts import find_account, insert_account
from persistence.database import connections
from persistence.ecgs import EncodedEcg, encode_ecg, insert_ecg, list_ecgs, pack_signals, unpack_signals
from persistence.migrations.embedded import upgrade_embedded
from persistence.migrations.state import migration_branches

WITH_ECGS: Final = f"{SERVICES},ecgs"
PASSWORD: Final = "123qweasd"  # noqa: S105 - of the sample accounts
UPLOADS: Final = 8
LEADS: Final = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
SAMPLES: Final = 100_000
ROUNDS: Final = 31
BODY: Final = 32 * 1024 * 1024
BODIES: Final[dict[str, Callable[[], bytes]]] = {
    "1,1,1,…": lambda: b"1," * (BODY // 2 - 64),
    "of 4 digits": lambda: b"1234," * (BODY // 5 - 64),
    "-6,-6,-6,…": lambda: b"-6," * (BODY // 3 - 64),  # the shortest that Python does not cache: the most memory
    "1,1,1,… with one 2^62": lambda: b"1," * (BODY // 2 - 64) + b"4611686018427387904,",
}
"""The samples of bodies of 32 MiB."""
ECGS: Final = 10_000
PAGE: Final = 100
NOW: Final = "2026-01-01T00:00:00.000000Z"


def main() -> None:
    """Runs all measurements and prints each result immediately."""
    print(f"{time.strftime('%Y-%m-%d')}, Python {sys.version.split()[0]}, numpy {np.__version__}\n")
    print("| what | measured |\n|---|---|")
    measure_all()


def measure_all() -> None:
    """Prints the rows."""
    _upload_and_read()
    _peaks()
    _pages()
    measure_at_once()


# ---- uploads and readings


def recording(samples: int, noise: float = 10) -> list[list[int]]:
    """Returns 12 leads like those of a recording at 500 Hz, 1,000 units a millivolt: beats, wander, and white noise."""
    numbers = np.random.default_rng(1)
    seconds = np.arange(samples) / 500
    waves = ((0.15, 0.2, 0.03), (-0.1, 0.3, 0.008), (1.2, 0.33, 0.01), (-0.25, 0.36, 0.01), (0.35, 0.6, 0.05))
    beat = sum(height * np.exp(-((((seconds * 1.2) % 1 - at) / width) ** 2)) for height, at, width in waves)
    wander = 0.1 * np.sin(seconds * 1.5)
    gains = np.linspace(-0.6, 1.5, len(LEADS))
    return [(1000 * (gain * beat + wander) + numbers.normal(0, noise, samples)).astype(int).tolist() for gain in gains]


def upload(body: bytes) -> EncodedEcg:
    """Returns what is stored of a body: all that an upload computes, without validation of its keys."""
    leads = orjson.loads(body)["leads"]
    return encode_ecg([Lead(lead["name"], parse_signal(lead.pop("signal"))) for lead in leads])


def _response(signals: list[Any]) -> bytes:
    leads = [{"name": name, "number_of_samples": len(s), "signal": s} for name, s in zip(LEADS, signals, strict=True)]
    return orjson.dumps({"ecg_id": str(uuid.uuid4()), "date": NOW, "leads": leads}, option=orjson.OPT_SERIALIZE_NUMPY)


def _upload_and_read() -> None:
    """Measures each beside orjson, in turns."""
    signals = recording(SAMPLES)
    body = orjson.dumps({"leads": [{"name": n, "signal": s} for n, s in zip(LEADS, signals, strict=True)]})
    stored = upload(body).signals
    arrays = unpack_signals(stored)
    assert orjson.loads(_response(arrays))["leads"][11]["signal"] == signals[11]
    works = (
        lambda: orjson.loads(body),
        lambda: upload(body),
        lambda: _response(arrays),
        lambda: _response(unpack_signals(stored)),
    )
    rounds = [[_milliseconds(work) for work in works] for _ in range(ROUNDS)]
    loads, uploaded, dumps, read = (statistics.median(took) for took in zip(*rounds, strict=True))
    longer = statistics.median(each[1] / each[0] for each in rounds), statistics.median(e[3] / e[2] for e in rounds)
    what = f"12 x {SAMPLES:,} samples ({len(body) / 1e6:.1f} MB), medians of {ROUNDS}"
    row(f"{what}: orjson.loads of the body", f"{loads:.1f} ms")
    row("the same: upload without HTTP and database", f"{uploaded:.1f} ms, {longer[0]:.2f} times as long")
    row("the same: orjson.dumps of the response", f"{dumps:.1f} ms")
    row("the same: reading without HTTP and database", f"{read:.1f} ms, {longer[1]:.2f} times as long")
    _codecs(arrays)
    for noise in (10, 100, 10_000):
        noisy = [np.clip(signal, -(2**15), 2**15 - 1).astype(np.int16) for signal in recording(SAMPLES, noise)]
        size = len(pack_signals(noisy)) / (len(LEADS) * SAMPLES)
        row(f"stored, of 16 bits, with noise of {noise:,} units", f"{size:.2f} bytes a sample")


def _codecs(arrays: list[Any]) -> None:
    """Measures what packing and unpacking take, beside zlib."""
    stored, deflated = pack_signals(arrays), [zlib.compress(array.data, 1) for array in arrays]
    works = {
        "pack_signals": lambda: pack_signals(arrays),
        "unpack_signals": lambda: unpack_signals(stored),
        "zlib.decompress, level 1": lambda: [zlib.decompress(each) for each in deflated],
    }
    for name, work in works.items():
        row(f"the same: {name}", f"{statistics.median(_milliseconds(work) for _ in range(ROUNDS)):.1f} ms")


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    result = work()
    took = (time.perf_counter() - started) * 1e3
    del result  # its deallocation is not part of the work
    return took


# ---- peak memory


def _peaks() -> None:
    for kind in BODIES:
        loads, uploaded = (_peak_of_child(what, kind) for what in ("loads", "upload"))
        more = f"{(uploaded - loads) / BODY:+.2f} bodies"
        row(f"peak memory of an upload of 32 MiB, samples {kind}", f"{uploaded / 1e6:.0f} MB, orjson.loads {more}")


def _peak_of_child(what: str, kind: str) -> int:
    command = [sys.executable, "-m", "benchmarks.ecgs", what, kind]
    return int(subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout)


def _print_peak(what: str, kind: str) -> None:
    """Prints the peak memory of this process in bytes, the body included, as Linux counts it."""
    body = b'{"leads":[{"name":"I","signal":[' + BODIES[kind]() + b"1]}]}"
    result = orjson.loads(body) if what == "loads" else upload(body)
    print(peak_memory(os.getpid()))
    del result


def peak_memory(pid: int) -> int:
    """Returns the peak memory of a process in bytes, as Linux counts it."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])  # type: ignore[index]


# ---- lists


def _pages() -> None:
    """Measures the first and the last of all pages of an account."""
    with tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder:
        connections.connect(f"sqlite:///{folder}/bench.db", threads=1)
        upgrade_embedded(migration_branches(("accounts", "ecgs")))
        leads = [Lead(name, parse_signal(signal)) for name, signal in zip(LEADS, recording(500), strict=True)]
        account_id = _fill(encode_ecg(leads))
        took, before = [], None
        with connections.reading() as connection:
            while True:
                started = time.perf_counter()
                page = list_ecgs(connection, account_id, before, PAGE)
                if not page:
                    break
                took.append((time.perf_counter() - started) * 1e3)
                before = page[-1].id
        connections.close()
    assert len(took) == ECGS // PAGE
    first, last = (statistics.median(part) for part in (took[:20], took[-20:]))
    row(f"{ECGS:,} ECGs listed in pages of {PAGE}, without HTTP", f"{sum(took):.0f} ms")
    row("a page, median of the first 20 and of the last 20", f"{first:.2f} ms and {last:.2f} ms")


def _fill(encoded: EncodedEcg) -> int:
    with connections.transaction() as connection:
        insert_account(connection, "bench", "", role="USER", now=NOW)
        account = find_account(connection, "bench")
        assert account is not None
        for _ in range(ECGS):
            insert_ecg(connection, account.id, str(uuid.uuid4()), NOW, encoded)
    return account.id


# ---- uploads at once


def measure_at_once() -> None:
    """Measures eight uploads of 32 MiB at once, each repeated while it is rejected, over HTTP."""
    body = b'{"leads":[{"name":"I","signal":[' + BODIES["of 4 digits"]() + b"1]}]}"
    with tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder, serve(Path(folder), WITH_ECGS) as served:
        port, process = served
        content, _ = call(port, "api/v1/sign-in", {"username": "user", "password": PASSWORD})
        headers = {"Authorization": f"Bearer {json.loads(content)['token']}"}
        started = time.perf_counter()
        with ThreadPoolExecutor(UPLOADS) as pool:
            tries = [*pool.map(lambda _: _upload_until_stored(port, body, headers), range(UPLOADS))]
        took = time.perf_counter() - started
        peak = peak_memory(process.pid)
    row(f"{UPLOADS} uploads of 32 MiB at once, {sum(tries) - UPLOADS} repeated after a 503", f"{took:.1f} s")
    row("peak memory of the server", f"{peak / 1e6:.0f} MB")


def _upload_until_stored(port: int, body: bytes, headers: dict[str, str]) -> int:
    """Returns the number of calls until the ECG was stored."""
    for number in itertools.count(1):
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("POST", "/ecgs", body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        if response.status == 201:
            return number
        assert response.status == 503, content[:300]
        time.sleep(int(response.headers["Retry-After"]))
    raise AssertionError


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _print_peak(*sys.argv[1:])
    else:
        main()
