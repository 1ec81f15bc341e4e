"""Traces and metrics for a collector of OpenTelemetry on this machine.

A span a sampled request: its route, method, status and detector, within the caller's trace where
the caller sends one (W3C trace context). The metrics are the figures of ``/metrics``, by worker.
Neither holds an event, a value, an id of an event, a header, or who asked. Baggage is not read.

It sends to loopback only: gRPC's library can't be held to TLS 1.3, and an agent on the machine is
where most put their collector. A collector that is away costs nothing but the spans that it misses.

Comes with the extra ``otel``.
Source: OpenTelemetry specification 1.50, semantic conventions for HTTP spans.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from baluarte import __version__
from baluarte.apps.http.exchange import HTTPProtocol, Scope
from baluarte.apps.scoring.figures import Numbers
from baluarte.apps.scoring.metrics import Metrics
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.routes import find

Handle = Callable[[Scope, HTTPProtocol], Awaitable[None]]
_TIMEOUT_S = 2.0  #: of a delivery, and so of a worker's end where the collector is away
_CONTEXT = TraceContextTextMapPropagator()


class Telemetry:
    """What a worker tells a collector.

    Args:
        ratio: share of the requests without a trace of their caller's that get a span; those with
            one follow their caller's choice.
        exporter: of spans.
        reader: of metrics.
    """

    def __init__(
        self, metrics: Metrics, *, ratio: float, exporter: SpanExporter, reader: MetricReader
    ) -> None:
        resource = Resource(
            {
                "service.name": "baluarte",
                "service.version": __version__,
                "service.instance.id": str(os.getpid()),
            }
        )
        self._traces = TracerProvider(
            resource=resource, sampler=ParentBased(TraceIdRatioBased(ratio))
        )
        self._traces.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._traces.get_tracer("baluarte.scoring", __version__)
        self._meters = MeterProvider([reader], resource=resource)
        self._tell(metrics)

    async def handle(self, handle: Handle, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer a request by ``handle``, in a span."""
        try:
            route, name, _ = find(scope.method, scope.path)
            path = route.path
        except Refusal:  # a path of a stranger's making is no name of a span
            path, name = "", ""
        seen = _Seen(protocol)
        span = self._tracer.start_span(
            f"{scope.method} {path}".rstrip() if path else "unknown route",
            context=_CONTEXT.extract(_traced(scope)),
            kind=SpanKind.SERVER,
        )
        try:
            await handle(scope, seen)
        finally:
            if span.is_recording():
                span.set_attribute("http.response.status_code", seen.status)
                if path:
                    span.set_attribute("http.request.method", scope.method)
                    span.set_attribute("http.route", path)
                if name and "detectors" in path and seen.status != 404:
                    span.set_attribute("baluarte.detector", name)
                if seen.status >= 500:
                    span.set_status(Status(StatusCode.ERROR))
            span.end()

    def stop(self) -> None:
        """Send what is left, and end."""
        self._traces.shutdown()
        self._meters.shutdown()

    def _tell(self, metrics: Metrics) -> None:
        """Have the figures read whenever the collector gets them."""
        meter = self._meters.get_meter("baluarte.scoring", __version__)
        for name, family in metrics.families.items():
            make = (
                meter.create_observable_counter
                if family.how == "count"
                else meter.create_observable_gauge
            )
            make(
                name.replace("_", ".", 1),
                callbacks=[_reads(family.labels, metrics.numbers(name))],
                description=family.help,
            )
        for name, (text, _) in metrics.spreads.items():
            for part in ("count", "sum"):
                meter.create_observable_counter(
                    f"{name.replace('_', '.', 1)}.{part}",
                    callbacks=[_reads_spread(metrics, name, part)],
                    description=text,
                )


class _Seen:
    """A protocol that remembers the status of its answer."""

    def __init__(self, protocol: HTTPProtocol) -> None:
        self._protocol = protocol
        self.status = 500

    async def __call__(self) -> bytes:
        return await self._protocol()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._protocol.__aiter__()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self._protocol.response_bytes(status, headers, body)


def _traced(scope: Scope) -> dict[str, str]:
    """The caller's trace, if it names one."""
    parent = scope.headers.get("traceparent")
    return {} if parent is None else {"traceparent": parent}


def _reads(
    labels: tuple[str, ...], numbers: Numbers
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        for values, number in numbers.copy().items():
            yield Observation(number, dict(zip(labels, values, strict=True)))

    return observe


def _reads_spread(
    metrics: Metrics, name: str, part: str
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        for (detector, version), spread in metrics.spread(name).copy().items():
            number = sum(spread.counts) if part == "count" else spread.total
            yield Observation(number, {"detector": detector, "version": version})

    return observe


def to_collector(metrics: Metrics, *, endpoint: str, ratio: float, every_s: float) -> Telemetry:
    """Telemetry for a collector that takes OTLP over gRPC at this address."""
    return Telemetry(
        metrics,
        ratio=ratio,
        exporter=OTLPSpanExporter(endpoint=endpoint, insecure=True, timeout=_TIMEOUT_S),
        reader=PeriodicExportingMetricReader(
            OTLPMetricExporter(endpoint=endpoint, insecure=True, timeout=_TIMEOUT_S),
            export_interval_millis=1_000 * every_s,
        ),
    )
