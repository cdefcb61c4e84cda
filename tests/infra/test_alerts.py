"""The alerts of the template match the app's log lines and the workspace's cap."""

from __future__ import annotations

import logging
import re
import time

import pytest

from api.http import log
from tests.infra.template import ALERT, APP, MAIN, modules

ID = "0b5a7f0e-4c6d-4f1e-9b1a-2d3c4b5a6f70"


def written(caplog: pytest.LogCaptureFixture, status: int, code: str) -> str:
    """The log line of a call, as the app writes it."""
    with caplog.at_level(logging.INFO, log.logger.name):
        log.log_call("get_users", status, code, time.perf_counter_ns(), ID)
    return caplog.messages[-1]


def test_the_alert_of_the_volume_fires_at_80_percent_of_the_cap() -> None:
    assert re.search(r"^var dailyQuotaGb = 5$", APP, re.MULTILINE)
    assert re.search(r"workspaceCapping: \{\s+dailyQuotaGb: dailyQuotaGb\n", APP)
    volume = modules(APP)["telemetryVolume"]
    assert volume["threshold"] == "dailyQuotaGb * 800"  # Usage counts in MB
    assert "Value = Quantity" in volume["query"]
    assert (volume["window"], volume["frequency"]) == ("'P1D'", "'PT1H'")


@pytest.mark.parametrize(
    ("status", "code", "fires"),
    [
        (503, "database-unavailable:40613", True),
        (500, "internal-error", True),
        (409, "lost-race", False),
        (200, "", False),
    ],
)
def test_the_alert_of_server_errors_counts_lines_of_failed_requests(
    caplog: pytest.LogCaptureFixture, status: int, code: str, fires: bool
) -> None:
    match = re.search(r'Message matches regex "([^"]+)"', modules(APP)["serverErrors"]["query"])
    assert match
    assert bool(re.search(match[1], written(caplog, status, code))) is fires
    assert not re.search(match[1], f"get_users error KeyError - /a.py:1 f failed 503 {ID}")  # the second line of a 500


@pytest.mark.parametrize(("code", "fires"), [("database-login:18456", True), ("database-unavailable:40613", False)])
def test_the_alert_of_logins_finds_the_code_of_a_rejected_login(
    caplog: pytest.LogCaptureFixture, code: str, fires: bool
) -> None:
    login = modules(APP)["failedLogins"]
    match = re.search(r'Message contains "([^"]+)"', login["query"])
    assert match
    assert (match[1] in written(caplog, 503, code)) is fires
    assert login["threshold"] == "0"


def test_alerts_send_mail_only_if_an_address_is_given() -> None:
    assert "param alertEmail string = ''" in MAIN
    assert re.search(r"actionGroups@[\d-]+' = if \(!empty\(alertEmail\)\) \{", APP)
    for alert in modules(APP).values():
        assert alert["actionGroups"] == "empty(alertEmail) ? [] : [actionGroup.id]"
        assert "| project TimeGenerated, Value = " in alert["query"]
    assert "metricMeasureColumn: 'Value'" in ALERT
