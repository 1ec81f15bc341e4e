"""What a collector of OpenTelemetry is told: routes, statuses and figures, never a value."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
from scoring_ground import Server, Workplace

from baluarte.apps.scoring.grpc_process import require_collector
from baluarte.errors import ContractError
from baluarte.testing.bundles import sample_parts

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
grpc = pytest.importorskip("grpc")
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics  # noqa: E402
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces  # noqa: E402

CANARY = "ana.garcia-4000001234567899"
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """Takes OTLP on loopback and keeps it."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.spans: list[Any] = []
        self.numbers: dict[str, float] = {}
        self.told = threading.Condition()
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        for kind, messages, take in (
            ("trace.v1.TraceService", traces, self._take_spans),
            ("metrics.v1.MetricsService", metrics, self._take_metrics),
        ):
            name = "ExportTrace" if messages is traces else "ExportMetrics"
            handler = grpc.unary_unary_rpc_method_handler(
                self._kept(getattr(messages, f"{name}ServiceRequest"), take),
                response_serializer=getattr(messages, f"{name}ServiceResponse").SerializeToString,
            )
            service = grpc.method_handlers_generic_handler(
                f"opentelemetry.proto.collector.{kind}", {"Export": handler}
            )
            self._server.add_generic_rpc_handlers((service,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def _kept(self, request: Any, take: Any) -> Any:
        def answer(raw: bytes, _: Any) -> Any:
            with self.told:
                self.raw.append(raw)
                response = take(request.FromString(raw))
                self.told.notify_all()
            return response

        return answer

    def _take_spans(self, request: Any) -> Any:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return traces.ExportTraceServiceResponse()

    def _take_metrics(self, request: Any) -> Any:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = metric.sum.data_points or metric.gauge.data_points
                    self.numbers[metric.name] = sum(p.as_int or p.as_double for p in points)
        return metrics.ExportMetricsServiceResponse()

    def close(self) -> None:
        self._server.stop(0)


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def told(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_spans_follow_the_callers_trace_and_hold_no_value(
    tmp_path: Path, collector: Collector
) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal(sample_parts()))
    address = f"http://127.0.0.1:{collector.port}"
    path = "/v1/detectors/flows/decisions"
    with Server(place, collector=address, trace_ratio=1.0, telemetry_s=0.2) as server:
        parent = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        status, _ = server.ask("POST", path, b'{"id":"%s"}' % CANARY.encode(), parent)
        assert status == 200
        server.ask("POST", path, b'{"%s":1}' % CANARY.encode(), {"baggage": f"who={CANARY}"})
        server.ask("GET", f"/v1/detectors/{CANARY}")
        server.ask("GET", f"/{CANARY}")
        with collector.told:
            collector.told.wait_for(lambda: len(collector.spans) >= 4, timeout=30)
            collector.told.wait_for(lambda: collector.numbers.get("baluarte.decisions"), timeout=30)
        server.stop()
    spans = {told(span).get("http.response.status_code"): span for span in collector.spans}
    decided = spans[200]
    assert decided.name == "POST /v1/detectors/{name}/decisions"
    assert decided.trace_id.hex() == TRACE
    assert told(decided)["baluarte.detector"] == "flows"
    assert told(spans[422])["http.route"] == "/v1/detectors/{name}/decisions"
    assert collector.numbers["baluarte.decisions"] == 1
    assert collector.numbers["baluarte.request_seconds.count"] == 1
    assert collector.numbers["baluarte.workers"] in (0, 1)
    assert CANARY.encode() not in b"".join(collector.raw)
    assert server.token.encode() not in b"".join(collector.raw)


def test_a_collector_that_is_away_keeps_no_request_waiting(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.promote(place.seal(sample_parts()))
    with Server(place, collector="http://127.0.0.1:9", trace_ratio=1.0) as server:
        assert server.decide({"id": "e"})[0] == 200


def test_a_collector_elsewhere_is_refused(tmp_path: Path) -> None:
    for address in ("http://collector.example:4317", "https://127.0.0.1:4317", "127.0.0.1:4317"):
        with pytest.raises(ContractError, match="on loopback"):
            require_collector(Workplace(tmp_path / str(len(address))).settings(collector=address))
