"""Recorded telemetry, in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision, Sampler
from opentelemetry.trace import SpanKind
from sqlalchemy import create_engine

import telemetry

_random = random.Random(1)
NAME, NUMBER, PAN, PAYER = "Zebulon Quixworth", "9123498765", "QWXPZ9876K", "ZANZIBARIAN"
"""Values that occur only in requests of the tests."""
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CLOSED = "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=http://127.0.0.1:9/"
"""A connection string whose endpoint is unreachable."""
TRACES = [f"{_random.getrandbits(128):032x}" for _ in range(40)]
EVENTS = ("before_cursor_execute", "after_cursor_execute", "handle_error")


class Observed:
    """Records from its creation to `close`; the sampler decides about requests without an error."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.traces = TracerProvider(ALWAYS_ON, shutdown_on_exit=False)  # `observe` decides, as with the exporter
        self.traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.metrics = MeterProvider([self.reader], shutdown_on_exit=False)
        self.end = telemetry.observe(self.traces.get_tracer("test"), self.metrics.get_meter("test"), sampler)

    def requests(self) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.kind is SpanKind.INTERNAL]

    def statements(self) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]

    def request(self) -> ReadableSpan:
        """The span of the only request."""
        (span,) = self.requests()
        return span

    def counted(self, name: str) -> dict[tuple[str, ...], int]:
        """The counter's values, by the values of its attributes in the order of their names."""
        data = self.reader.get_metrics_data()
        metrics = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return {
            tuple(str(value) for _, value in sorted((point.attributes or {}).items())): int(point.value)
            for metric in metrics
            if metric.name == name
            for point in metric.data.data_points
            if isinstance(point, NumberDataPoint)
        }

    def text(self) -> str:
        """Everything about every span and every counter."""
        data = self.reader.get_metrics_data()
        spans = [str(span.to_json()) for span in self.exporter.get_finished_spans()]
        assert spans
        return "\n".join([*spans, "" if data is None else str(data.to_json())])

    def close(self) -> None:
        """Ends the recording."""
        self.end()
        self.traces.shutdown()
        self.metrics.shutdown()


@contextmanager
def observing(sampler: Sampler = ALWAYS_ON) -> Iterator[Observed]:
    """Yields the telemetry recorded during the block."""
    observed = Observed(sampler)
    try:
        yield observed
    finally:
        observed.close()


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """The attributes of a span."""
    return dict(span.attributes or {})


def sampled(sampler: Sampler) -> set[str]:
    """The members of `TRACES` that belong to the sample: some, but not all."""
    kept = {trace for trace in TRACES if sampler.should_sample(None, int(trace, 16), "").decision is not Decision.DROP}
    assert 0 < len(kept) < len(TRACES)
    return kept


def count_listeners() -> list[int]:
    """How many listeners the statements of an engine have, by event."""
    engine = create_engine("sqlite://")
    places = [engine.dispatch, engine.dispatch, engine.dialect.dispatch]
    return [len(list(getattr(place, name))) for place, name in zip(places, EVENTS, strict=True)]


def id_of(span: ReadableSpan) -> tuple[int, int]:
    """The ids of a span's trace and of the span."""
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def parent_of(span: ReadableSpan) -> tuple[int, int] | None:
    """The ids of the trace and of the parent span."""
    return None if span.parent is None else (span.parent.trace_id, span.parent.span_id)
