"""`low-stock`: makes the list at once, and the timer goes on from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import settings
from admin.__main__ import build_parser
from persistence.database import connections
from persistence.invoices.low_stock import find_list, find_list_day
from tests.support.low_stock import HEADER, add_item

pytestmark = pytest.mark.usefixtures("app_database")


def _run(folder: Path, *options: str, **variables: str) -> None:
    parsed = build_parser(["invoices"]).parse_args(["low-stock", *options])
    parsed.settings = settings.load(variables, folder)
    parsed.run(parsed)


def test_the_command_makes_the_list_of_today_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zone = ZoneInfo("Pacific/Kiritimati")
    today = datetime.now(UTC).astimezone(zone).date()  # differs from that of UTC in 14 of 24 hours
    add_item("low", 5)
    add_item("in nine days", 9, (today + timedelta(days=9)).isoformat())
    variables = {"TIME_ZONE": zone.key, "LOW_STOCK_EXPIRY_DAYS": "8"}
    _run(tmp_path, **variables)
    assert capsys.readouterr().out == f"The list of {today} has 1 item.\n"
    variables["LOW_STOCK_EXPIRY_DAYS"] = "9"
    _run(tmp_path, **variables)  # again, although this day has a list
    assert capsys.readouterr().out == f"The list of {today} has 2 items.\n"
    with connections.reading() as connection:
        assert (
            find_list(connection)
            == HEADER + f"1,low,5,,low stock\n2,in nine days,9,{today + timedelta(days=9)},expires\n"
        )
        assert find_list_day(connection) == today


def test_a_wrong_zone_stops_the_command(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingsError, match=r"^TIME_ZONE must be a time zone of the IANA database"):
        _run(tmp_path, TIME_ZONE="Asia/Bombay")


def test_the_schedule_for_azure_is_printed_and_no_list_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run(tmp_path, "--schedule")
    _run(tmp_path, "--schedule", TIME_ZONE="America/New_York")
    assert capsys.readouterr().out.splitlines() == ["0 30,45 18 * * *", "0 0,15 4,5 * * *"]
    with connections.reading() as connection:
        assert find_list_day(connection) is None
