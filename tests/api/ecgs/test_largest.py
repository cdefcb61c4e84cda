"""Uploads of 32 MiB against a development host: its memory, and what a kill leaves."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from api.ecgs.uploads import BODY_LIMIT
from tests.support.ecg_calls import body_of
from tests.support.programs import PROJECT, Program, running
from tests.support.threads import at_once

pytestmark = pytest.mark.slow  # they take seconds, and a gigabyte

SETTINGS: Final = {
    "SERVICES": "ecgs",
    "PYTHON_THREADPOOL_THREAD_COUNT": "8",
    "MALLOC_MMAP_THRESHOLD_": "1048576",  # as `make run` and the template set it
}


class Signed:
    """Calls of a program with the token of a sample account."""

    def __init__(self, program: Program) -> None:
        self.client = program.client
        self.client.timeout = httpx.Timeout(120)
        self.url = program.urls["ecgs_list"].removesuffix("/ecgs")
        response = self.client.post(
            f"{self.url}/api/v1/sign-in", json={"username": "testuser", "password": "123qweasd"}
        )
        self.headers = {"Authorization": f"Bearer {response.json()['token']}"}

    def call(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        return self.client.request(method, f"{self.url}{path}", headers=self.headers, content=body)

    def listed(self) -> set[str]:
        ecgs: list[dict[str, Any]] = self.call("GET", "/ecgs?limit=100").json()["ecgs"]
        return {ecg["ecg_id"] for ecg in ecgs}


def _peak_bytes(program: Program) -> int:
    status = Path(f"/proc/{program.process.pid}/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.parametrize("sample", [b"-123,", b"-6,", b"1,"], ids=["4 bytes", "2 bytes", "1 byte"])
def test_eight_uploads_of_32_mib_at_once(tmp_path: Path, sample: bytes) -> None:
    body = body_of(BODY_LIMIT, sample, leads=12)
    count = body.count(b",") - 11  # one after each name, and one between leads
    listed: list[int] = []
    done = threading.Event()
    with running(tmp_path, PROJECT, **SETTINGS) as program:
        signed = Signed(program)

        def keep_listing() -> None:
            while not done.is_set():
                listed.append(signed.call("GET", "/ecgs").status_code)

        with ThreadPoolExecutor(1) as pool:
            listing = pool.submit(keep_listing)
            responses = at_once(8, lambda _: signed.call("POST", "/ecgs", body))
            done.set()
            listing.result()
        peak = _peak_bytes(program)
        statuses = Counter(response.status_code for response in responses)
        assert statuses.keys() <= {201, 503}
        assert statuses[201] >= 2
        assert {*listed} == {200}
        assert len(listed) >= 5
        stored = {response.json()["ecg_id"] for response in responses if response.status_code == 201}
        assert signed.listed() == stored
        for ecg_id in stored:
            leads = signed.call("GET", f"/ecgs/{ecg_id}").json()["leads"]
            assert sum(lead["number_of_samples"] for lead in leads) == count
            assert {*leads[-1]["signal"]} == {int(sample[:-1])}
    assert peak < 1_500_000_000


def test_a_kill_loses_nothing_and_leaves_nothing_half_stored(tmp_path: Path) -> None:
    body = body_of(4 * 2**20, leads=12)
    acknowledged: list[str] = []
    with running(tmp_path, PROJECT, **SETTINGS) as program:
        signed = Signed(program)

        def keep_uploading(_: int) -> None:
            while True:
                try:
                    response = signed.call("POST", "/ecgs", body)
                except httpx.TransportError:
                    return
                if response.status_code == 201:
                    acknowledged.append(response.json()["ecg_id"])
                if len(acknowledged) >= 6:
                    program.process.send_signal(signal.SIGKILL)

        at_once(4, keep_uploading)
    with sqlite3.connect(tmp_path / "x.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with running(tmp_path, PROJECT, **SETTINGS) as program:
        signed = Signed(program)
        listed = signed.listed()
        assert listed >= {*acknowledged}
        assert len(listed) <= len(acknowledged) + 4, "at most what was not acknowledged"
        for ecg_id in listed:
            leads = signed.call("GET", f"/ecgs/{ecg_id}").json()["leads"]
            assert [len(lead["signal"]) for lead in leads] == [len(leads[0]["signal"])] * 12
