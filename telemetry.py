"""Traces and counters by OpenTelemetry, for Application Insights. Imported only if `TELEMETRY` is on.

Every request is a span below the host's span. Every statement is a span below its request, with the statement's text:
placeholders, no values. Counters count errors and retries by code. Log lines are exported by the host, not here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import azure.functions as func
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext

from api import __version__
from api.http.endpoint import Observer, Outcome, set_request_observer
from persistence.database.errors import error_code
from persistence.database.retries import set_retry_observer
from settings import Settings, SettingsError

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import SpanKind, StatusCode, Tracer
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise SettingsError("TELEMETRY is on and needs azure-monitor-opentelemetry: pip install it.") from error

_INSTRUMENTATIONS: Final = (
    "azure_sdk",
    "django",
    "fastapi",
    "flask",
    "httpx",
    "httpx2",
    "psycopg2",
    "requests",
    "urllib",
    "urllib3",
)
_SYSTEMS: Final = {"mssql": "microsoft.sql_server"}  # OpenTelemetry's names that differ from SQLAlchemy's
_SPAN: Final = "rollbook.span"  # the attribute of SQLAlchemy's execution context that holds the span

logger = logging.getLogger("rollbook")


def start(configured: Settings) -> None:
    """Starts the export to Application Insights. Without a connection string it only logs a warning.

    Raises `SettingsError` if the exporter's package is not installed.
    """
    if not configured.applicationinsights_connection_string:
        logger.warning("TELEMETRY is on, and APPLICATIONINSIGHTS_CONNECTION_STRING is not set: nothing is observed.")
        return
    try:
        from azure.monitor.opentelemetry import configure_azure_monitor  # noqa: PLC0415 - `observe` needs no exporter

        credential = _credential(configured.applicationinsights_authentication_string)
    except ImportError as error:
        raise SettingsError("TELEMETRY is on and needs azure-monitor-opentelemetry: pip install it.") from error
    # The exporter's client logs each of its calls, which would themselves be exported.
    logging.getLogger("azure").setLevel(logging.WARNING)
    configure_azure_monitor(
        connection_string=configured.applicationinsights_connection_string,
        credential=credential,
        sampling_ratio=1.0,  # its default keeps five traces a second
        # A logger without log lines: the host exports them, so exporting them here would duplicate them.
        logger_name="rollbook.not-exported",
        instrumentation_options={name: {"enabled": False} for name in _INSTRUMENTATIONS},
        enable_live_metrics=False,
        enable_performance_counters=False,
        disable_offline_storage=True,
    )
    observe(trace.get_tracer("rollbook", __version__), metrics.get_meter("rollbook", __version__))


def _credential(authentication: str) -> Any:
    """Returns the managed identity of `ClientId=…;Authorization=AAD`; None to use the connection string's key."""
    pairs = dict(pair.split("=", 1) for pair in authentication.split(";") if "=" in pair)
    if pairs.get("Authorization") != "AAD":
        return None
    from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 - only where it is used

    return ManagedIdentityCredential(client_id=pairs.get("ClientId"))


def observe(tracer: Tracer, meter: Meter) -> Callable[[], None]:
    """Starts recording requests, statements, errors and retries. Returns a function that stops the recording."""
    retries = meter.create_counter("rollbook.retries", description="Retries, by the code of their cause")
    listeners = _statement_listeners(tracer)
    for name, listener in listeners.items():
        event.listen(Engine, name, listener)
    set_request_observer(_request_observer(tracer, meter))
    set_retry_observer(lambda code: retries.add(1, {"code": code}))

    def end() -> None:
        set_request_observer(None)
        set_retry_observer(None)
        for name, listener in listeners.items():
            event.remove(Engine, name, listener)

    return end


def _request_observer(tracer: Tracer, meter: Meter) -> Observer:
    errors = meter.create_counter("rollbook.refusals", description="Requests that ended with a problem, by code")
    propagator = TraceContextTextMapPropagator()

    def observe_request(function: str, context: func.Context, work: Callable[[], Outcome]) -> None:
        host = context.trace_context
        parent = propagator.extract({"traceparent": host.trace_parent or "", "tracestate": host.trace_state or ""})
        # Internal, because the host reports the request too. Own attribute names: the exporter drops standard ones.
        with tracer.start_as_current_span(function, parent, SpanKind.INTERNAL) as span:
            response, code = work()
            span.set_attribute("rollbook.invocation_id", context.invocation_id)
            span.set_attribute("rollbook.status", response.status_code)
            if code:
                span.set_attribute("rollbook.code", code)
                errors.add(1, {"function": function, "code": code})
            if response.status_code >= 500:
                span.set_status(StatusCode.ERROR)

    return observe_request


def _statement_listeners(tracer: Tracer) -> dict[str, Callable[..., None]]:
    """Returns listeners by SQLAlchemy event name. They must not raise, which would hide the error being handled."""

    def begin(connection: Connection, _cursor: Any, statement: str, _values: Any, execution: Any, _: bool) -> None:
        system = _SYSTEMS.get(connection.dialect.name, connection.dialect.name)
        attributes = {"db.system.name": system, "db.query.text": statement}
        name = statement.split(maxsplit=1)[0]
        execution.__dict__[_SPAN] = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)

    def end(_connection: Connection, _cursor: Any, _statement: str, _values: Any, execution: Any, _: bool) -> None:
        if (span := execution.__dict__.pop(_SPAN, None)) is not None:  # None: the statement began before `observe`
            span.end()

    def fail(context: ExceptionContext) -> None:
        span = getattr(context.execution_context, "__dict__", {}).pop(_SPAN, None)
        if span is not None:
            # Without the error's text, which contains values.
            span.set_attribute("rollbook.code", error_code(context.sqlalchemy_exception) or "unknown")
            span.set_status(StatusCode.ERROR)
            span.end()

    return {"before_cursor_execute": begin, "after_cursor_execute": end, "handle_error": fail}
