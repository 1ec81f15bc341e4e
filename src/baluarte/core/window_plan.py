"""What the declared window features need remembered, and how each is read: compiled once."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from baluarte.core import sketch
from baluarte.core.condition import Test, parse_condition
from baluarte.core.contract import Contract, History, WindowFeature
from baluarte.core.event import Value
from baluarte.core.schema import Schema
from baluarte.core.window_track import MAX_UNITS, Bucket, Entry, Kind, Track, record_form

Record = Mapping[str, Value | None]
Read = Callable[[Record, int | None], Any]  #: a value of an event and its label; None is missing
#: (track, first, after last, buckets within, the event's time, its own entry) to the value
Emit = Callable[[Track, int, int, Sequence[Bucket], int, "Entry | None"], float | None]

_S = 1_000_000  #: microseconds


@dataclass(frozen=True, slots=True)
class Span:
    """One window, and the features that are read from it."""

    window_us: int
    lag_us: int
    itself: bool
    emits: tuple[tuple[str, Emit], ...]


@dataclass(frozen=True, slots=True)
class TrackPlan:
    """Events of one entity that meet one condition."""

    kinds: tuple[Kind, ...]
    fields: tuple[str, ...]  #: that the columns are made of
    entry: Callable[[Record, int | None], Entry | None]  #: None for an event that doesn't count
    labelled: bool  #: whether it waits for the events' labels
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """All that is remembered by one entity."""

    by: tuple[str, ...]
    key: Callable[[Record], Any]  #: the entity of an event; None where a part of it is missing
    tracks: tuple[TrackPlan, ...]

    def counts_distinct(self, field: str) -> bool:
        """Whether another entity than the field's remembers which of its values there were."""
        return field not in self.by and any(
            kind == "hash" and name == field
            for track in self.tracks
            for kind, name in zip(track.kinds, track.fields, strict=True)
        )


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """The window features of one contract."""

    groups: tuple[Group, ...]
    flags: tuple[tuple[str, Test], ...]
    names: tuple[str, ...]  #: of all features, in the contract's order
    fields: tuple[str, ...]  #: that are read from a record
    history: History
    late_us: int
    ahead_us: int
    repeat_us: int
    keep_us: int  #: how long an event can matter to an event that is not too late
    time: str  #: the field of the events' time
    event_id: str | None
    label: str | None
    labelled: bool  #: whether labels matter
    digest: str  #: of all that the values depend on; state of one plan is no state of another


def compile_windows(contract: Contract) -> WindowPlan | None:
    """The plan of a contract's window features; None where it declares none."""
    windows, schema = contract.windows, contract.events
    time, event_id = schema.by_role("time"), schema.by_role("id")
    if not windows or time is None:
        return None
    history = contract.history if isinstance(contract.history, History) else History()
    flags: list[tuple[str, Test]] = []
    groups: dict[tuple[str, ...], list[WindowFeature]] = {}
    for window in windows:
        if window.op == "flag":
            flags.append((window.name, parse_condition(window.where or "", schema).holds))
        else:
            groups.setdefault(window.by, []).append(window)
    planned = tuple(
        Group(by=by, key=_key(by), tracks=_tracks(schema, members))
        for by, members in groups.items()
    )
    reach = max((round((w.window_s or 0) * _S) + round(w.lag_s * _S) for w in windows), default=0)
    late_us = round(history.late_s * _S)
    return WindowPlan(
        groups=planned,
        flags=tuple(flags),
        names=tuple(window.name for window in windows),
        fields=_fields(contract),
        history=history,
        late_us=late_us,
        ahead_us=round(history.ahead_s * _S),
        repeat_us=round(history.repeat_s * _S),
        keep_us=reach + late_us,
        time=time.name,
        event_id=event_id.name if event_id else None,
        label=contract.label.field if contract.label else None,
        labelled=any(track.labelled for group in planned for track in group.tracks),
        digest=_digest(contract, history),
    )


def _fields(contract: Contract) -> tuple[str, ...]:
    """Given fields that windows read, the label left out, in the contract's order."""
    schema = contract.events
    read: set[str | None] = set()
    for window in contract.windows:
        read |= {*window.by, window.field}
        if window.where:
            read |= parse_condition(window.where, schema).fields
    roles = ("time", "id")
    return tuple(
        field.name
        for field in schema.fields
        if field.role in roles or (field.name in read and field.role != "label")
    )


def _digest(contract: Contract, history: History) -> str:
    types = [(field.name, field.type, field.role) for field in contract.events.fields]
    data = msgspec.json.encode([contract.windows, history, types, contract.label])
    return hashlib.sha256(data).hexdigest()


def _key(by: tuple[str, ...]) -> Callable[[Record], Any]:
    if len(by) == 1:
        (name,) = by
        return lambda record: record.get(name)

    def several(record: Record) -> Any:
        key = tuple(record.get(name) for name in by)
        return None if None in key else key

    return several


# --- tracks ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Draft:
    """A track while its features are gathered."""

    where: str | None
    labelled: bool
    columns: dict[tuple[Kind, str, int], Read]
    spans: dict[tuple[int, int, bool], list[tuple[str, Emit]]]


def _tracks(schema: Schema, windows: Sequence[WindowFeature]) -> tuple[TrackPlan, ...]:
    """One track for features that count the same events."""
    drafts: dict[tuple[str | None, str | None, bool], _Draft] = {}
    for window in windows:
        where = None if window.op == "share" else window.where
        labelled = _reads_label(schema, window)
        # An event without the field's value doesn't count; a required field always has one.
        field = window.field
        apart = None if field is None or schema[field].required or labelled else field
        apart = field if labelled else apart
        draft = drafts.setdefault(
            (where, apart, labelled), _Draft(where=where, labelled=labelled, columns={}, spans={})
        )
        emit = _emit(schema, window, draft)
        span = (round((window.window_s or 0) * _S), round(window.lag_s * _S), window.itself)
        draft.spans.setdefault(span, []).append((window.name, emit))
    return tuple(
        TrackPlan(
            kinds=tuple(kind for kind, _, _ in draft.columns),
            fields=tuple(name for _, name, _ in draft.columns),
            entry=_entry(schema, draft),
            labelled=draft.labelled,
            spans=tuple(Span(*span, tuple(emits)) for span, emits in draft.spans.items()),
        )
        for draft in drafts.values()
    )


def _reads_label(schema: Schema, window: WindowFeature) -> bool:
    names = {window.field} if window.field else set()
    if window.where:
        names |= parse_condition(window.where, schema).fields
    return any(schema[name].role == "label" for name in names)


def _entry(schema: Schema, draft: _Draft) -> Callable[[Record, int | None], Entry | None]:
    reads = tuple(draft.columns.values())
    plain = _values(reads)
    if draft.where is None:
        return plain
    holds = parse_condition(draft.where, schema).holds
    return lambda record, label: plain(record, label) if holds(record, label) else None


def _values(reads: tuple[Read, ...]) -> Callable[[Record, int | None], Entry | None]:
    if not reads:
        return lambda _record, _label: ()
    if len(reads) == 1:
        (read,) = reads

        def one(record: Record, label: int | None) -> Entry | None:
            value = read(record, label)
            return None if value is None else (value,)

        return one

    def several(record: Record, label: int | None) -> Entry | None:
        values = tuple(read(record, label) for read in reads)
        return None if None in values else values

    return several


def _column(schema: Schema, window: WindowFeature, draft: _Draft) -> int:
    """The number of the column that a feature reads, made where it wasn't there."""
    if window.op == "share":
        key: tuple[Kind, str, int] = ("sum", f"share of {window.where}", 0)
        holds = parse_condition(window.where or "", schema).holds
        draft.columns.setdefault(key, lambda record, label: int(holds(record, label)))
        return list(draft.columns).index(key)
    name = window.field or ""
    if schema[name].role == "label":
        key = ("value" if window.op in ("min", "max") else "sum", name, 0)
        draft.columns.setdefault(key, lambda _, label: label)
    elif window.op == "distinct":
        key = ("hash", name, 0)
        draft.columns.setdefault(key, _hashes(name))
    elif window.op in ("min", "max"):
        key = ("value", name, 0)
        draft.columns.setdefault(key, _numbers(name))
    else:
        key = ("sum", name, window.decimals)
        draft.columns.setdefault(key, _units(name, 10**window.decimals))
    return list(draft.columns).index(key)


def _units(name: str, scale: int) -> Read:
    def read(record: Record, _: int | None) -> int | None:
        value = record.get(name)
        if value is None or isinstance(value, str):
            return None
        # Correctly rounded twice, halves to even: the same whole number everywhere.
        units = round(value * scale)
        return units if -MAX_UNITS <= units <= MAX_UNITS else None

    return read


def _numbers(name: str) -> Read:
    def read(record: Record, _: int | None) -> float | None:
        value = record.get(name)
        return None if value is None else float(value)

    return read


def _hashes(name: str) -> Read:
    def read(record: Record, _: int | None) -> int | None:
        value = record.get(name)
        return None if value is None else sketch.value_hash(value)

    return read


# --- reading -----------------------------------------------------------------------------------


def _emit(schema: Schema, window: WindowFeature, draft: _Draft) -> Emit:
    """How a feature is read from its window."""
    simple: dict[str, Callable[[WindowFeature], Emit]] = {
        "count": _count, "rate": _rate, "since_last": _since_last,
    }  # fmt: skip
    if window.op in simple:
        return simple[window.op](window)
    j = _column(schema, window, draft)
    if window.op == "distinct":
        return lambda track, lo, hi, old, _at, _own: track.distinct(j, lo, hi, old)
    if window.op in ("min", "max"):
        return _extreme(window, j)
    scale = 10**window.decimals
    if window.op == "sum":
        return lambda track, lo, hi, old, _at, _own: record_form(
            track.total(j, lo, hi, old) / scale
        )
    return _ratio(window, j) if window.op == "ratio" else _mean(window, j, scale)


def _number_in(lo: int, hi: int, old: Sequence[Bucket]) -> int:
    return hi - lo + sum(b.n for b in old) if old else hi - lo


def _count(_: WindowFeature) -> Emit:
    return lambda _track, lo, hi, old, _at, _own: _number_in(lo, hi, old)


def _rate(window: WindowFeature) -> Emit:
    seconds = window.window_s or 1.0
    return lambda _track, lo, hi, old, _at, _own: record_form(_number_in(lo, hi, old) / seconds)


def _mean(window: WindowFeature, j: int, scale: int) -> Emit:
    empty = _empty(window)

    def mean(
        track: Track, lo: int, hi: int, old: Sequence[Bucket], _at: int, _own: Entry | None
    ) -> float | None:
        n = hi - lo
        if not old:
            if n <= 0:
                return empty
            column = track.columns[j]
            value = (column[hi] - column[lo]) / (n * scale)  # whole numbers: rounded once
        else:
            value = track.total(j, lo, hi, old) / (_number_in(lo, hi, old) * scale)
        return record_form(value)

    return mean


def _ratio(window: WindowFeature, j: int) -> Emit:
    empty = _empty(window)

    def ratio(
        track: Track, lo: int, hi: int, old: Sequence[Bucket], _at: int, own: Entry | None
    ) -> float | None:
        if own is None:
            return None
        total = track.total(j, lo, hi, old)
        return record_form(own[j] * _number_in(lo, hi, old) / total) if total else empty

    return ratio


def _extreme(window: WindowFeature, j: int) -> Emit:
    empty, pick = _empty(window), max if window.op == "max" else min

    def extreme(
        track: Track, lo: int, hi: int, old: Sequence[Bucket], _at: int, _own: Entry | None
    ) -> float | None:
        found = track.extreme(j, lo, hi, old, pick)
        return empty if found is None else record_form(found)

    return extreme


def _since_last(window: WindowFeature) -> Emit:
    empty = _empty(window)

    def since_last(
        track: Track, lo: int, hi: int, old: Sequence[Bucket], at: int, _own: Entry | None
    ) -> float | None:
        if hi > lo:
            last: int = track.at[hi - 1]
        elif old:
            last = old[-1].at
        else:
            return empty
        return record_form((at - last) / _S)

    return since_last


def _empty(window: WindowFeature) -> float | None:
    return None if window.empty is None else record_form(window.empty)


# --- one entity, one event ---------------------------------------------------------------------


class Cell:
    """What is remembered of one entity."""

    __slots__ = ("newest", "tracks")

    def __init__(self, group: Group) -> None:
        self.newest = -(2**62)  #: time of its newest event
        self.tracks = [Track(plan.kinds) for plan in group.tracks]

    def dump(self) -> list[Any]:
        """As plain values that MessagePack holds."""
        return [self.newest, [track.dump() for track in self.tracks]]

    @classmethod
    def load(cls, group: Group, data: Sequence[Any]) -> Cell:
        """A cell from :meth:`dump`.

        Raises:
            ValueError: it is none of this group.
        """
        cell = cls(group)
        newest, tracks = data
        cell.newest = int(newest)
        cell.tracks = [
            Track.load(plan.kinds, track) for plan, track in zip(group.tracks, tracks, strict=True)
        ]
        return cell


@dataclass(slots=True)
class Reading:
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


def read_spans(plan: TrackPlan, track: Track, reading: Reading, out: dict[str, Any]) -> None:
    """Write the features of one track for one event."""
    times, buckets, at, own = track.at, track.buckets, reading.at, reading.own
    old: Sequence[Bucket] = ()
    for span in plan.spans:
        limit = at - span.lag_us
        start = max(limit - span.window_us, reading.floor)
        if span.lag_us:
            hi = bisect_right(times, limit)
        else:
            hi = reading.after if span.itself else reading.before
        lo = bisect_right(times, start, 0, hi)
        if buckets is not None:
            old = [b for b in buckets if start < b.at <= limit]
        for name, emit in span.emits:
            value = emit(track, lo, hi, old, at, own)
            if value is not None:
                out[name] = value
