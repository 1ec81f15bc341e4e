"""What the declared window features need remembered, and how each is read: compiled once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from baluarte.core import sketch
from baluarte.core.condition import Node, Record, Test, parse_condition
from baluarte.core.contract import Contract, History, WindowFeature
from baluarte.core.schema import Schema
from baluarte.core.window_cell import (
    CellPlan,
    Cells,
    Choice,
    Emit,
    Op,
    Read,
    ReadEntry,
    Reads,
    Source,
    Span,
    cells_of,
    intake_of,
)
from baluarte.core.window_track import MAX_UNITS, Entry, Kind

_S = 1_000_000  #: microseconds


@dataclass(frozen=True, slots=True)
class TrackPlan:
    """Events of one entity that meet one condition."""

    reads: Reads
    fields: tuple[str, ...]  #: that the columns are made of


@dataclass(frozen=True, slots=True)
class Group:
    """All that is remembered by one entity."""

    by: tuple[str, ...]
    key: Callable[[Record], Any]  #: the entity of an event; None where a part of it is missing
    tracks: tuple[TrackPlan, ...]
    cells: Cells

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
    intake: Any  #: the compiled form of what windows.WindowMemory does; None where it is not built


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
    flags: list[tuple[str, Node]] = []
    groups: dict[tuple[str, ...], list[WindowFeature]] = {}
    for window in windows:
        if window.op == "flag":
            flags.append((window.name, parse_condition(window.where or "", schema).root))
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
        )
        for by, own in tracks.items()
    )
    name_of_id = event_id.name if event_id else None
    ahead_us, repeat_us = round(history.ahead_s * _S), round(history.repeat_s * _S)
    return WindowPlan(
        groups=planned,
        flags=tuple((name, node.test) for name, node in flags),
        names=tuple(window.name for window in windows),
        fields=_fields(contract),
        history=history,
        late_us=late_us,
        ahead_us=ahead_us,
        repeat_us=repeat_us,
        keep_us=keep_us,
        time=time.name,
        event_id=name_of_id,
        label=contract.label.field if contract.label else None,
        labelled=any(track.reads.labelled for own in tracks.values() for track in own),
        digest=_digest(contract, history),
        intake=intake_of(
            [(group.by, group.cells) for group in planned],
            flags=flags,
            time=time.name,
            event_id=name_of_id,
            ahead_us=ahead_us,
            repeat_us=repeat_us,
            max_entities=history.max_entities,
        ),
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
    columns: dict[tuple[Kind, str, int], Source]
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
    return tuple(_track(schema, draft) for draft in drafts.values())


def _track(schema: Schema, draft: _Draft) -> TrackPlan:
    where = None if draft.where is None else parse_condition(draft.where, schema).root
    sources = tuple(draft.columns.values())
    return TrackPlan(
        fields=tuple(name for _, name, _ in draft.columns),
        reads=Reads(
            kinds=tuple(kind for kind, _, _ in draft.columns),
            spans=tuple(Span(*span, tuple(emits)) for span, emits in draft.spans.items()),
            labelled=draft.labelled,
            where=where,
            sources=sources,
            entry=_entry(sources, where, labelled=draft.labelled),
        ),
    )


def _reads_label(schema: Schema, window: WindowFeature) -> bool:
    names = {window.field} if window.field else set()
    if window.where:
        names |= parse_condition(window.where, schema).fields
    return any(schema[name].role == "label" for name in names)


def _entry(sources: tuple[Source, ...], where: Node | None, *, labelled: bool) -> ReadEntry:
    plain = _values(tuple(source.read for source in sources))
    entry = plain
    if where is not None:
        holds = where.test

        def entry(record: Record, label: int | None) -> Entry | None:
            return plain(record, label) if holds(record, label) else None

    if not labelled:
        return entry
    return lambda record, label: None if label is None else entry(record, label)


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
    key, source = _source(schema, window)
    draft.columns.setdefault(key, source)
    return list(draft.columns).index(key)


def _source(schema: Schema, window: WindowFeature) -> tuple[tuple[Kind, str, int], Source]:
    """The column that a feature reads, and what it is read from."""
    name, of = window.field or "", window.op
    if of == "share":
        where = parse_condition(window.where or "", schema).root
        holds = where.test
        source = Source("test", lambda record, label: int(holds(record, label)), where=where)
        return ("sum", f"share of {window.where}", 0), source
    if schema[name].role == "label":
        kind: Kind = "value" if of in ("min", "max") else "sum"
        return (kind, name, 0), Source("label", lambda _, label: label)
    if of == "distinct":
        return ("hash", name, 0), Source("other", _hashes(name))
    if of in ("min", "max"):
        return ("value", name, 0), Source("number", _numbers(name), name)
    scale = 10**window.decimals
    return ("sum", name, window.decimals), Source("units", _units(name, scale), name, scale)


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
