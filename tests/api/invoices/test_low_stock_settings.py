"""The settings of the list of low stock. A wrong one is an error at start."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.invoices import service
from api.invoices.settings import InvoicesSettings
from settings import SettingsError, load


def test_the_list_is_made_at_midnight_in_india_unless_it_is_set(tmp_path: Path) -> None:
    section = load({}, tmp_path).section(InvoicesSettings)
    assert section == InvoicesSettings()
    assert (section.time_zone.key, section.low_stock_expiry_days) == ("Asia/Kolkata", 7)
    schedules = [
        {timer.name: timer.schedule for timer in service.build(load(given, tmp_path)).timers}["invoices_low_stock_list"]
        for given in ({}, {"LOW_STOCK_SCHEDULE": "0 30,45 18 * * *"})
    ]
    assert schedules == ["0 */15 * * * *", "0 30,45 18 * * *"]


@pytest.mark.parametrize(
    "zone", ["Asia/Bombay", "asia", "Asia", "IST5", "+05:30", "../etc/passwd", "/etc/localtime", "UTC\0", "Asia/", "🙂"]
)
def test_a_zone_that_is_not_in_the_iana_database_is_an_error(tmp_path: Path, zone: str) -> None:
    with pytest.raises(SettingsError) as caught:
        service.build(load({"TIME_ZONE": zone}, tmp_path))
    assert str(caught.value) == (
        f"TIME_ZONE must be a time zone of the IANA database, such as Asia/Kolkata, not {zone!r}."
    )


@pytest.mark.parametrize("zone", ["UTC", "Asia/Calcutta", "America/Argentina/Buenos_Aires", "Etc/GMT+12"])
def test_any_zone_of_the_iana_database_is_accepted(tmp_path: Path, zone: str) -> None:
    assert load({"TIME_ZONE": zone}, tmp_path).section(InvoicesSettings).time_zone.key == zone


@pytest.mark.parametrize("days", ["-1", "7.0", "", "36501"])
def test_the_days_are_a_whole_number(tmp_path: Path, days: str) -> None:
    if not days:
        assert load({"LOW_STOCK_EXPIRY_DAYS": days}, tmp_path).section(InvoicesSettings).low_stock_expiry_days == 7
        return
    with pytest.raises(SettingsError, match=r"^LOW_STOCK_EXPIRY_DAYS must be a whole number from 0 to 36500"):
        load({"LOW_STOCK_EXPIRY_DAYS": days}, tmp_path).section(InvoicesSettings)


def test_a_wrong_schedule_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^LOW_STOCK_SCHEDULE must be six fields of NCRONTAB .*, not 'daily'\.$"):
        service.build(load({"LOW_STOCK_SCHEDULE": "daily"}, tmp_path))
