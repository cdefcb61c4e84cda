"""The settings of the other site: what starts, what does not, and when the timer is registered."""

from __future__ import annotations

from pathlib import Path

import pytest

import settings
from api.invoices import service
from api.invoices.peer_settings import PeerSettings
from settings import SettingsError
from tests.support.peers import SECRET


def section(folder: Path, **variables: str) -> PeerSettings:
    """The section with these variables."""
    return settings.load({"PEER_SITE_SECRET": SECRET, **variables}, folder).section(PeerSettings)


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example",
        "https://other.example/",
        "https://other.example:8443/shop",
        "http://127.0.0.1:7072",
        "http://localhost:7072",
        "http://[::1]:7072",
    ],
)
def test_a_site_is_https_or_loopback(url: str, tmp_path: Path) -> None:
    assert section(tmp_path, PEER_SITE_URL=url).peer_site_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://localhost@other.example",
        "https://user:hunter2@other.example",
        "https://other.example?x=1",
        "https://other.example#x",
        "https://other.example:0",
        "https://other.example:99999",
        "https://",
        "https://a b.example",
        "https://ünicode.example",
        "ftp://other.example",
        "other.example",
        "//other.example",
        "https://[::1",
    ],
)
def test_any_other_url_prevents_the_start(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^PEER_SITE_URL must be https://") as caught:
        section(tmp_path, PEER_SITE_URL=url)
    assert "hunter2" not in str(caught.value)


def test_a_site_needs_the_secret(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^PEER_SITE_URL needs PEER_SITE_SECRET"):
        section(tmp_path, PEER_SITE_URL="https://other.example", PEER_SITE_SECRET="")
    assert SECRET not in repr(section(tmp_path))


@pytest.mark.parametrize("fields", ["{", "[]", '{"name": "name"}', '{"name": "a", "phone": "a", "address": "b"}'])
def test_a_mapping_that_cannot_be_read_prevents_the_start(fields: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^PEER_FIELDS must be"):
        section(tmp_path, PEER_FIELDS=fields)


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [("00:00:10", "six fields"), ("0 0 0 31 2 *", "a schedule with a day that one of its months")],
)
def test_a_schedule_that_does_not_run_prevents_the_start(tmp_path: Path, schedule: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=rf"^OUTBOX_SCHEDULE must be {reason}"):
        section(tmp_path, OUTBOX_SCHEDULE=schedule)


def test_the_timer_is_registered_only_where_there_is_a_site(tmp_path: Path) -> None:
    def schedules(**variables: str) -> dict[str, object]:
        timers = service.build(settings.load({"PEER_SITE_SECRET": SECRET, **variables}, tmp_path)).timers
        return {timer.name: timer.schedule for timer in timers if timer.name == "invoices_outbox"}

    url = {"PEER_SITE_URL": "https://other.example"}
    assert schedules() == {}
    assert schedules(**url) == {"invoices_outbox": "*/10 * * * * *"}
    assert schedules(**url, OUTBOX_SCHEDULE="0 */5 * * * *") == {"invoices_outbox": "0 */5 * * * *"}
