"""Figures for Prometheus, added up over all workers.

The workers share a private folder of mapped files; whoever is asked reads them all.

Source: prometheus-client, multiprocess mode; the folder must be named before its first import, so
a worker sets ``PROMETHEUS_MULTIPROC_DIR`` and imports this module after that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as PrometheusCounter
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from baluarte.core.decision import Decision
from baluarte.core.windows import WindowCounts
from baluarte.ports import Room

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (
    .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1.0, 2.5, 10.0,
)  # fmt: skip


class Metrics:
    """What a worker counts."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        mine = CollectorRegistry()  # only so that nothing is registered globally
        self._seconds = Histogram(
            "baluarte_request_seconds",
            "Time from a request's arrival to its answer, decisions only",
            buckets=_SECONDS,
            registry=mine,
        )
        self._decisions = PrometheusCounter(
            "baluarte_decisions",
            "Decisions made and recorded",
            ["detector", "version", "outcome"],
            registry=mine,
        )
        self._deferred = PrometheusCounter(
            "baluarte_reasons_deferred",
            "Decisions whose reasons were due and left to replay, for the load",
            ["detector"],
            registry=mine,
        )
        self._refusals = PrometheusCounter(
            "baluarte_refusals", "Requests refused, by code", ["code"], registry=mine
        )
        self._waiting = Gauge(
            "baluarte_ledger_waiting_requests",
            "Requests whose records are not durable yet",
            multiprocess_mode="livesum",
            registry=mine,
        )
        self._lag_seconds = Gauge(
            "baluarte_ledger_lag_seconds",
            "Time that the last group of records took to become durable",
            multiprocess_mode="livemax",
            registry=mine,
        )
        self._writable = Gauge(
            "baluarte_ledger_writable",
            "1 where decisions can be recorded; the least over the workers",
            multiprocess_mode="livemin",
            registry=mine,
        )
        self._free_bytes = Gauge(
            "baluarte_ledger_free_bytes",
            "Room on the ledger's disk",
            multiprocess_mode="livemin",
            registry=mine,
        )
        self._reserved_bytes = Gauge(
            "baluarte_ledger_reserved_bytes",
            "Room that workers have reserved for records and not used yet",
            multiprocess_mode="livesum",
            registry=mine,
        )
        self._has_room = Gauge(
            "baluarte_ledger_has_room",
            "0 where decisions are shed since the disk is nearly full; the least over the workers",
            multiprocess_mode="livemin",
            registry=mine,
        )
        self._gap_decisions = PrometheusCounter(
            "baluarte_ledger_gap_decisions",
            "Decisions that were answered without a record; gap records mark them",
            ["detector"],
            registry=mine,
        )
        self._champion = Gauge(
            "baluarte_champion_version",
            "The version that decides; the least over the workers",
            ["detector"],
            multiprocess_mode="livemin",
            registry=mine,
        )
        self._compiled = Gauge(
            "baluarte_kernel_compiled",
            "1 where the compiled kernel scores, 0 where NumPy does, more slowly; the least over "
            "the workers",
            multiprocess_mode="livemin",
            registry=mine,
        )
        self._swaps = PrometheusCounter(
            "baluarte_champion_swaps", "Changes of the version that decides", registry=mine
        )
        self._swap_refusals = PrometheusCounter(
            "baluarte_champion_refusals",
            "Champions that were not let in, by the family of the error",
            ["error"],
            registry=mine,
        )
        self._windows = Gauge(
            "baluarte_windows",
            "What window features remember (entities), and what their rules did since the state "
            "began: events, repeats, too_late, entities_forgotten …",
            ["detector", "what"],
            multiprocess_mode="livemax",
            registry=mine,
        )
        self._forget_the_dead()

    def decided(self, detector: str, version: int, decisions: Sequence[Decision]) -> None:
        """Decisions were made and recorded."""
        for outcome, n in Counter(decision.outcome for decision in decisions).items():
            self._decisions.labels(detector, str(version), outcome).inc(n)

    def deferred(self, detector: str, n: int) -> None:
        """Reasons of so many decisions were due and left to replay."""
        self._deferred.labels(detector).inc(n)

    def answered(self, seconds: float) -> None:
        """A request for decisions got its answer."""
        self._seconds.observe(seconds)

    def refused(self, code: str) -> None:
        """A request was refused."""
        self._refusals.labels(code).inc()

    def ledger(self, *, waiting: int, lag_s: float | None, writable: bool) -> None:
        """Requests that wait for their record; the last group's time; whether all is well."""
        self._waiting.set(waiting)
        self._writable.set(writable)
        if lag_s is not None:
            self._lag_seconds.set(lag_s)

    def room(self, room: Room, *, accepts: bool) -> None:
        """The room for records, and whether decisions are still recorded."""
        self._free_bytes.set(room.free_bytes)
        self._reserved_bytes.set(room.reserved_bytes)
        self._has_room.set(accepts)

    def gap(self, detector: str, n: int) -> None:
        """Decisions were answered without a record."""
        self._gap_decisions.labels(detector).inc(n)

    def champion(self, detector: str, version: int) -> None:
        """A version was let in."""
        self._champion.labels(detector).set(version)
        self._swaps.inc()

    def kernel(self, kernel: Literal["c", "numpy"]) -> None:
        """Which evaluator scores."""
        self._compiled.set(kernel == "c")

    def champion_refused(self, error: str) -> None:
        """A version was not let in, by the name of the error's family."""
        self._swap_refusals.labels(error).inc()

    def windows(self, detector: str, counts: WindowCounts) -> None:
        """What a detector's window features remember, and what their rules did so far."""
        for what, n in msgspec.structs.asdict(counts).items():
            self._windows.labels(detector, what).set(n)

    def page(self) -> bytes:
        """All workers' figures in Prometheus' text form."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _forget_the_dead(self) -> None:
        """Drop the live gauges of workers that are gone; their counters stay counted."""
        for path in Path(self._folder).glob("gauge_live*.db"):
            match = re.search(r"_(\d+)\.db$", path.name)
            if match and not Path(f"/proc/{match[1]}").exists():
                mark_process_dead(int(match[1]), path=self._folder)  # type: ignore[no-untyped-call]
