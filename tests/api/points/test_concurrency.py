"""Concurrent spends, adds and processes: no point is spent twice, and the ledger is consistent at every moment."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

import httpx
import pytest

from tests.support.programs import WAIT_SECONDS, Program, running, unexpected
from tests.support.threads import at_once

pytestmark = pytest.mark.slow  # processes and threads at work for seconds

PAYERS = ["A", "B", "C", "D"]


def _transaction(payer: str, points: int, hour: int) -> dict[str, Any]:
    return {"payer": payer, "points": points, "timestamp": f"2020-10-31T{hour % 24:02}:00:00Z"}


class Received:
    """The responses that clients received; they must match the stored rows."""

    def __init__(self) -> None:
        self.adds: list[dict[str, Any]] = []
        self.spends: list[dict[str, int]] = []
        self.conflicts = 0

    def note(self, response: httpx.Response) -> bool:
        """Returns whether the call was accepted; otherwise there were too few points."""
        if response.status_code == 409:
            assert response.json()["type"] == "/problems/insufficient-points"
            self.conflicts += 1
        elif response.status_code == 201:
            self.adds.append(response.json())
        else:
            assert response.status_code == 200, response.text
            self.spends.append({payment["payer"]: payment["points"] for payment in response.json()})
        return response.status_code < 400

    @property
    def totals(self) -> dict[str, int]:
        """What each payer must have after all of that."""
        totals: Counter[str] = Counter()
        for added in self.adds:
            totals[added["payer"]] += added["points"]
        for paid in self.spends:
            totals.update(paid)
        return dict(totals)


class Books:
    """A second, read-only connection to the file of a ledger."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def select(self, statement: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement).fetchall()

    def check(self) -> None:
        """For every payer: lots minus outstanding debit, and the whole history, are its total, which is not below zero.

        One statement, so that it sees one moment.
        """
        wrong = self.select(
            "WITH payers AS (SELECT id, payer, total, outstanding_debit,"
            " (SELECT coalesce(sum(points_left), 0) FROM points_transactions WHERE payer_id = b.id) AS points_left,"
            " (SELECT coalesce(sum(points), 0) FROM points_transactions WHERE payer_id = b.id) AS added,"
            " (SELECT coalesce(sum(points), 0) FROM points_spends WHERE payer_id = b.id) AS spent"
            " FROM points_balances AS b)"
            " SELECT * FROM payers WHERE total < 0 OR outstanding_debit < 0"
            " OR points_left - outstanding_debit <> total OR added - spent <> total"
            " UNION ALL SELECT 0, 'all', total, 0, 0, 0, 0 FROM points_ledger"
            " WHERE total <> (SELECT coalesce(sum(total), 0) FROM payers)"
        )
        assert wrong == []

    def totals(self) -> dict[str, int]:
        return dict(self.select("SELECT payer, total FROM points_balances"))

    def spends(self) -> Counter[frozenset[tuple[str, int]]]:
        """Every spend as the set of its payments."""
        spends: dict[str, set[tuple[str, int]]] = {}
        for spend_id, payer, points in self.select(
            "SELECT spend_id, payer, -points FROM points_spends JOIN points_balances AS b ON b.id = payer_id"
        ):
            spends.setdefault(spend_id, set()).add((payer, points))
        return Counter(map(frozenset, spends.values()))


@contextmanager
def _books(database_file: Path) -> Iterator[Books]:
    with closing(sqlite3.connect(f"{database_file.as_uri()}?mode=ro", uri=True, check_same_thread=False)) as connection:
        yield Books(connection)


@contextmanager
def _checking_all_the_time(database_file: Path) -> Iterator[Books]:
    """Checks the ledger repeatedly, in a separate thread, while the block runs."""
    done = Event()

    def check() -> int:
        checks = 0
        while not done.is_set():
            books.check()
            checks += 1
        return checks

    with _books(database_file) as books, ThreadPoolExecutor(1) as pool:
        checker = pool.submit(check)
        try:
            yield books
        finally:
            done.set()
        assert checker.result(WAIT_SECONDS) >= 3


# ---- in one process


def test_32_threads_that_spend_one_balance_spend_no_point_twice(api: Any, database_file: Path) -> None:
    for number in range(60):
        assert api.post("addTransaction", _transaction(f"P{number % 7}", 10, number)).status_code == 201
    received = Received()

    def spend_on(_: int) -> int:
        spends = 0
        while received.note(api.post("spend", {"points": 7})):
            spends += 1
        return spends

    spends = sum(at_once(32, spend_on))
    assert spends == len(received.spends) == 600 // 7  # no call fails while there are enough points
    assert received.conflicts == 32
    assert all(sum(paid.values()) == -7 for paid in received.spends)
    balance = api.client.get("/balance").json()
    assert sum(balance.values()) == 600 - 7 * spends
    with _books(database_file) as books:
        books.check()
        assert books.spends() == Counter(frozenset(paid.items()) for paid in received.spends)
        paid = Counter[str]()
        for spend in received.spends:
            paid.update(spend)
        added = dict(
            books.select(
                "SELECT payer, sum(points) FROM points_transactions NATURAL JOIN (SELECT id AS "
                "payer_id, payer FROM points_balances) GROUP BY payer"
            )
        )
        assert balance == {payer: points + paid[payer] for payer, points in added.items()}


def test_one_of_32_threads_that_spend_the_same_points_wins(api: Any) -> None:
    assert api.post("addTransaction", _transaction("A", 100, 1)).status_code == 201
    statuses = at_once(32, lambda _: api.post("spend", {"points": 51}).status_code)
    assert Counter(statuses) == {200: 1, 409: 31}
    assert api.client.get("/balance").json() == {"A": 49}


def test_one_of_32_threads_that_debit_the_same_points_wins(api: Any) -> None:
    assert api.post("addTransaction", _transaction("A", 100, 1)).status_code == 201
    assert api.post("addTransaction", _transaction("B", 10_000, 2)).status_code == 201
    statuses = at_once(32, lambda _: api.post("addTransaction", _transaction("A", -51, 3)).status_code)
    assert Counter(statuses) == {201: 1, 409: 31}
    assert api.client.get("/balance").json() == {"A": 49, "B": 10_000}


def test_32_threads_that_add_to_one_new_payer_make_one_balance(api: Any) -> None:
    statuses = at_once(32, lambda number: api.post("addTransaction", _transaction("NEW", 3, number)).status_code)
    assert Counter(statuses) == {201: 32}
    assert api.client.get("/balance").json() == {"NEW": 96}


def test_adds_debits_and_spends_at_once_keep_the_books_at_every_moment(api: Any, database_file: Path) -> None:
    received = Received()
    totals_seen: list[dict[str, int]] = []

    def act(number: int) -> None:
        for step in range(12):
            match (number + step) % 4:
                case 0 | 1:
                    body = _transaction(PAYERS[(number + step) % 3], 20 + step, number * step)
                    assert received.note(api.post("addTransaction", body))
                case 2:
                    received.note(api.post("addTransaction", _transaction(PAYERS[step % 4], -7 - step, number)))
                case _:
                    received.note(api.post("spend", {"points": 13 + number + step}))
            if step % 4 == 0:
                totals_seen.append(api.client.get("/balance").json())

    with _checking_all_the_time(database_file) as books:
        at_once(24, act)
        books.check()
    assert len(received.adds) + len(received.spends) + received.conflicts == 24 * 12
    assert len(received.spends) >= 10
    assert [added for added in received.adds if added["points"] < 0]
    assert {payer: received.totals.get(payer, 0) for payer in received.totals} == api.client.get("/balance").json()
    assert all(total >= 0 for totals in totals_seen for total in totals.values())


def test_a_flush_amid_adds_and_spends_leaves_the_books_right(api: Any, database_file: Path) -> None:
    def act(number: int) -> set[int]:
        statuses = set()
        for step in range(10):
            statuses.add(api.post("addTransaction", _transaction(PAYERS[number % 4], 10, step)).status_code)
            statuses.add(api.post("spend", {"points": 5}).status_code)
            if number == 0:
                statuses.add(api.post("flushDB").status_code)
        return statuses

    with _checking_all_the_time(database_file) as books:
        statuses = set.union(*at_once(12, act))
        books.check()
    assert statuses <= {200, 201, 409}


# ---- in two processes, and in one that is killed


@contextmanager
def _points_program(folder: Path, database_file: Path) -> Iterator[Program]:
    folder.mkdir(exist_ok=True)
    with running(
        folder, SERVICES="points", DATABASE_URL=f"sqlite:///{database_file}?timeout={WAIT_SECONDS}"
    ) as program:
        yield program


def test_two_processes_on_one_database_spend_no_point_twice(tmp_path: Path) -> None:
    database_file = tmp_path / "points.db"
    received = Received()
    with _points_program(tmp_path / "0", database_file) as one, _points_program(tmp_path / "1", database_file) as other:
        programs = [one, other]
        for number in range(40):
            assert received.note(
                programs[number % 2].post("add_transaction", _transaction(PAYERS[number % 4], 10, number))
            )

        def act(number: int) -> None:
            program = programs[number % 2]
            for step in range(8):
                key = {"Idempotency-Key": f"{number}-{step}"}  # a call with a key reads before it writes
                received.note(program.client.post(program.urls["spend"], json={"points": 9}, headers=key))
                received.note(program.post("add_transaction", _transaction(PAYERS[step % 4], -2, step)))
                received.note(program.post("add_transaction", _transaction(PAYERS[number % 4], 3, number)))

        with _checking_all_the_time(database_file) as books:
            at_once(8, act)
            books.check()
            assert books.totals() == received.totals
            assert books.spends() == Counter(frozenset(paid.items()) for paid in received.spends)
        assert received.conflicts > 0  # they came to the end of what there was
        assert [program.client.get(program.urls["balance"]).json() for program in programs] == [received.totals] * 2
        for program in programs:
            assert unexpected(program.log) == []
            assert " failed " not in program.log


def _write_on(program: Program, number: int, received: Received, accepted: SimpleQueue[bool]) -> None:
    """Adds, debits and spends until the program ends. Reports True for each accepted call, and False at the end."""

    def call(name: str, body: object) -> None:
        request = program.client.build_request("POST", program.urls[name], json=body)
        response = program.client.send(request, stream=True)
        with closing(response):
            content = json.loads(response.read())
        received.note(httpx.Response(response.status_code, json=content))
        accepted.put(True)

    try:
        for step in count():
            call("add_transaction", _transaction(PAYERS[step % 4], 2000 + step, -step))
            call("add_transaction", _transaction(PAYERS[step % 4], -3, step))
            call("spend", {"points": 1000 + 4 * step + number})  # no other spend is of so many points
    except httpx.TransportError:
        pass
    finally:
        accepted.put(False)


def test_a_kill_amid_adds_and_spends_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    database_file = tmp_path / "points.db"
    received = Received()
    accepted: SimpleQueue[bool] = SimpleQueue()
    with ThreadPoolExecutor(4) as pool, _points_program(tmp_path, database_file) as program:
        writers: list[Future[None]] = [
            pool.submit(_write_on, program, number, received, accepted) for number in range(4)
        ]
        assert all(accepted.get(timeout=WAIT_SECONDS) for _ in range(200))
        assert program.end(signal.SIGKILL) == -signal.SIGKILL
        for writer in writers:
            writer.result(WAIT_SECONDS)
    with _points_program(tmp_path, database_file) as program:
        with _books(database_file) as books:
            books.check()
            stored = {row[0] for row in books.select("SELECT transaction_id FROM points_transactions")}
            assert {added["id"] for added in received.adds} <= stored
            spends = Counter(frozenset(paid.items()) for paid in received.spends)
            assert len(received.spends) > 20
            assert spends <= books.spends()
            without_response = len(stored) + books.spends().total() - len(received.adds) - len(received.spends)
            assert 0 <= without_response <= 4  # calls under way: one call of each thread
            assert books.select("PRAGMA integrity_check") == [("ok",)]
            before = books.totals()
            assert program.client.get(program.urls["balance"]).json() == before
        assert received.note(program.post("spend", {"points": sum(before.values())}))
        assert {payer: -points for payer, points in received.spends[-1].items()} == {
            p: t for p, t in before.items() if t
        }


@pytest.fixture
def spoilt(api: Any, database_file: Path) -> Callable[[str], None]:
    """A function that corrupts one row of a ledger directly."""
    assert api.post("addTransaction", _transaction("A", 100, 1)).status_code == 201
    assert api.post("addTransaction", _transaction("A", -10, 1)).status_code == 201
    assert api.post("spend", {"points": 10}).status_code == 200

    def spoil(statement: str) -> None:
        with closing(sqlite3.connect(database_file)) as connection, connection:
            connection.execute(statement)

    return spoil


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE points_balances SET total = total + 1",
        "UPDATE points_balances SET outstanding_debit = outstanding_debit + 1",
        "UPDATE points_transactions SET points_left = points_left - 1 WHERE points_left > 0",
        "UPDATE points_spends SET points = points - 1",
        "UPDATE points_ledger SET total = total + 1",
    ],
)
def test_the_check_of_the_books_above_notices_one_point(spoilt: Any, database_file: Path, statement: str) -> None:
    with _books(database_file) as books:
        books.check()
        spoilt(statement)
        with pytest.raises(AssertionError):
            books.check()
