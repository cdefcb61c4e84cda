"""The list of low stock: its timer, which acts at the first tick of a local day, and its endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, event, select, update

from api.http.endpoint import TimerFailedError
from api.invoices import low_stock, service
from persistence.database import connections
from persistence.invoices.tables import ITEMS, LOW_STOCK_LISTS
from tests.support.low_stock import HEADER, Clock, Process, add_item
from tests.support.serving import serving_service
from tests.support.threads import at_once

pytestmark = pytest.mark.usefixtures("app_database")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of all processes of the test."""
    clock = Clock("2026-11-20T06:30")
    monkeypatch.setattr(low_stock, "datetime", clock)
    return clock


@pytest.fixture
def start(tmp_path: Path, clock: Clock) -> Callable[..., Process]:
    """A function that starts a process with settings from variables."""
    return lambda **variables: Process(tmp_path, clock, **variables)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the service."""
    with serving_service(service, tmp_path_factory.mktemp("settings")) as client:
        yield client


def stored() -> tuple[Any, ...]:
    """The day, the time and the text of the last list. Before it, the day is that of the first tick."""
    with connections.reading() as connection:
        columns = (LOW_STOCK_LISTS.c.day, LOW_STOCK_LISTS.c.made_at, LOW_STOCK_LISTS.c.content)
        return tuple(connection.execute(select(*columns)).one())


NONE = (None, None)
"""The time and the text before the first list."""


# ---- what is on it


def test_the_list_has_low_and_expiring_items_by_id(start: Callable[..., Process], client: httpx.Client) -> None:
    add_item("Kurta, cotton", 5)
    add_item("Saree", 6)
    add_item("Dupatta", 6, threshold=6)
    add_item("Bulk rice", 5, threshold=4)
    add_item("=1+2", 0, "2026-11-20")
    add_item('"चाय"', 100, "2026-11-28")
    add_item("Ghee", 100, "2026-11-29")
    start().tick("2026-11-20T18:30")
    response = client.get("/api/low-stock-items/")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.content.decode() == (
        HEADER
        + '1,"Kurta, cotton",5,,low stock\n'
        + "3,Dupatta,6,,low stock\n"
        + "5,=1+2,0,2026-11-20,low stock; expired\n"
        + '6,"""चाय""",100,2026-11-28,expires\n'
    )
    assert stored()[:2] == ("2026-11-21", "2026-11-20T18:30:00.000000Z")


def test_today_and_the_days_are_those_of_the_settings(start: Callable[..., Process]) -> None:
    add_item("today in Kiritimati", 9, "2026-11-20")
    add_item("a day later", 9, "2026-11-21")
    add_item("two days later", 9, "2026-11-22")
    start(TIME_ZONE="Pacific/Kiritimati", LOW_STOCK_EXPIRY_DAYS="1").tick("2026-11-19T10:00")
    _, _, content = stored()
    assert [line.split(",")[1::3] for line in content.splitlines()[1:]] == [
        ["today in Kiritimati", "expires"],
        ["a day later", "expires"],
    ]


def test_before_the_first_list_there_is_the_header_alone(client: httpx.Client) -> None:
    add_item("low", 0)
    for path in ("/api/low-stock-items/", "/api/low-stock-items"):
        response = client.get(path)
        assert (response.status_code, response.text) == (200, HEADER)


def test_the_list_stays_as_it_was_made(start: Callable[..., Process], client: httpx.Client) -> None:
    add_item("low", 5)
    start().tick("2026-11-20T18:30")
    with connections.transaction() as connection:
        connection.execute(update(ITEMS).values(quantity=1))
    assert client.get("/api/low-stock-items").text == HEADER + "1,low,5,,low stock\n"


# ---- when it is made


def test_the_first_tick_of_a_local_day_makes_the_list(start: Callable[..., Process]) -> None:
    process = start()
    for tick in ("2026-11-20T06:30", "2026-11-20T18:15", "2026-11-20T18:29:59"):
        process.tick(tick)
        assert stored()[1:] == NONE
    process.tick("2026-11-20T18:30:02")
    made = stored()
    assert made[:2] == ("2026-11-21", "2026-11-20T18:30:02.000000Z")
    for tick in ("2026-11-20T18:45", "2026-11-21T18:15"):
        process.tick(tick)
        assert stored() == made
    process.tick("2026-11-21T18:30")
    assert stored()[0] == "2026-11-22"


def test_a_process_reads_the_last_day_once_and_then_compares(
    start: Callable[..., Process], count_statements: Callable[[], int]
) -> None:
    start().tick("2026-11-19T18:30")
    process = start()
    count_statements()
    counts = []
    for tick in ("06:30", "06:45", "18:15", "18:30", "18:45", "19:00"):
        process.tick(f"2026-11-20T{tick}")
        counts.append(count_statements())
    assert counts == [1, 0, 0, 3, 0, 0]  # read; at midnight: lock, read the items, save
    assert stored()[0] == "2026-11-21"


def test_an_idle_tick_takes_no_connection(start: Callable[..., Process], database_file: Path) -> None:
    process = start()
    process.tick("2026-11-20T06:30")
    connections.close()  # a connection would be an error
    process.tick("2026-11-20T06:45")
    with pytest.raises(TimerFailedError):
        process.tick("2026-11-20T18:30")
    connections.connect(f"sqlite:///{database_file}", threads=1)
    process.tick("2026-11-20T19:15")
    assert stored()[0] == "2026-11-21"


def test_a_missed_midnight_is_made_up_for_by_a_new_process(start: Callable[..., Process]) -> None:
    start().tick("2026-11-17T18:30")
    start().tick("2026-11-20T09:07", past_due=True)
    assert stored()[:2] == ("2026-11-20", "2026-11-20T09:07:00.000000Z")


def test_a_database_that_never_had_a_list_has_missed_nothing(
    start: Callable[..., Process], client: httpx.Client
) -> None:
    add_item("low", 0)
    for tick in ("2026-11-20T05:00", "2026-11-20T05:15", "2026-11-20T18:15"):
        start().tick(tick, past_due=True)
        assert stored() == ("2026-11-20", *NONE)
        assert client.get("/api/low-stock-items/").text == HEADER
    start().tick("2026-11-20T18:45")  # the tick after midnight
    assert stored()[0] == "2026-11-21"
    assert client.get("/api/low-stock-items/").text == HEADER + "1,low,0,,low stock\n"


@pytest.mark.parametrize("tick", ["2026-11-20T18:30", "2026-11-20T18:45"])
def test_the_first_tick_of_all_makes_the_list_at_midnight(start: Callable[..., Process], tick: str) -> None:
    start().tick(tick)
    assert stored()[:2] == ("2026-11-21", f"{tick}:00.000000Z")


def test_only_the_first_tick_of_a_database_stores_its_day(
    start: Callable[..., Process], count_statements: Callable[[], int]
) -> None:
    counts = []
    for process in (start(), start()):
        for tick in ("05:00", "05:15"):
            process.tick(f"2026-11-20T{tick}")
            counts.append(count_statements())
    assert counts == [3, 0, 1, 0]  # read, lock, save; read


def test_a_daily_schedule_at_another_time_makes_every_list(start: Callable[..., Process]) -> None:
    days = []
    for day in range(20, 24):  # each tick has a process of its own
        start().tick(f"2026-11-{day}T00:30")  # 06:00 in India
        days.append(stored()[0] if stored()[1] else None)
    assert days == [None, "2026-11-21", "2026-11-22", "2026-11-23"]


@contextmanager
def failing_updates() -> Iterator[None]:
    """Every UPDATE fails."""

    def fail(*arguments: Any) -> None:
        if arguments[2].startswith("UPDATE"):
            raise ValueError("Unmistakable")

    event.listen(Engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", fail)


def test_a_list_that_failed_is_made_at_the_next_tick(start: Callable[..., Process]) -> None:
    process = start()
    process.tick("2026-11-20T18:15")
    with failing_updates(), pytest.raises(TimerFailedError):
        process.tick("2026-11-20T18:30")
    assert stored() == ("2026-11-20", *NONE)
    process.tick("2026-11-20T20:00")
    assert stored()[0] == "2026-11-21"


def test_a_first_day_that_failed_is_stored_at_the_next_tick(start: Callable[..., Process]) -> None:
    process = start()
    with failing_updates(), pytest.raises(TimerFailedError):
        process.tick("2026-11-20T05:00")
    assert stored() == (None, *NONE)
    process.tick("2026-11-20T05:15")
    assert stored() == ("2026-11-20", *NONE)


def test_a_first_list_that_failed_is_made_at_the_next_tick(start: Callable[..., Process]) -> None:
    process = start()
    with failing_updates(), pytest.raises(TimerFailedError):
        process.tick("2026-11-20T18:30")
    process.tick("2026-11-20T20:00")
    assert stored()[:2] == ("2026-11-21", "2026-11-20T20:00:00.000000Z")


def test_processes_at_once_make_one_list(start: Callable[..., Process], statements: list[str]) -> None:
    processes = [start() for _ in range(8)]
    for process in processes:
        process.tick("2026-11-20T18:15")
    statements.clear()
    at_once(len(processes), lambda number: processes[number].tick("2026-11-20T18:30"))
    assert len([statement for statement in statements if statement.startswith("UPDATE")]) == 1
    statements.clear()
    for process in processes:
        process.tick("2026-11-20T18:45")
    assert statements == []
    assert stored()[0] == "2026-11-21"


def test_the_clock_of_another_process_that_is_behind_changes_nothing(start: Callable[..., Process]) -> None:
    start().tick("2026-11-20T18:30:01")
    made = stored()
    start().tick("2026-11-20T18:29:59")
    assert stored() == made
