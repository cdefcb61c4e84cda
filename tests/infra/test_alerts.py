"""The alerts of the template match the app's log lines and the workspace's cap."""

from __future__ import annotations

import re

import pytest

from tests.infra.template import ALERT, APP, MAIN, modules

ID = "0b5a7f0e-4c6d-4f1e-9b1a-2d3c4b5a6f70"


def test_the_alert_of_the_volume_fires_at_80_percent_of_the_cap() -> None:
    assert re.search(r"^var dailyQuotaGb = 5$", APP, re.MULTILINE)
    assert re.search(r"workspaceCapping: \{\s+dailyQuotaGb: dailyQuotaGb\n", APP)
    volume = modules(APP)["telemetryVolume"]
    assert volume["threshold"] == "dailyQuotaGb * 800"  # Usage counts in MB
    assert "Value = Quantity" in volume["query"]
    assert (volume["window"], volume["frequency"]) == ("'P1D'", "'PT1H'")


@pytest.mark.parametrize(
    ("line", "fires"),
    [
        (f"get_users failed 503 12.3 ms {ID} database-unavailable:40613", True),
        (f"get_users failed 500 12.3 ms {ID} internal-error", True),
        (f"get_users refused 409 5.0 ms {ID} lost-race", False),
        (f"get_users ok 200 5.0 ms {ID} ", False),
        (f"get_users error KeyError - /a.py:1 f failed 503 {ID}", False),
    ],
)
def test_the_alert_of_server_errors_counts_lines_of_failed_requests(line: str, fires: bool) -> None:
    match = re.search(r'Message matches regex "([^"]+)"', modules(APP)["serverErrors"]["query"])
    assert match
    assert bool(re.search(match[1], line)) is fires


@pytest.mark.parametrize(
    ("line", "fires"),
    [
        (f"get_users failed 503 12.3 ms {ID} database-login:18456", True),
        (f"get_users failed 503 12.3 ms {ID} database-unavailable:40613", False),
    ],
)
def test_the_alert_of_logins_finds_the_code_of_a_rejected_login(line: str, fires: bool) -> None:
    login = modules(APP)["failedLogins"]
    match = re.search(r'Message contains "([^"]+)"', login["query"])
    assert match
    assert (match[1] in line) is fires
    assert login["threshold"] == "0"


def test_alerts_send_mail_only_if_an_address_is_given() -> None:
    assert "param alertEmail string = ''" in MAIN
    assert re.search(r"actionGroups@[\d-]+' = if \(!empty\(alertEmail\)\) \{", APP)
    for alert in modules(APP).values():
        assert alert["actionGroups"] == "empty(alertEmail) ? [] : [actionGroup.id]"
        assert "| project TimeGenerated, Value = " in alert["query"]
    assert "metricMeasureColumn: 'Value'" in ALERT
