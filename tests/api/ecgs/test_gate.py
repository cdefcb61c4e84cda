"""How many large uploads a process works on at once, and what goes on meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.accounts import service as accounts
from api.ecgs import gate
from api.ecgs import service as ecgs
from persistence.database import connections
from settings import SettingsError, load
from tests.support.accounts import Added, add_account
from tests.support.ecg_calls import MIB, Person, body_of
from tests.support.serving import serving_services

LARGE = body_of(1000).ljust(2 * MIB + 1)
PLACES = (1, 2)
"""How many large uploads are worked on at once, and wait, with the settings of `uploads`."""


@pytest.mark.parametrize(
    ("setting", "threads", "expected"),
    [
        (1, 1, (1, 0)),
        (2, 1, (1, 0)),
        (2, 2, (1, 0)),
        (1, 2, (1, 0)),
        (1, 3, (1, 1)),
        (2, 4, (2, 1)),
        (1, 4, (1, 2)),
        (2, 5, (2, 2)),
        (1, 8, (1, 2)),
        (2, 8, (2, 2)),
        (1000, 8, (7, 0)),
    ],
)
def test_one_thread_is_left_over(setting: int, threads: int, expected: tuple[int, int]) -> None:
    assert gate.places(gate.EcgsSettings(setting, threads)) == expected


@pytest.mark.parametrize("value", ["0", "-1", "1.0", "two", "1001", "٢", "+1"])
def test_the_number_at_once_is_a_whole_number(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match=r"^LARGE_BODIES_AT_ONCE must be a whole number from 1 to 1000, not "):
        ecgs.build(load({"LARGE_BODIES_AT_ONCE": value}, tmp_path))


def test_without_a_setting_two_are_worked_on_at_once(tmp_path: Path) -> None:
    assert load({}, tmp_path).section(gate.EcgsSettings).large_bodies_at_once == 2


def test_as_many_as_the_setting_says_are_worked_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "WAIT_SECONDS", 0)
    settings = gate.EcgsSettings(3, 8)
    with ExitStack() as working:
        for _ in range(3):
            working.enter_context(gate.admit_upload(len(LARGE), settings))
        with pytest.raises(gate.UploadsBusyError), gate.admit_upload(len(LARGE), settings):
            pass
        with gate.admit_upload(gate.LARGE_BODY, settings):
            pass


class Uploads:
    """Large uploads that wait for a transaction of this test, or for their turn."""

    def __init__(self, client: httpx.Client, account: Added) -> None:
        self.person = Person(client, account)
        self.others = Person(client, account)
        self._pool = ThreadPoolExecutor(8)

    @contextmanager
    def holding(self, count: int) -> Iterator[list[Future[httpx.Response]]]:
        """Begins so many uploads, which end after the block."""
        with self._pool, connections.transaction():
            running = [self._pool.submit(self.person.post, LARGE) for _ in range(count)]
            deadline = time.monotonic() + 10
            while _admitted() < count:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield running


def _admitted() -> int:
    """Returns how many large uploads the process of these tests works on, or lets wait."""
    at_once, waiting = PLACES
    return at_once + waiting - gate._create_gate(at_once, waiting).requests._value


@pytest.fixture
def uploads(database_file: Path, tmp_path: Path) -> Iterator[Uploads]:
    """A process that works on one large body at once."""
    variables = {"PYTHON_THREADPOOL_THREAD_COUNT": "8", "LARGE_BODIES_AT_ONCE": "1"}
    with serving_services([accounts, ecgs], tmp_path, **variables) as client:
        yield Uploads(client, add_account("asha"))


def test_two_wait_and_the_next_is_a_503(uploads: Uploads, problem_of: Any) -> None:
    with uploads.holding(3) as running:
        for body in (LARGE, b"x" * len(LARGE)):
            response = uploads.others.post(body, "k")
            assert problem_of(response) == (503, "uploads-busy", [])
            assert int(response.headers["retry-after"]) > 0
            assert response.elapsed.total_seconds() < 5, "it did not wait"
        assert not any(one.done() for one in running)
    assert [one.result().status_code for one in running] == [201] * 3
    assert len(uploads.person.listed()) == 3
    assert uploads.person.post(LARGE, "k").status_code == 201, "the key is free, and so is the place"


def test_other_requests_and_small_uploads_do_not_wait(uploads: Uploads, problem_of: Any) -> None:
    ecg_id = uploads.person.upload()
    with uploads.holding(3) as running:
        assert uploads.others.listed() == [ecg_id]
        for path in ("", "/insights", "/plot.svg"):
            assert uploads.others.call("GET", f"/ecgs/{ecg_id}{path}").status_code == 200
        assert problem_of(uploads.others.post(b"{".ljust(2 * MIB)))[0] == 400
        assert problem_of(uploads.others.post(b" " * (32 * MIB + 1)))[0] == 413
        assert uploads.person.client.post("/ecgs", content=LARGE).status_code == 401
        assert not any(one.done() for one in running)
    assert [one.result().status_code for one in running] == [201] * 3


def test_a_wait_ends_after_its_time(uploads: Uploads, problem_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "WAIT_SECONDS", 0.2)
    with uploads.holding(1) as running:
        assert problem_of(uploads.others.post(LARGE)) == (503, "uploads-busy", [])
        assert not running[0].done()
    assert running[0].result().status_code == 201
    assert uploads.person.post(LARGE).status_code == 201, "the place of the one that waited is free"


def test_an_upload_that_fails_gives_its_place_back(uploads: Uploads) -> None:
    for _ in range(5):
        assert uploads.person.post(b"{".ljust(len(LARGE))).status_code == 400
    assert uploads.person.post(LARGE).status_code == 201
