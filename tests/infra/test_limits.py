"""The limits of the template and of host.json fit the app, its calls and the database."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

from api import SERVICES, load_services
from api.ecgs.gate import EcgsSettings
from settings import Settings
from tests.infra.template import APP, MAIN, PROJECT, app_settings, default

HOST: Final[dict[str, Any]] = json.loads((PROJECT / "host.json").read_text("utf-8"))
MIB: Final = 1 << 20
WORKERS_PER_VCORE, SESSIONS = 75, 30_000
"""What a serverless General Purpose database permits: "Resource limits for single databases using the vCore model"."""
GATEWAY_SECONDS: Final = 230
"""When Azure's load balancer ends an HTTP request: "Function app time-out duration", functions-scale."""


def test_the_host_takes_the_largest_body_of_all_services_and_1_mib_more() -> None:
    expression = app_settings()["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"]
    match = re.fullmatch(r"contains\(services, 'ecgs'\) \? '(\d+)' : '(\d+)'", expression)
    assert match
    others = [word for word in SERVICES if word != "ecgs"]
    for words, limit in ((SERVICES, match[1]), (others, match[2])):
        endpoints = [endpoint for service in load_services(words) for endpoint in service.endpoints]
        assert int(limit) == max(endpoint.body_limit for endpoint in endpoints) + MIB


def test_an_instance_of_512_mb_works_on_one_large_body_at_once() -> None:
    assert app_settings()["LARGE_BODIES_AT_ONCE"] == "instanceMemoryMB < 2048 ? '1' : '2'"
    assert EcgsSettings.large_bodies_at_once == 2


def test_running_requests_stay_below_the_workers_of_the_database() -> None:
    timers = [timer for service in load_services(SERVICES) for timer in service.timers]
    # All HTTP functions scale together. Each timer has instances of its own, but runs once at a time.
    running = int(default("maximumInstanceCount")) * int(default("threads")) + len(timers)
    assert running <= WORKERS_PER_VCORE * int(default("sqlMaxVCores"))
    assert 2 * running <= SESSIONS  # a pool for reads and one for transactions
    for name in ("instanceMemoryMB", "maximumInstanceCount"):
        assert f"{name}: {name}\n" in APP


def test_a_function_may_run_longer_than_any_call_and_not_for_half_an_hour() -> None:
    hours, minutes, seconds = map(int, HOST["functionTimeout"].split(":"))
    limit = hours * 3600 + minutes * 60 + seconds
    declared = (PROJECT / "settings.py").read_text("utf-8")
    (largest,) = re.findall(
        r'"DB_RETRY_SECONDS", .*most=(\d+)\).+?"DB_READ_SECONDS", .*?most=(\d+)\)', declared, re.DOTALL
    )
    assert max(sum(map(int, largest)) + 5, GATEWAY_SECONDS) < limit <= 600
    assert Settings.db_retry_seconds + Settings.db_read_seconds + 5 < GATEWAY_SECONDS


def test_the_template_takes_512_mb_and_one_instance() -> None:
    assert "@allowed([512, 2048, 4096])\nparam instanceMemoryMB int" in MAIN
    assert re.search(r"@minValue\(1\)\n@maxValue\(1000\)\nparam maximumInstanceCount int", MAIN)
    versions = re.findall(r"'Microsoft\.Web/[\w/]+@([\d-]+)'", APP)
    assert len(versions) == 4
    assert min(versions) >= "2025-03-01"  # an earlier one rejected 512 MB: Azure/azure-rest-api-specs#40898


# ---- what the host logs and sends


def _is_logged(category: str, level: str) -> bool:
    """Whether host.json lets a log line pass, by the rules of .NET: the longest matching category decides.

    dotnet/runtime, Microsoft.Extensions.Logging, LoggerRuleSelector.
    """
    levels = ["Trace", "Debug", "Information", "Warning", "Error", "Critical", "None"]
    matching = [""]
    for rule in HOST["logging"]["logLevel"]:
        prefix, _, suffix = rule.partition("*")
        if category.startswith(prefix) and category.endswith(suffix):
            matching.append(rule)
    least = {"": "Information", **HOST["logging"]["logLevel"]}[max(matching, key=len)]
    return levels.index(level) >= levels.index(least)


@pytest.mark.parametrize(
    ("category", "level", "logged"),
    [
        ("Function.create_user", "Information", False),  # Executing, Executed
        ("Function.create_user", "Error", True),
        ("Function.create_user.User", "Information", True),  # the app's own lines
        ("Host.Results", "Information", True),  # the requests of Application Insights
        ("Host.Startup", "Information", True),
    ],
)
def test_of_each_call_the_host_logs_the_line_of_the_app_only(category: str, level: str, logged: bool) -> None:
    assert _is_logged(category, level) is logged


def test_the_host_samples_neither_requests_nor_log_lines() -> None:
    sampling = HOST["logging"]["applicationInsights"]["samplingSettings"]
    assert set(sampling["excludedTypes"].split(";")) == {"Request", "Trace"}


def test_the_host_sends_security_headers_with_every_response() -> None:
    http = HOST["extensions"]["http"]
    assert http["customHeaders"] == {"X-Content-Type-Options": "nosniff"}
    # A TimeSpan: days. HSTS without isEnabled has no effect (azure-functions-host: HstsConfigurationMiddleware).
    assert http["hsts"] == {"isEnabled": True, "maxAge": "365"}
