"""Counts of one worker, shared with the others, which one of them shows for all."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal

import msgspec

from baluarte.apps.scoring.figures import Labels, Numbers, Spread, Store
from baluarte.apps.scoring.metric_families import FAMILIES, POINTS, SECONDS, SPREADS
from baluarte.core.windows import WindowCounts
from baluarte.ports import Room


class Metrics:
    """What a worker counts."""

    families = FAMILIES
    spreads = SPREADS

    def __init__(self, folder: str) -> None:
        self._store = Store(folder)
        self._numbers = {name: self._store.numbers.setdefault(name, {}) for name in FAMILIES}
        spreads = {name: self._store.spreads.setdefault(name, {}) for name in SPREADS}
        self._seconds, self._points = (
            spreads["baluarte_request_seconds"],
            spreads["baluarte_points"],
        )
        self._decisions = self._numbers["baluarte_decisions"]
        self._names: dict[tuple[str, int], Labels] = {}
        self._numbers["baluarte_champion_swaps"][()] = 0
        self._set("baluarte_workers", 1)

    def decided(
        self, detector: str, version: int, outcomes: Sequence[str], points: Sequence[int]
    ) -> None:
        """Decisions with these outcomes and points were made and recorded."""
        names = self._of_version(detector, version)
        spread = self._points.get(names)
        if spread is None:
            spread = self._points[names] = Spread([0] * (len(POINTS) + 1))
        made = self._decisions
        for outcome in set(outcomes):
            key = (*names, outcome)
            made[key] = made.get(key, 0) + outcomes.count(outcome)
        counts = spread.counts
        for each in points:
            counts[each // 100] += 1  # as the bounds of POINTS are
        spread.total += sum(points)

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

    def answered(self, seconds: Sequence[float], detector: str, version: int) -> None:
        """Requests for decisions got their answers, each after so long."""
        names = self._of_version(detector, version)
        spread = self._seconds.get(names)
        if spread is None:
            spread = self._seconds[names] = Spread([0] * (len(SECONDS) + 1))
        counts = spread.counts
        for each in seconds:
            counts[bisect_left(SECONDS, each)] += 1
        spread.total += sum(seconds)

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
        from baluarte.apps.scoring.metrics_page import write_page  # noqa: PLC0415 - a slow import

        return write_page(self._store.all())

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
