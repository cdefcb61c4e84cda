"""Start and end of observation, and the configuration of the exporter."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import azure.functions as func
import pytest
from azure.monitor.opentelemetry.exporter import ApplicationInsightsSampler
from opentelemetry.metrics import Meter
from opentelemetry.trace import Tracer

import settings
import telemetry
from api.http import endpoint, log
from persistence.database import retries
from settings import SettingsError
from tests.support.telemetry import CLOSED, count_listeners, observing


def is_observed() -> bool:
    """Whether there is an observer of requests and of retries; one alone is an error."""
    observers = [endpoint._observer, retries._observer]
    assert observers.count(None) in (0, 2)
    return None not in observers


def test_after_the_end_nothing_is_recorded_and_nothing_listens(api: Any) -> None:
    before = count_listeners()
    with observing() as observed:
        assert [now - then for now, then in zip(count_listeners(), before, strict=True)] == [1, 1, 1]
        assert is_observed()
        api.create()
    assert count_listeners() == before
    assert not is_observed()
    recorded = len(observed.exporter.get_finished_spans())
    assert recorded > 1
    api.create()
    api.post("create_user", content=b"{")
    assert len(observed.exporter.get_finished_spans()) == recorded


def test_observed_responses_are_the_same(api: Any, errors_of: Callable[..., Any]) -> None:
    def responses() -> list[tuple[int, str]]:
        received = [api.post("create_user", {}), api.post("get_users", {}), api.client.get("/openapi.json")]
        return [(each.status_code, re.sub(r'"instance":"[^"]*"', "", each.text)) for each in received]

    unobserved = responses()
    with observing():
        assert responses() == unobserved


def test_an_observer_replaces_its_predecessor_until_none_is_set(api: Any) -> None:
    calls: list[str] = []

    def observer(name: str) -> endpoint.Observer:
        def observe(function: str, _: func.Context, work: Callable[[], endpoint.Outcome]) -> None:
            calls.append(f"{name} {function}")
            work()

        return observe

    try:
        for name in ("first", "second"):
            endpoint.set_request_observer(observer(name))
            api.get()
    finally:
        endpoint.set_request_observer(None)
    api.get()
    assert calls == ["first get_users", "second get_users"]


# ---- the exporter


class Distribution:
    """Replaces azure-monitor-opentelemetry: the options that it was configured with, and the sampler of `observe`."""

    def __init__(self) -> None:
        self.configured: list[dict[str, Any]] = []
        self.samplers: list[ApplicationInsightsSampler] = []

    def configure_azure_monitor(self, **options: Any) -> None:
        self.configured.append(options)


@pytest.fixture
def distribution(monkeypatch: pytest.MonkeyPatch) -> Iterator[Distribution]:
    """An exporter that exports nothing; observation ends after the test."""
    distribution, ends, observe = Distribution(), [], telemetry.observe
    monkeypatch.setitem(sys.modules, "azure.monitor.opentelemetry", distribution)

    def observe_too(tracer: Tracer, meter: Meter, sampler: ApplicationInsightsSampler) -> None:
        distribution.samplers.append(sampler)
        ends.append(observe(tracer, meter, sampler))

    monkeypatch.setattr(telemetry, "observe", observe_too)
    yield distribution
    for end in ends:
        end()


def _configured(**changes: Any) -> settings.Settings:
    return replace(settings.current(), telemetry=True, **changes)


def test_without_a_connection_string_there_is_nothing_but_a_warning(
    distribution: Distribution, caplog: pytest.LogCaptureFixture
) -> None:
    before = count_listeners()
    with caplog.at_level(logging.WARNING):
        telemetry.start(_configured())
    ((logger, level, message),) = caplog.record_tuples
    assert (logger, level) == ("rollbook", logging.WARNING)
    assert "TELEMETRY" in message
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING" in message
    assert distribution.configured == []
    assert not is_observed()
    assert count_listeners() == before


def test_with_a_connection_string_everything_but_log_lines_is_exported(
    distribution: Distribution, caplog: pytest.LogCaptureFixture
) -> None:
    before = count_listeners()
    with caplog.at_level(logging.WARNING):
        telemetry.start(_configured(applicationinsights_connection_string=CLOSED))
    assert caplog.records == []
    (options,) = distribution.configured
    assert options["connection_string"] == CLOSED
    assert options["credential"] is None
    exported = options["logger_name"]  # lines of this logger and of its children
    assert exported
    assert exported != "rollbook"
    assert not "rollbook".startswith(f"{exported}.")
    assert log.logger.name == telemetry.logger.name == "rollbook"
    assert options["sampling_ratio"] == 1  # its sampler must leave the decision to `observe`
    assert [sampler.get_description() for sampler in distribution.samplers] == ["ApplicationInsightsSampler0.1"]
    assert options["enable_live_metrics"] is False
    assert options["enable_performance_counters"] is False
    assert is_observed()
    assert [now - then for now, then in zip(count_listeners(), before, strict=True)] == [1, 1, 1]


def test_the_distributions_own_instrumentations_are_off(distribution: Distribution) -> None:
    telemetry.start(_configured(applicationinsights_connection_string=CLOSED))
    options = distribution.configured[0]["instrumentation_options"]
    names = ["azure_sdk", "django", "fastapi", "flask", "httpx", "psycopg2", "requests", "urllib", "urllib3"]
    assert options.items() >= {name: {"enabled": False} for name in names}.items()


@pytest.mark.parametrize(
    ("authentication", "client_id"),
    [
        ("ClientId=11111111-2222-3333-4444-555555555555;Authorization=AAD", "11111111-2222-3333-4444-555555555555"),
        ("Authorization=AAD;ClientId=a=b", "a=b"),
        ("Authorization=AAD", None),
        (";Authorization=AAD;", None),
    ],
)
def test_with_authorization_by_entra_the_managed_identity_is_the_credential(
    distribution: Distribution, monkeypatch: pytest.MonkeyPatch, authentication: str, client_id: str | None
) -> None:
    monkeypatch.setattr("azure.identity.ManagedIdentityCredential", lambda **options: options)
    telemetry.start(
        _configured(
            applicationinsights_connection_string=CLOSED, applicationinsights_authentication_string=authentication
        )
    )
    assert distribution.configured[0]["credential"] == {"client_id": client_id}


@pytest.mark.parametrize("authentication", ["", "Authorization=Key", "ClientId=1", "AAD", "Authorization"])
def test_without_it_the_key_of_the_connection_string_authenticates(
    distribution: Distribution, authentication: str
) -> None:
    telemetry.start(
        _configured(
            applicationinsights_connection_string=CLOSED, applicationinsights_authentication_string=authentication
        )
    )
    assert distribution.configured[0]["credential"] is None


def test_without_the_package_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.monitor.opentelemetry", None)  # as Python notes what cannot be imported
    with pytest.raises(SettingsError, match=r"^TELEMETRY .*\bazure-monitor-opentelemetry\b.*\.$") as caught:
        telemetry.start(_configured(applicationinsights_connection_string=CLOSED))
    assert CLOSED not in str(caught.value)
    assert not is_observed()
