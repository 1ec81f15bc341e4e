"""Window features: what the events before say about the event at hand.

The rules, which training, files, requests and streams share because they share this code:

1. *Window.* For an event at t a feature with window w and lag g reads the events of the same entity
   with times in (t − w − g, t − g]. Without a lag the event itself counts, unless ``itself`` is
   false; ``since_last`` and ``ratio`` only look at the others.
2. *Order.* What counts is what has arrived. Of events with equal times those count that arrived
   first. Training replays a file in the order of time, equal times in the order of the file.
3. *Late events* count in the windows of all events that arrive after them, and change no value that
   was computed before. One that is older than the newest of its entity by more than ``late_s`` is
   not remembered.
4. *Early events*, ahead of their arrival by more than ``ahead_s``, are not remembered: a wrong
   clock must not push out what is right.
5. *Repeats.* A second event with the same id within ``repeat_s`` is read for, and not remembered.
6. *Labels.* What reads the label counts an event from the arrival of its label on, at the time of
   the event; the lag keeps out what would not be known yet. A correction takes the place of the
   first label.
7. *Sums* are whole numbers of a stated unit: a value times 10^decimals, halves to even. Order can't
   matter. A mean is one division of two whole numbers, rounded once.
8. *Missing.* An event without its entity has no value, one without the field doesn't count. An
   empty window gives 0 for counts and sums, and is otherwise missing or the stated ``empty``.
9. *Bounds.* Beyond ``max_events`` of an entity the oldest half is added up in a bucket that counts
   wholly at the time of its last event; distinct values of buckets are a HyperLogLog sketch. Beyond
   ``max_entities`` the longest idle are forgotten, a sixteenth at a time. Both are counted.

The values become part of the event's record, so a recorded decision needs no state to be replayed.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from baluarte.core.event import Values
from baluarte.core.sketch import value_hash
from baluarte.core.window_cell import EARLY, NEW, REPEAT, Cell, Place
from baluarte.core.window_plan import Group, WindowPlan

_SWEEP_EVERY = 65_536  #: events between two looks for what is too old to matter
_LONG_AGO = -(2**62)


class WindowCounts(msgspec.Struct, kw_only=True):
    """What the rules did so far, and what is held."""

    events: int = 0  #: remembered
    repeats: int = 0  #: with an id that was known
    too_late: int = 0
    too_early: int = 0
    labels: int = 0  #: taken in
    labels_too_late: int = 0
    folded: int = 0  #: times that old events of an entity were put into a bucket
    entities: int = 0  #: held now
    entities_forgotten: int = 0  #: to keep within ``max_entities``

    def took(self, told: int) -> None:
        """Count what a cell's step told."""
        self.too_late += told & 1
        self.folded += told >> 1


@dataclass(slots=True, kw_only=True)
class Seen:
    """One event as it comes to the state.

    Attributes:
        record: its values; the window features are written into it.
        arrived_at: microseconds of UTC; None in training, where files say nothing of it.
        label: 1 attack, 0 not, where it is known already, as in training.
    """

    record: Values
    arrived_at: int | None = None
    label: int | None = None


@dataclass(slots=True, kw_only=True)
class Told:
    """A label of an event that was seen before: 1 is attack."""

    event_id: str
    record: Values
    label: int


def is_of(group: Group, key: object, field: str, names: Collection[str]) -> bool:
    """Whether an entity is one of the subjects that ``field`` names."""
    if field not in group.by:
        return False
    part = key if len(group.by) == 1 else key[group.by.index(field)]  # type: ignore[index]
    return str(part) in names


def forms_of(name: str) -> list[str | int]:
    """A name as an entity's key may hold it: as text, or as the whole number that it writes."""
    forms: list[str | int] = [name]
    if name.removeprefix("-").isdecimal() and str(int(name)) == name:
        forms.append(int(name))
    return forms


def forget_distinct(group: Group, cell: Cell, field: str, names: Collection[str]) -> int:
    """Forget the events of an entity whose subject was counted among its distinct ones."""
    hashes = frozenset(value_hash(name) for name in names)
    return sum(
        cell.forget(t, j, hashes)
        for t, track in enumerate(group.tracks)
        for j, (kind, name) in enumerate(zip(track.reads.kinds, track.fields, strict=True))
        if kind == "hash" and name == field
    )


def time_of(plan: WindowPlan, seen: Seen) -> int | None:
    """The time that windows are laid from, after the flags, which need no memory, are written."""
    for name, holds in plan.flags:
        seen.record[name] = int(holds(seen.record, None))
    own = seen.record.get(plan.time)
    return seen.arrived_at if own is None else int(own)


def id_of(plan: WindowPlan, record: Values) -> str | None:
    """The event's own id; None where it has none, and can't be known again."""
    own = record.get(plan.event_id) if plan.event_id else None
    return None if own is None else str(own)


def place_of(
    plan: WindowPlan, seen: Seen, at: int, known: int | None, counts: WindowCounts
) -> Place:
    """What an event is to the state; counted.

    Args:
        known: the time of an event with the same id.
    """
    if seen.arrived_at is not None and at > seen.arrived_at + plan.ahead_us:
        counts.too_early += 1
        return EARLY
    if known is not None and abs(at - known) <= plan.repeat_us:
        counts.repeats += 1
        return REPEAT
    counts.events += 1
    return NEW


class WindowMemory:
    """All entities' events, in memory: a pure state machine."""

    def __init__(self, plan: WindowPlan) -> None:
        self.plan = plan
        self.counts = WindowCounts()
        self._cells: list[dict[Any, Cell]] = [{} for _ in plan.groups]
        self._ids: dict[str, int] = {}  # event id -> time, in the order of arrival
        self._labels: dict[str, tuple[int, int]] = {}  # event id -> time, label
        self._newest = array("q", (_LONG_AGO,))  # of all events; compiled code writes it, too
        self._next_sweep = _SWEEP_EVERY

    def see(self, events: Sequence[Seen]) -> None:
        """Remember events, in order, and write the window features into their records."""
        intake = self.plan.intake
        if intake is None:
            self._see(events)
        else:
            intake.see(events, self._cells, self._ids, self.counts, self._newest, self._forget_idle)
        if self.counts.events >= self._next_sweep:
            self._sweep()

    def _see(self, events: Sequence[Seen]) -> None:
        """What the intake does, in Python."""
        plan, counts = self.plan, self.counts
        groups = [
            (group, group.key, cells) for group, cells in zip(plan.groups, self._cells, strict=True)
        ]
        for seen in events:
            at = time_of(plan, seen)
            if at is None:
                continue
            record, place = seen.record, self._place(seen, at)
            for group, key_of, cells in groups:
                key = key_of(record)
                if key is None:
                    continue
                cell = cells.get(key) or self._cell(group, cells, key, place)
                told = cell.step(record, seen.label, at, place)
                if told:
                    counts.took(told)

    def _place(self, seen: Seen, at: int) -> Place:
        name = id_of(self.plan, seen.record)
        known = None if name is None else self._ids.get(name)
        place = place_of(self.plan, seen, at, known, self.counts)
        if place == NEW:
            if name is not None:
                self._ids[name] = at
            self._newest[0] = max(self._newest[0], at)
        return place

    def _cell(self, group: Group, cells: dict[Any, Cell], key: Any, place: Place) -> Cell:
        """A new entity's memory; only what is remembered makes it stay."""
        cell = group.cells.new()
        if place == NEW:
            if len(cells) >= self.plan.history.max_entities:
                self._forget_idle(cells)
            cells[key] = cell
        return cell

    def learn(self, labels: Sequence[Told]) -> int:
        """Take labels in; how many changed something that can still matter."""
        intake = self.plan.intake
        if intake is None:
            return sum(map(self._learn, labels))
        taken: int = intake.learn(labels, self._cells, self._labels, self.counts)
        return taken

    def _learn(self, told: Told) -> bool:
        at = told.record.get(self.plan.time)
        known = self._labels.get(told.event_id)
        if at is None or (known is not None and known[1] == told.label):
            return False
        taken = False
        for group, cells in zip(self.plan.groups, self._cells, strict=True):
            cell = cells.get(group.key(told.record))
            if cell is not None:
                was = None if known is None else known[1]
                taken |= cell.learn(told.record, int(at), was, told.label)
        self.counts.labels += taken
        self.counts.labels_too_late += not taken
        self._labels[told.event_id] = (int(at), told.label)
        return taken

    def forget(self, field: str, names: Collection[str]) -> int:
        """Forget the subjects that ``field`` names; of how many entities something was held.

        What was added up in a bucket of another entity stays: it tells no value of one event.
        """
        n = 0
        for group, cells in zip(self.plan.groups, self._cells, strict=True):
            if group.by == (field,):  # many entities: they are not gone through
                theirs: list[Any] = [k for name in names for k in forms_of(name) if k in cells]
            else:
                theirs = [k for k in cells if is_of(group, k, field, names)]
            for key in theirs:
                del cells[key]
            n += len(theirs)
            if group.counts_distinct(field):
                n += sum(bool(forget_distinct(group, c, field, names)) for c in cells.values())
        return n

    def count(self) -> WindowCounts:
        """The counts so far."""
        self.counts.entities = sum(map(len, self._cells))
        return self.counts

    def _sweep(self) -> None:
        """Drop what can't matter any more to an event that is not too late."""
        plan, newest = self.plan, self._newest[0]
        self._next_sweep = self.counts.events + _SWEEP_EVERY
        horizon = newest - plan.repeat_us - plan.late_us
        self._ids = {name: at for name, at in self._ids.items() if at > horizon}
        horizon = newest - plan.keep_us - plan.late_us
        self._labels = {name: said for name, said in self._labels.items() if said[0] > horizon}
        for i, cells in enumerate(self._cells):
            self._cells[i] = {key: cell for key, cell in cells.items() if cell.newest > horizon}

    def _forget_idle(self, cells: dict[Any, Cell]) -> None:
        """Make room: a sixteenth of the entities, the longest idle first."""
        n = max(1, len(cells) // 16)
        for key in sorted(cells, key=lambda key: cells[key].newest)[:n]:
            del cells[key]
        self.counts.entities_forgotten += n

    # --- to bytes and back ------------------------------------------------------------------

    def dump(self) -> Iterator[list[Any]]:
        """The whole state as rows of plain values: one head, then one an entity."""
        head = [
            "baluarte-windows/1",
            self.plan.digest,
            msgspec.to_builtins(self.count()),
            self._newest[0],
            self.counts.events,
            list(self._ids.items()),
            [[name, *said] for name, said in self._labels.items()],
        ]
        yield head
        for i, cells in enumerate(self._cells):
            for key, cell in cells.items():
                yield [i, key, cell.dump()]

    @classmethod
    def load(cls, plan: WindowPlan, rows: Iterator[Sequence[Any]]) -> WindowMemory:
        """The state from :meth:`dump`.

        Raises:
            ValueError: it is none, or one of another plan.
        """
        memory = cls(plan)
        head = list(islice(rows, 1))
        if not head or head[0][:2] != ["baluarte-windows/1", plan.digest]:
            raise ValueError("no state of these window features")
        _, _, counts, newest, _, ids, labels = head[0]
        memory.counts = msgspec.convert(counts, WindowCounts)
        memory._newest[0] = newest
        memory._next_sweep = memory.counts.events + _SWEEP_EVERY
        memory._ids = dict(ids)
        memory._labels = {name: (at, label) for name, at, label in labels}
        for i, key, cell in rows:
            name = tuple(key) if isinstance(key, list) else key
            memory._cells[i][name] = plan.groups[i].cells.load(cell)
        return memory
