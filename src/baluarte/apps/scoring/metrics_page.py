"""The page that Prometheus reads, written by its own client when it asks.

Source: Prometheus, exposition formats 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from baluarte.apps.scoring.figures import Figures, Spread, merged, merged_spreads
from baluarte.apps.scoring.metric_families import FAMILIES, HOW, OF_VERSION, SPREADS


def write_page(found: list[Figures]) -> bytes:
    """All workers' figures in Prometheus' text form."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(found))
    return generate_latest(registry)


class _Page:
    """The figures of all workers as Prometheus' client writes them."""

    def __init__(self, found: list[Figures]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        for name, (text, bounds) in SPREADS.items():
            histogram = HistogramMetricFamily(name, text, labels=OF_VERSION)
            for labels, spread in merged_spreads(self._found, name).items():
                histogram.add_metric(labels, _cumulative(bounds, spread), spread.total)
            yield histogram
        for name, family in FAMILIES.items():
            made = CounterMetricFamily if family.how == "count" else GaugeMetricFamily
            metric = made(name, family.help, labels=family.labels)
            values = merged(self._found, name, HOW[family.how], living=family.how != "count")
            for labels, value in values.items():
                metric.add_metric(labels, value)
            yield metric


def _cumulative(bounds: Sequence[float], spread: Spread) -> list[tuple[str, float]]:
    """Observations at or below each bound, and at last all of them."""
    out: list[tuple[str, float]] = []
    so_far = 0
    names = [str(float(bound)) for bound in bounds] + ["+Inf"]
    for name, n in zip(names, spread.counts, strict=True):
        so_far += n
        out.append((name, so_far))
    return out
