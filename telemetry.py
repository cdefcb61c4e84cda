"""Traces and counters by OpenTelemetry, for Application Insights. Imported only if `TELEMETRY` is on.

A request is a span below the host's span, a statement a span below its request, with operation and table as its name.
Spans are made when a request has ended: only then it is known whether it failed or was slow, and so exported in any
case, or belongs to the sample. Counters count all errors and retries. Log lines are exported by the host, not here.
"""

from __future__ import annotations

import functools
import logging
import re
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

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
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, Sampler
    from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
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
_STARTED: Final = "rollbook.started"  # the attribute of SQLAlchemy's execution context that holds the time
_TARGET: Final = re.compile(r"\b(?:FROM|INTO|UPDATE|TABLE)\s+([\w.]+)", re.IGNORECASE)

SLOW_SECONDS: Final = 1
"""Duration from which a request is exported in any case."""

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
        from azure.monitor.opentelemetry.exporter import ApplicationInsightsSampler  # noqa: PLC0415 - likewise

        credential = _credential(configured.applicationinsights_authentication_string)
    except ImportError as error:
        raise SettingsError("TELEMETRY is on and needs azure-monitor-opentelemetry: pip install it.") from error
    # The exporter's client logs each of its calls, which would themselves be exported.
    logging.getLogger("azure").setLevel(logging.WARNING)
    configure_azure_monitor(
        connection_string=configured.applicationinsights_connection_string,
        credential=credential,
        sampling_ratio=1.0,  # `observe` samples; the default keeps five traces a second
        # A logger without log lines: the host exports them, so exporting them here would duplicate them.
        logger_name="rollbook.not-exported",
        instrumentation_options={name: {"enabled": False} for name in _INSTRUMENTATIONS},
        enable_live_metrics=False,
        enable_performance_counters=False,
        disable_offline_storage=True,
    )
    sampler = ApplicationInsightsSampler(configured.telemetry_sampling)
    observe(trace.get_tracer("rollbook", __version__), metrics.get_meter("rollbook", __version__), sampler)


def _credential(authentication: str) -> Any:
    """Returns the managed identity of `ClientId=…;Authorization=AAD`; None to use the connection string's key."""
    pairs = dict(pair.split("=", 1) for pair in authentication.split(";") if "=" in pair)
    if pairs.get("Authorization") != "AAD":
        return None
    from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 - only where it is used

    return ManagedIdentityCredential(client_id=pairs.get("ClientId"))


def observe(tracer: Tracer, meter: Meter, sampler: Sampler = ALWAYS_ON) -> Callable[[], None]:
    """Starts recording requests, statements, errors and retries. Returns a function that stops the recording.

    `sampler` decides about requests that neither failed nor were slow; its attributes become those of their spans.
    """
    retries = meter.create_counter("rollbook.retries", description="Retries, by the code of their cause")
    listeners = _statement_listeners(tracer, sampler)
    for name, listener in listeners.items():
        event.listen(Engine, name, listener)
    set_request_observer(_request_observer(tracer, meter, sampler))
    set_retry_observer(lambda code: retries.add(1, {"code": code}))

    def end() -> None:
        set_request_observer(None)
        set_retry_observer(None)
        for name, listener in listeners.items():
            event.remove(Engine, name, listener)

    return end


# ---- traces: recorded while a request runs, exported when it has ended


class _Recorded(NamedTuple):
    """What becomes a span if its trace is exported. Times are in nanoseconds."""

    name: str
    kind: SpanKind
    attributes: dict[str, Any]
    started: int
    ended: int
    failed: bool


_statements: ContextVar[list[_Recorded] | None] = ContextVar("statements", default=None)
"""The statements of the current request so far."""


def _export(
    tracer: Tracer, sampler: Sampler, parent: Context | None, root: _Recorded, children: Iterable[_Recorded] = ()
) -> None:
    """Exports a request or a statement outside of a request if it failed, was slow or belongs to the sample.

    The sample is decided by the trace's id, so that all participants of a trace decide alike. The attributes of
    Application Insights' sampler make a span count for those that were left out, too.
    """
    sampled: dict[str, Any] = {}
    if not root.failed and root.ended - root.started < SLOW_SECONDS * 1_000_000_000:
        trace_id = trace.get_current_span(parent).get_span_context().trace_id or RandomIdGenerator().generate_trace_id()
        result = sampler.should_sample(None, trace_id, root.name, attributes=sampled)
        if result.decision is not Decision.RECORD_AND_SAMPLE:
            return
        sampled = dict(result.attributes or {})
    span = _start(tracer, root, parent, sampled)
    below = trace.set_span_in_context(span)
    for child in children:
        _start(tracer, child, below, sampled).end(child.ended)
    span.end(root.ended)


def _start(tracer: Tracer, recorded: _Recorded, parent: Context | None, sampled: dict[str, Any]) -> Span:
    span = tracer.start_span(recorded.name, parent, recorded.kind, recorded.attributes, start_time=recorded.started)
    span.set_attributes(sampled)  # afterwards, because the provider's own sampler sets the same attribute
    if recorded.failed:
        span.set_status(StatusCode.ERROR)  # without the error's text, which contains values
    return span


def _request_observer(tracer: Tracer, meter: Meter, sampler: Sampler) -> Observer:
    errors = meter.create_counter("rollbook.refusals", description="Requests that ended with a problem, by code")
    propagator = TraceContextTextMapPropagator()

    def observe_request(function: str, context: func.Context, work: Callable[[], Outcome]) -> None:
        statements: list[_Recorded] = []
        token = _statements.set(statements)
        started = time.time_ns()
        try:
            response, code = work()
        finally:
            _statements.reset(token)
        ended, status = time.time_ns(), response.status_code
        attributes: dict[str, Any] = {"rollbook.invocation_id": context.invocation_id, "rollbook.status": status}
        if code:
            attributes["rollbook.code"] = code
            errors.add(1, {"function": function, "code": code})
        # Internal, because the host reports the request too. Own attribute names: the exporter drops standard ones.
        request = _Recorded(function, SpanKind.INTERNAL, attributes, started, ended, failed=status >= 500)
        host = context.trace_context
        parent = propagator.extract({"traceparent": host.trace_parent or "", "tracestate": host.trace_state or ""})
        _export(tracer, sampler, parent, request, statements)

    return observe_request


def _statement_listeners(tracer: Tracer, sampler: Sampler) -> dict[str, Callable[..., None]]:
    """Returns listeners by SQLAlchemy event name. They must not raise, which would hide the error being handled."""

    def begin(_connection: Connection, _cursor: Any, _statement: str, _values: Any, execution: Any, _: bool) -> None:
        execution.__dict__[_STARTED] = time.time_ns()

    def end(connection: Connection, _cursor: Any, statement: str, _values: Any, execution: Any, _: bool) -> None:
        record(connection.dialect.name, statement, execution, {})

    def fail(context: ExceptionContext) -> None:
        code = error_code(context.sqlalchemy_exception) or "unknown"
        record(context.dialect.name, context.statement or "", context.execution_context, {"rollbook.code": code})

    def record(dialect: str, text: str, execution: Any, error: dict[str, str]) -> None:
        started = getattr(execution, "__dict__", {}).pop(_STARTED, None)
        if started is None:  # the statement began before `observe`, or the error is not a statement's
            return
        name = _summary(text)
        attributes = {"db.system.name": _SYSTEMS.get(dialect, dialect), "db.query.summary": name, **error}
        statement = _Recorded(name, SpanKind.CLIENT, attributes, started, time.time_ns(), failed=bool(error))
        if (statements := _statements.get()) is not None:
            statements.append(statement)
        else:
            _export(tracer, sampler, None, statement)

    return {"before_cursor_execute": begin, "after_cursor_execute": end, "handle_error": fail}


@functools.lru_cache(maxsize=1000)
def _summary(statement: str) -> str:
    """Returns operation and first table of a statement, such as `SELECT users`: the attribute `db.query.summary`.

    https://opentelemetry.io/docs/specs/semconv/database/database-spans/#generating-a-summary-of-the-query
    """
    target = _TARGET.search(statement)
    return " ".join([*statement.split(maxsplit=1)[:1], *(target.groups() if target else ())])
