"""What the data plane counts, and who keeps the figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from baluarte.core.windows import WindowCounts
from baluarte.ports import Room


class Counts(Protocol):
    """Where the data plane's figures go; Prometheus in a server, nowhere in a test of its parts."""

    def decided(
        self, detector: str, version: int, outcomes: Sequence[str], points: Sequence[int]
    ) -> None:
        """Decisions with these outcomes and points were made and recorded."""
        ...

    def deferred(self, detector: str, n: int) -> None:
        """Reasons of so many decisions were due and left to replay."""
        ...

    def repeated(self, detector: str, n: int) -> None:
        """So many events were sent again and got their first decision."""
        ...

    def forgotten(self, n: int) -> None:
        """So many first decisions were forgotten before their window ended."""
        ...

    def shadowed(self, detector: str, version: int, n: int) -> None:
        """A challenger scored so many events, and its records are queued."""
        ...

    def shadow_shed(self, detector: str, n: int) -> None:
        """So many events were left out by a challenger, for the load or a failure."""
        ...

    def answered(self, seconds: Sequence[float], detector: str, version: int) -> None:
        """Requests for decisions got their answers, each after so long."""
        ...

    def refused(self, code: str) -> None:
        """A request was refused."""
        ...

    def ledger(self, *, waiting: int, lag_s: float | None, writable: bool) -> None:
        """Requests that wait for their record; the last group's time; whether all is well."""
        ...

    def room(self, room: Room, *, accepts: bool) -> None:
        """The room for records, and whether decisions are still recorded."""
        ...

    def gap(self, detector: str, n: int) -> None:
        """Decisions were answered without a record."""
        ...

    def champion(self, detector: str, version: int) -> None:
        """A version was let in."""
        ...

    def kernel(self, kernel: Literal["c", "numpy"]) -> None:
        """Which evaluator scores."""
        ...

    def champion_refused(self, error: str) -> None:
        """A version was not let in, by the name of the error's family."""
        ...

    def windows(self, detector: str, counts: WindowCounts) -> None:
        """What a detector's window features remember, and what their rules did so far."""
        ...

    def page(self) -> bytes:
        """All workers' figures in Prometheus' text form."""
        ...
