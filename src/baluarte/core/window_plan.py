"""What the declared window features need remembered, and how each is read: compiled once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from baluarte.core import sketch
from baluarte.core.condition import Test, parse_condition
from baluarte.core.contract import Contract, History, WindowFeature
from baluarte.core.event import Value
from baluarte.core.schema import Schema
from baluarte.core.window_cell import (
    CellPlan,
    Cells,
    Choice,
    Emit,
    Entries,
    Op,
    Reads,
    Span,
    cells_of,
)
from baluarte.core.window_track import MAX_UNITS, Entry, Kind

Record = Mapping[str, Value | None]
Read = Callable[[Record, int | None], Any]  #: a value of an event and its label; None is missing
ReadEntry = Callable[[Record, int | None], Entry | None]  #: None: the event doesn't count

_S = 1_000_000  #: microseconds


@dataclass(frozen=True, slots=True)
class TrackPlan:
    """Events of one entity that meet one condition."""

    reads: Reads
    fields: tuple[str, ...]  #: that the columns are made of
    entry: ReadEntry
    labelled: bool  #: whether it waits for the events' labels


@dataclass(frozen=True, slots=True)
class Group:
    """All that is remembered by one entity."""

    by: tuple[str, ...]
    key: Callable[[Record], Any]  #: the entity of an event; None where a part of it is missing
    tracks: tuple[TrackPlan, ...]
    cells: Cells
    entries: Callable[[Record, int | None], Entries]  #: of an event and its label, if it is known
    told: Callable[[Record, int | None], Entries]  #: only where the label is read

    def counts_distinct(self, field: str) -> bool:
        """Whether another entity than the field's remembers which of its values there were."""
        return field not in self.by and any(
            kind == "hash" and name == field
            for track in self.tracks
            for kind, name in zip(track.reads.kinds, track.fields, strict=True)
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


def compile_windows(contract: Contract, *, kernel: Choice = "auto") -> WindowPlan | None:
    """The plan of a contract's window features; None where it declares none.

    Args:
        kernel: which of two programs that give the same bits: compiled where it is built, or
            Python.

    Raises:
        RuntimeError: ``c`` is asked for and not built.
    """
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
    reach = max((round((w.window_s or 0) * _S) + round(w.lag_s * _S) for w in windows), default=0)
    late_us = round(history.late_s * _S)
    keep_us = reach + late_us
    tracks = {by: _tracks(schema, members) for by, members in groups.items()}
    planned = tuple(
        Group(
            by=by,
            key=_key(by),
            tracks=own,
            cells=cells_of(
                CellPlan(
                    late_us=late_us,
                    keep_us=keep_us,
                    max_events=history.max_events,
                    tracks=tuple(track.reads for track in own),
                ),
                kernel=kernel,
            ),
            entries=_entries(own),
            told=_told(own),
        )
        for by, own in tracks.items()
    )
    return WindowPlan(
        groups=planned,
        flags=tuple(flags),
        names=tuple(window.name for window in windows),
        fields=_fields(contract),
        history=history,
        late_us=late_us,
        ahead_us=round(history.ahead_s * _S),
        repeat_us=round(history.repeat_s * _S),
        keep_us=keep_us,
        time=time.name,
        event_id=event_id.name if event_id else None,
        label=contract.label.field if contract.label else None,
        labelled=any(track.labelled for own in tracks.values() for track in own),
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
    spans: dict[tuple[int, int, bool], list[Emit]]


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
        draft.spans.setdefault(span, []).append(emit)
    return tuple(
        TrackPlan(
            fields=tuple(name for _, name, _ in draft.columns),
            reads=Reads(
                kinds=tuple(kind for kind, _, _ in draft.columns),
                spans=tuple(Span(*span, tuple(emits)) for span, emits in draft.spans.items()),
            ),
            entry=_entry(schema, draft),
            labelled=draft.labelled,
        )
        for draft in drafts.values()
    )


def _reads_label(schema: Schema, window: WindowFeature) -> bool:
    names = {window.field} if window.field else set()
    if window.where:
        names |= parse_condition(window.where, schema).fields
    return any(schema[name].role == "label" for name in names)


def _entry(schema: Schema, draft: _Draft) -> ReadEntry:
    reads = tuple(draft.columns.values())
    plain = _values(reads)
    if draft.where is None:
        return plain
    holds = parse_condition(draft.where, schema).holds
    return lambda record, label: plain(record, label) if holds(record, label) else None


def _values(reads: tuple[Read, ...]) -> ReadEntry:
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

_OF_COUNTS: tuple[str, ...] = ("count", "rate", "since_last")


def _emit(schema: Schema, window: WindowFeature, draft: _Draft) -> Emit:
    """How a feature is read from its window."""
    return Emit(
        name=window.name,
        op=cast("Op", "mean" if window.op == "share" else window.op),
        column=-1 if window.op in _OF_COUNTS else _column(schema, window, draft),
        scale=10**window.decimals,
        empty=window.empty,
        seconds=window.window_s or 1.0,
    )


def _entries(tracks: Sequence[TrackPlan]) -> Callable[[Record, int | None], Entries]:
    """An event's values for all tracks; where the label is read it must be known."""
    reads = [_once_known(track.entry) if track.labelled else track.entry for track in tracks]
    if len(reads) == 1:
        (only,) = reads
        return lambda record, label: (only(record, label),)
    if len(reads) == 2:
        first, second = reads
        return lambda record, label: (first(record, label), second(record, label))
    return lambda record, label: tuple([read(record, label) for read in reads])


def _told(tracks: Sequence[TrackPlan]) -> Callable[[Record, int | None], Entries]:
    """An event's values where its label is read, and None for the other tracks."""
    reads = [_once_known(track.entry) if track.labelled else None for track in tracks]
    return lambda record, label: tuple(
        [None if read is None else read(record, label) for read in reads]
    )


def _once_known(entry: ReadEntry) -> ReadEntry:
    return lambda record, label: None if label is None else entry(record, label)
