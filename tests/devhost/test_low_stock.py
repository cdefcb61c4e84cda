"""The development host runs the timer of low stock by its NCRONTAB."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.low_stock import HEADER, zone_at_noon
from tests.support.programs import PROJECT, WAIT_SECONDS, running


def _run(folder: Path, schedule: str, **settings: str) -> Any:
    return running(folder, PROJECT, SERVICES="invoices", LOW_STOCK_SCHEDULE=schedule, **settings)


def test_it_prints_when_the_list_is_due_and_makes_a_missed_one(tmp_path: Path) -> None:
    zone = zone_at_noon()
    today = datetime.now(UTC).astimezone(ZoneInfo(zone)).date()
    with _run(tmp_path, "0 30,45 18 * * *", TIME_ZONE=zone) as program:
        due = r"^  invoices_low_stock_list: \[timer\] 0 30,45 18 \* \* \*, next at \d{4}-\d\d-\d\dT18:(30|45):00Z$"
        assert re.search(due, program.printed, re.MULTILINE), program.printed
        url = program.urls["invoices_low_stock"]
        assert program.client.get(url).text == HEADER
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as database:
        yesterday = str(today - timedelta(days=1))
        database.execute("UPDATE invoices_low_stock_lists SET day = ?, content = 'old'", (yesterday,))
    with _run(tmp_path, "* * * * * *", TIME_ZONE=zone) as program:
        url = program.urls["invoices_low_stock"]
        end = time.monotonic() + WAIT_SECONDS
        while (text := program.client.get(url).text) == "old" and time.monotonic() < end:
            time.sleep(0.05)
        assert text == HEADER
        assert "invoices_low_stock_list ok 200 " in program.log
