"""Figures for Prometheus, added up over all workers.

Source: Prometheus, exposition formats 0.0.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from baluarte.apps.scoring.figures import (
    Figures,
    Labels,
    Numbers,
    Spread,
    Store,
    merged,
    merged_spreads,
)
from baluarte.core.decision import Decision
from baluarte.core.windows import WindowCounts
from baluarte.ports import Room

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (
    .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1.0, 2.5, 10.0,
)  # fmt: skip
_POINTS = (99, 199, 299, 399, 499, 599, 699, 799, 899, 999)
_OF_VERSION = ("detector", "version")


class _Family(msgspec.Struct, frozen=True):
    """One metric: its help, its labels, and how workers' values become one.

    Attributes:
        how: ``count`` adds up all that there ever were; the others are of living workers.
    """

    help: str
    labels: tuple[str, ...] = ()
    how: Literal["count", "sum", "max", "min"] = "count"


_HOW: dict[str, Callable[[list[float]], float]] = {
    "count": sum,
    "sum": sum,
    "max": max,
    "min": min,
}
_SPREADS: dict[str, tuple[str, tuple[float, ...]]] = {
    "baluarte_request_seconds": (
        "Time from a request's arrival to its answer, decisions only",
        _SECONDS,
    ),
    "baluarte_points": ("Points of decisions that were made and recorded", _POINTS),
}
_FAMILIES: dict[str, _Family] = {
    "baluarte_decisions": _Family("Decisions made and recorded", (*_OF_VERSION, "outcome")),
    "baluarte_reasons_deferred": _Family(
        "Decisions whose reasons were due and left to replay, for the load", ("detector",)
    ),
    "baluarte_repeats": _Family(
        "Events that were sent again and got their first decision", ("detector",)
    ),
    "baluarte_repeats_forgotten_early": _Family(
        "First decisions that made room for others before their window ended"
    ),
    "baluarte_shadowed": _Family("Events that a challenger scored beside", _OF_VERSION),
    "baluarte_shadow_shed": _Family(
        "Events that challengers left out, for the load or a failure", ("detector",)
    ),
    "baluarte_refusals": _Family("Requests refused, by code", ("code",)),
    "baluarte_ledger_waiting_requests": _Family(
        "Requests whose records are not durable yet", how="sum"
    ),
    "baluarte_ledger_lag_seconds": _Family(
        "Time that the last group of records took to become durable", how="max"
    ),
    "baluarte_ledger_writable": _Family(
        "1 where decisions can be recorded; the least over the workers", how="min"
    ),
    "baluarte_ledger_free_bytes": _Family("Room on the ledger's disk", how="min"),
    "baluarte_ledger_reserved_bytes": _Family(
        "Room that workers have reserved for records and not used yet", how="sum"
    ),
    "baluarte_ledger_has_room": _Family(
        "0 where decisions are shed since the disk is nearly full; the least over the workers",
        how="min",
    ),
    "baluarte_ledger_gap_decisions": _Family(
        "Decisions that were answered without a record; gap records mark them", ("detector",)
    ),
    "baluarte_champion_version": _Family(
        "The version that decides; the least over the workers", ("detector",), "min"
    ),
    "baluarte_kernel_compiled": _Family(
        "1 where the compiled kernel scores, 0 where NumPy does, more slowly; the least over "
        "the workers",
        how="min",
    ),
    "baluarte_champion_swaps": _Family("Changes of the version that decides"),
    "baluarte_champion_refusals": _Family(
        "Champions that were not let in, by the family of the error", ("error",)
    ),
    "baluarte_windows": _Family(
        "What window features remember (entities), and what their rules did since the state "
        "began: events, repeats, too_late, entities_forgotten …",
        ("detector", "what"),
        "max",
    ),
    "baluarte_workers": _Family("Workers that answer", how="sum"),
}


class Metrics:
    """What a worker counts."""

    families = _FAMILIES
    spreads = _SPREADS

    def __init__(self, folder: str) -> None:
        self._store = Store(folder)
        self._numbers = {name: self._store.numbers.setdefault(name, {}) for name in _FAMILIES}
        spreads = {name: self._store.spreads.setdefault(name, {}) for name in _SPREADS}
        self._seconds, self._points = (
            spreads["baluarte_request_seconds"],
            spreads["baluarte_points"],
        )
        self._decisions = self._numbers["baluarte_decisions"]
        self._names: dict[tuple[str, int], Labels] = {}
        self._numbers["baluarte_champion_swaps"][()] = 0
        self._set("baluarte_workers", 1)

    def decided(self, detector: str, version: int, decisions: Sequence[Decision]) -> None:
        """Decisions were made and recorded."""
        names = self._of_version(detector, version)
        points = self._points.get(names)
        if points is None:
            points = self._points[names] = Spread([0] * (len(_POINTS) + 1))
        made = self._decisions
        for decision in decisions:
            key = (*names, decision.outcome)
            made[key] = made.get(key, 0) + 1
            points.counts[decision.points // 100] += 1  # as the bounds of _POINTS are
            points.total += decision.points

    def deferred(self, detector: str, n: int) -> None:
        """Reasons of so many decisions were due and left to replay."""
        self._add("baluarte_reasons_deferred", n, detector)

    def repeated(self, detector: str, n: int) -> None:
        """So many events were sent again and got their first decision."""
        self._add("baluarte_repeats", n, detector)

    def forgotten(self, n: int) -> None:
        """So many first decisions were forgotten before their window ended."""
        self._add("baluarte_repeats_forgotten_early", n)

    def shadowed(self, detector: str, version: int, n: int) -> None:
        """A challenger scored so many events, and its records are queued."""
        self._add("baluarte_shadowed", n, detector, str(version))

    def shadow_shed(self, detector: str, n: int) -> None:
        """So many events were left out by a challenger, for the load or a failure."""
        self._add("baluarte_shadow_shed", n, detector)

    def answered(self, seconds: float, detector: str, version: int) -> None:
        """A request for decisions got its answer."""
        names = self._of_version(detector, version)
        spread = self._seconds.get(names)
        if spread is None:
            spread = self._seconds[names] = Spread([0] * (len(_SECONDS) + 1))
        spread.counts[bisect_left(_SECONDS, seconds)] += 1
        spread.total += seconds

    def refused(self, code: str) -> None:
        """A request was refused."""
        self._add("baluarte_refusals", 1, code)

    def ledger(self, *, waiting: int, lag_s: float | None, writable: bool) -> None:
        """Requests that wait for their record; the last group's time; whether all is well."""
        self._set("baluarte_ledger_waiting_requests", waiting)
        self._set("baluarte_ledger_writable", writable)
        if lag_s is not None:
            self._set("baluarte_ledger_lag_seconds", lag_s)

    def room(self, room: Room, *, accepts: bool) -> None:
        """The room for records, and whether decisions are still recorded."""
        self._set("baluarte_ledger_free_bytes", room.free_bytes)
        self._set("baluarte_ledger_reserved_bytes", room.reserved_bytes)
        self._set("baluarte_ledger_has_room", accepts)

    def gap(self, detector: str, n: int) -> None:
        """Decisions were answered without a record."""
        self._add("baluarte_ledger_gap_decisions", n, detector)

    def champion(self, detector: str, version: int) -> None:
        """A version was let in."""
        self._set("baluarte_champion_version", version, detector)
        self._add("baluarte_champion_swaps", 1)

    def kernel(self, kernel: Literal["c", "numpy"]) -> None:
        """Which evaluator scores."""
        self._set("baluarte_kernel_compiled", kernel == "c")

    def champion_refused(self, error: str) -> None:
        """A version was not let in, by the name of the error's family."""
        self._add("baluarte_champion_refusals", 1, error)

    def windows(self, detector: str, counts: WindowCounts) -> None:
        """What a detector's window features remember, and what their rules did so far."""
        for what, n in msgspec.structs.asdict(counts).items():
            self._set("baluarte_windows", n, detector, what)

    def page(self) -> bytes:
        """All workers' figures in Prometheus' text form."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Page(self._store.all()))
        return generate_latest(registry)

    def numbers(self, name: str) -> Numbers:
        """This worker's numbers of a family, by labels."""
        return self._numbers[name]

    def spread(self, name: str) -> dict[Labels, Spread]:
        """This worker's histograms of a name, by detector and version."""
        return self._store.spreads[name]

    def follow(self) -> None:
        """Share the figures with the other workers until :meth:`stop`."""
        self._store.follow()

    def stop(self) -> None:
        """Share them a last time."""
        self._numbers["baluarte_workers"].clear()
        self._store.stop()

    def _of_version(self, detector: str, version: int) -> Labels:
        names = self._names.get((detector, version))
        if names is None:
            names = self._names[detector, version] = (detector, str(version))
        return names

    def _add(self, name: str, n: float, *labels: str) -> None:
        numbers = self._numbers[name]
        numbers[labels] = numbers.get(labels, 0) + n

    def _set(self, name: str, value: float, *labels: str) -> None:
        self._numbers[name][labels] = float(value)


class _Page:
    """The figures of all workers as Prometheus' client writes them."""

    def __init__(self, found: list[Figures]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        for name, (text, bounds) in _SPREADS.items():
            histogram = HistogramMetricFamily(name, text, labels=_OF_VERSION)
            for labels, spread in merged_spreads(self._found, name).items():
                histogram.add_metric(labels, _cumulative(bounds, spread), spread.total)
            yield histogram
        for name, family in _FAMILIES.items():
            made = CounterMetricFamily if family.how == "count" else GaugeMetricFamily
            metric = made(name, family.help, labels=family.labels)
            values = merged(self._found, name, _HOW[family.how], living=family.how != "count")
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
