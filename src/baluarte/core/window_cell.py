"""One entity's memory: remember an event and read its windows, in Python or compiled, same bits.

What follows is the definition; ``_windows.c`` is the same, operation for operation, some ten times
as quick, and taken where it is built. A test runs both on the same events.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from baluarte.core import sketch
from baluarte.core.condition import Node, Record
from baluarte.core.event import Values
from baluarte.core.native import native
from baluarte.core.window_track import Bucket, Entry, Kind, Track, record_form

Op = Literal[
    "count", "rate", "since_last", "sum", "mean", "min", "max", "distinct", "ratio"
]  #: as _window_cell.h numbers them
OPS: tuple[Op, ...] = (
    "count", "rate", "since_last", "sum", "mean", "min", "max", "distinct", "ratio",
)  # fmt: skip
Choice = Literal["auto", "c", "numpy"]
Read = Callable[[Record, int | None], Any]  #: a value of an event and its label; None is missing
ReadEntry = Callable[[Record, int | None], Entry | None]  #: None: the event doesn't count
Place = Literal[0, 1, 2]  #: what an event is to the state: only a new one is kept
NEW: Place = 0
REPEAT: Place = 1
EARLY: Place = 2

_S = 1_000_000  #: microseconds
_LONG_AGO = -(2**62)
_FOR_EVER = 2**61  #: microseconds; 64 bits hold sums of two of them and any time


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit:
    """One feature, as it is read from its window."""

    name: str
    op: Op
    column: int = -1  #: of the track; none for what only counts
    scale: int = 1  #: minor units of one
    empty: float | None = None  #: value of an empty window
    seconds: float = 1.0  #: of the window


@dataclass(frozen=True, slots=True)
class Span:
    """One window, and the features that are read from it."""

    window_us: int
    lag_us: int
    itself: bool
    emits: tuple[Emit, ...]


class Source(NamedTuple):
    """Where a column's values come from: to be asked (``read``), and said for compiled code."""

    origin: Literal["label", "units", "number", "test", "other"]
    read: Read
    field: str = ""
    scale: int = 1  #: minor units of one
    where: Node | None = None  #: what is tested


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What a track keeps, and the windows that are read from it.

    Attributes:
        labelled: whether an event counts only once its label is known.
        where: the condition on what counts.
        entry: an event's values, all that is said by the three above and ``sources``.
    """

    kinds: tuple[Kind, ...]
    spans: tuple[Span, ...]
    labelled: bool
    where: Node | None
    sources: tuple[Source, ...]
    entry: ReadEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPlan:
    """What is kept of one entity, and for how long."""

    late_us: int
    keep_us: int
    max_events: int
    tracks: tuple[Reads, ...]


class Cell(Protocol):
    """What is remembered of one entity."""

    @property
    def newest(self) -> int:
        """Time of its newest event."""
        ...

    def step(self, record: Values, label: int | None, at: int, place: Place, /) -> int:
        """Remember an event, and write the features of its windows into its record.

        Args:
            label: 1 attack, 0 not, where it is known.

        Returns:
            Bit 0: it came too late to be remembered; the others: how many tracks were folded.
        """
        ...

    def learn(self, record: Values, at: int, was: int | None, now: int, /) -> bool:
        """Take an event's label in, in place of another; False where it is too old to matter."""
        ...

    def forget(self, track: int, column: int, hashes: frozenset[int], /) -> int:
        """Forget the events that have one of these hashes in a column; how many."""
        ...

    def dump(self) -> list[Any]:
        """As plain values that MessagePack holds."""
        ...


@dataclass(frozen=True, slots=True)
class Cells:
    """Makes the cells of one plan."""

    new: Callable[[], Cell]
    #: from what ``dump`` gave; raises a ValueError or a TypeError where it is none of this plan
    load: Callable[[list[Any]], Cell]
    spec: Any = None  #: what compiled code knows of the plan


def cells_of(plan: CellPlan, *, kernel: Choice = "auto") -> Cells:
    """The maker of cells.

    Args:
        kernel: ``auto`` takes ``c`` where it is built, else Python, which ``numpy`` asks for.

    Raises:
        RuntimeError: ``c`` is asked for and not built.
    """
    compiled = None if kernel == "numpy" else native("_windows")
    if compiled is None:
        if kernel == "c":
            raise RuntimeError("the compiled window features are not built")
        return Cells(partial(PlainCell, plan), partial(PlainCell.load, plan))
    tracks = tuple(
        (
            "".join(kind[0] for kind in track.kinds),
            track.labelled,
            track.where,
            track.sources,
            tuple(
                (
                    min(span.window_us, _FOR_EVER),
                    min(span.lag_us, _FOR_EVER),
                    span.itself,
                    tuple(
                        (e.name, OPS.index(e.op), e.column, e.scale, _form(e.empty), e.seconds)
                        for e in span.emits
                    ),
                )
                for span in track.spans
            ),
        )
        for track in plan.tracks
    )
    spec = compiled.Spec(
        min(plan.late_us, _FOR_EVER),
        min(plan.keep_us, _FOR_EVER),
        plan.max_events,
        _estimate,
        tracks,
    )
    cell, load = compiled.Cell, compiled.load
    return Cells(partial(cell, spec), partial(load, spec), spec)


def _form(empty: float | None) -> float | int | None:
    return None if empty is None else record_form(empty)


def intake_of(
    groups: Sequence[tuple[tuple[str, ...], Cells]],
    *,
    flags: Sequence[tuple[str, Node]],
    time: str,
    event_id: str | None,
    ahead_us: int,
    repeat_us: int,
    max_entities: int,
) -> Any:
    """What takes events and labels into the cells of all groups, compiled; None where they are not.

    Args:
        groups: the fields of a group's entity, and its cells.
        flags: features that need no memory.
    """
    specs = tuple((by, cells.spec) for by, cells in groups if cells.spec is not None)
    if len(specs) < len(groups) or not specs:
        return None
    return native("_windows").Intake(
        time,
        event_id,
        min(ahead_us, _FOR_EVER),
        min(repeat_us, _FOR_EVER),
        max_entities,
        tuple(flags),
        specs,
    )


def _estimate(registers: bytes) -> int:
    return sketch.estimate(np.frombuffer(registers, dtype=np.uint8))


class PlainCell:
    """The cell in Python."""

    __slots__ = ("_plan", "newest", "tracks")

    def __init__(self, plan: CellPlan) -> None:
        self._plan = plan
        self.newest = _LONG_AGO
        self.tracks = [Track(reads.kinds) for reads in plan.tracks]

    def step(self, record: Values, label: int | None, at: int, place: Place, /) -> int:
        """Remember an event, and write the features of its windows into its record."""
        plan, remember, late, folded = self._plan, place == NEW, False, 0
        if at < self.newest - plan.late_us:
            late, remember = remember, False
        elif remember and at > self.newest:
            self.newest = at
        floor, most = self.newest - plan.keep_us, plan.max_events
        for reads, track in zip(plan.tracks, self.tracks, strict=True):
            own = reads.entry(record, label)
            if own is not None and remember:
                before = track.insert(at, own)
                after = before + 1
                if before < 0:  # it went into a bucket
                    before = after = 0
            else:
                before = after = bisect_right(track.at, at)
                if place == REPEAT and own is not None and after and track.at[after - 1] == at:
                    before -= 1  # it stands there already
            _read(reads, track, _Event(at, before, after, floor, own), record)
            if own is not None and track.is_untidy(floor, most):
                folded += track.tidy(floor, most)
        return folded << 1 | late

    def learn(self, record: Values, at: int, was: int | None, now: int, /) -> bool:
        """Take an event's label in, in place of another; False where it is too old to matter."""
        floor = self.newest - self._plan.keep_us
        if at <= floor:
            return False
        for reads, track in zip(self._plan.tracks, self.tracks, strict=True):
            if not reads.labelled:
                continue
            old, new = reads.entry(record, was), reads.entry(record, now)
            if old is not None:
                track.remove(at, old)
            if new is not None:
                track.insert(at, new)
                track.tidy(floor, self._plan.max_events)
        return True

    def forget(self, track: int, column: int, hashes: frozenset[int], /) -> int:
        """Forget the events that have one of these hashes in a column; how many."""
        return self.tracks[track].forget(column, hashes)

    def dump(self) -> list[Any]:
        """As plain values that MessagePack holds."""
        return [self.newest, [track.dump() for track in self.tracks]]

    @classmethod
    def load(cls, plan: CellPlan, data: Sequence[Any]) -> PlainCell:
        """A cell from :meth:`dump`.

        Raises:
            ValueError: it is none of this plan.
        """
        cell = cls(plan)
        newest, tracks = data
        cell.newest = int(newest)
        cell.tracks = [
            Track.load(reads.kinds, track) for reads, track in zip(plan.tracks, tracks, strict=True)
        ]
        return cell


@dataclass(slots=True)
class _Event:
    """From where an event reads a track.

    Attributes:
        before: number of remembered events up to the event, itself not counted.
        after: the same, the event itself counted where it is remembered.
        floor: nothing at or before this time is read.
        own: the event's own entry.
    """

    at: int
    before: int
    after: int
    floor: int
    own: Entry | None


def _read(reads: Reads, track: Track, event: _Event, out: Values) -> None:
    """Write the features of one track for one event."""
    times, buckets = track.at, track.buckets or ()
    for span in reads.spans:
        limit = event.at - span.lag_us
        start = max(limit - span.window_us, event.floor)
        if span.lag_us:
            hi = bisect_right(times, limit)
        else:
            hi = event.after if span.itself else event.before
        lo = bisect_right(times, start, 0, hi)
        window = _Window(track, lo, hi, [b for b in buckets if start < b.at <= limit])
        for emit in span.emits:
            value = window.value(emit, event)
            if value is not None:
                out[emit.name] = value


@dataclass(slots=True)
class _Window:
    """The events of one window: ``[lo, hi)`` of a track, and buckets before them."""

    track: Track
    lo: int
    hi: int
    old: Sequence[Bucket]

    def value(self, emit: Emit, event: _Event) -> float | None:
        """A feature's value; None where it has none."""
        j = emit.column
        found: float | None
        match emit.op:
            case "count":
                return self._n
            case "distinct":
                return self.track.distinct(j, self.lo, self.hi, self.old)
            case "rate":
                found = self._n / emit.seconds
            case "since_last":
                last = self._last
                found = None if last is None else (event.at - last) / _S
            case "sum":
                found = self._total(j) / emit.scale
            case "mean":  # of whole numbers, so rounded once
                n = self._n
                found = self._total(j) / (n * emit.scale) if n else None
            case "ratio":
                if event.own is None:
                    return None
                total = self._total(j)
                found = event.own[j] * self._n / total if total else None
            case _:
                pick = max if emit.op == "max" else min
                found = self.track.extreme(j, self.lo, self.hi, self.old, pick)
        found = emit.empty if found is None else found
        return None if found is None else record_form(found)

    @property
    def _n(self) -> int:
        return self.hi - self.lo + sum(bucket.n for bucket in self.old)

    @property
    def _last(self) -> int | None:
        if self.hi > self.lo:
            return self.track.at[self.hi - 1]
        return self.old[-1].at if self.old else None

    def _total(self, j: int) -> int:
        return self.track.total(j, self.lo, self.hi, self.old)
