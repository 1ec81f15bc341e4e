"""What another version would have decided, added up: changes both ways, costs, alerts a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.event import Value, Values

MOST_SEGMENTS = 12  #: values of a field that are told; the others together
_MOST_VALUES = 10_000  #: of a field that are counted apart; later ones together
OTHERS = "…"  #: stands for the rarer values together
_DAY_US = 86_400_000_000


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A field that the version reads and the records don't hold as it reads it.

    Attributes:
        kind: ``lacks``: the version that decided had no such field; ``window``: it computed the
            window feature by another rule; ``type``: it read the field as another type;
            ``unreadable``: a value is none of that type; ``unknown``: the bundle that decided
            can't be opened to look.
        n: events that were decided without it; with ``type``, whose value was converted.
    """

    field: str
    kind: Literal["lacks", "window", "type", "unreadable", "unknown"]
    n: int


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Events that one version alerts on and the other does not, by what is known of them."""

    n: int = 0
    attacks: int = 0
    others: int = 0

    @property
    def unlabelled(self) -> int:
        """Of which nothing is known yet."""
        return self.n - self.attacks - self.others


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One version on the events whose labels are known."""

    caught: int  #: attacks that it alerts on
    missed: int
    false_alarms: int
    cost: float


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One day of the events' own time, UTC."""

    day: int  #: days since 1970
    n: int
    old: int  #: alerts
    new: int


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Events with one value of a field."""

    field: str
    value: Value | None  #: null where it is missing; the text ``…`` for the rarer ones together
    n: int
    old: int  #: alerts
    new: int
    changed: int  #: outcomes that differ
    attacks: int  #: known ones
    caught_old: int
    caught_new: int


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """What the recorded decisions and another version's say of the same events.

    Attributes:
        n: distinct events; a repeat of an event counts once, as it was decided first.
        erased: events whose personal values are gone for good; they count nowhere.
        since, until: of the decisions that were read, microseconds of UTC.
        moves: (recorded outcome, the version's outcome, events), all pairs that occur.
        raised: the version alerts, what was recorded does not; ``lowered`` the other way.
        cost_missed, cost_false_alarm: as the version's contract says: an amount, or a field's name.
        without_cost: labelled events whose cost field has no value; they cost nothing here.
    """

    version: str
    n: int
    repeats: int
    erased: int
    decided_by: dict[str, int]
    since: int
    until: int
    changed: int
    moves: tuple[tuple[str, str, int], ...]
    raised: Changed
    lowered: Changed
    attacks: int
    others: int
    old: Judged
    new: Judged
    cost_missed: float | str
    cost_false_alarm: float | str
    without_cost: int
    days: tuple[Day, ...]
    alerts: tuple[int, int]
    max_alerts_per_day: float | None
    segments: tuple[Part, ...]
    gaps: tuple[Gap, ...]

    @property
    def unlabelled(self) -> int:
        """Events of which no label is known."""
        return self.n - self.attacks - self.others

    def alerts_a_day(self) -> tuple[float, float]:
        """Mean over the days from the first to the last: as recorded, and of the version."""
        if not self.days:
            return 0.0, 0.0
        span = self.days[-1].day - self.days[0].day + 1
        return self.alerts[0] / span, self.alerts[1] / span


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """Some distinct events as they were decided and as the version decides them."""

    events: Sequence[Values]
    at: Sequence[int]  #: the events' times, microseconds of UTC
    outcomes: tuple[Sequence[str], Sequence[str]]
    alerts: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    labels: NDArray[np.int8]  #: 1 attack, 0 not, -1 unknown


@dataclass(slots=True, kw_only=True)
class Sums:
    """Adds batches up; memory grows with days and values, not with events."""

    cost_missed: float | str
    cost_false_alarm: float | str
    fields: Sequence[str]
    n: int = 0
    without_cost: int = 0
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    table: NDArray[np.int64] = field(default_factory=lambda: np.zeros((3, 2, 2), np.int64))
    costs: list[float] = field(default_factory=lambda: [0.0, 0.0])
    days: dict[int, list[int]] = field(default_factory=dict)
    parts: dict[str, dict[Value | None, list[int]]] = field(default_factory=dict)

    def add(self, both: Both) -> None:
        """Count a batch."""
        old, new = both.alerts
        self.n += len(both.events)
        self.moves.update(zip(*both.outcomes, strict=True))
        # (label: unknown, not, attack) × (alert before) × (alert now)
        np.add.at(self.table, (both.labels + 1, old.astype(int), new.astype(int)), 1)
        self._add_costs(both)
        self._add_days(both)
        for name in self.fields:
            self._add_parts(name, both)

    def changed(self, *, raised: bool) -> Changed:
        """Events that only one of the two alerts on."""
        unknown, others, attacks = self.table[:, int(not raised), int(raised)].tolist()
        return Changed(n=unknown + others + attacks, attacks=attacks, others=others)

    def judged(self, *, new: bool) -> Judged:
        """One side on the labelled events."""
        _, others, attacks = self.table.sum(axis=1 if new else 2).tolist()
        return Judged(
            caught=attacks[1],
            missed=attacks[0],
            false_alarms=others[1],
            cost=self.costs[int(new)],
        )

    def of_label(self, label: int) -> int:
        """Events of one label: 1 attack, 0 not, -1 unknown."""
        return int(self.table[label + 1].sum())

    def all_days(self) -> tuple[Day, ...]:
        """In order; a day without events is not there."""
        return tuple(
            Day(day=day, n=n, old=old, new=new) for day, (n, old, new) in sorted(self.days.items())
        )

    def all_parts(self) -> tuple[Part, ...]:
        """The values that changed most of each field, then the others together."""
        out: list[Part] = []
        for name, values in self.parts.items():
            ranked = sorted(
                ((value, sums) for value, sums in values.items() if value != OTHERS),
                key=lambda item: (-item[1][3], -item[1][0], str(item[0])),
            )
            kept = ranked[:MOST_SEGMENTS]
            rest = [sums for _, sums in ranked[MOST_SEGMENTS:]]
            rest += [values[OTHERS]] if OTHERS in values else []
            if rest:
                kept.append((OTHERS, [sum(column) for column in zip(*rest, strict=True)]))
            out += [_part(name, value, sums) for value, sums in kept]
        return tuple(out)

    def _add_costs(self, both: Both) -> None:
        for side, alerts in enumerate(both.alerts):
            for label, wrong, cost in (
                (1, ~alerts, self.cost_missed),
                (0, alerts, self.cost_false_alarm),
            ):
                rows = np.flatnonzero((both.labels == label) & wrong)
                if isinstance(cost, str):
                    found = [both.events[row].get(cost) for row in rows.tolist()]
                    self.costs[side] += sum(v for v in found if isinstance(v, int | float))
                else:
                    self.costs[side] += cost * len(rows)
        for label, cost in ((1, self.cost_missed), (0, self.cost_false_alarm)):
            if isinstance(cost, str):
                self.without_cost += sum(
                    not isinstance(both.events[row].get(cost), int | float)
                    for row in np.flatnonzero(both.labels == label).tolist()
                )

    def _add_days(self, both: Both) -> None:
        days = np.asarray(both.at, dtype=np.int64) // _DAY_US
        for day in np.unique(days).tolist():
            mine = days == day
            sums = self.days.setdefault(day, [0, 0, 0])
            sums[0] += int(mine.sum())
            for side, alerts in enumerate(both.alerts, 1):
                sums[side] += int(alerts[mine].sum())

    def _add_parts(self, name: str, both: Both) -> None:
        values = self.parts.setdefault(name, {})
        moved = [a != b for a, b in zip(*both.outcomes, strict=True)]
        sides = (side.tolist() for side in both.alerts)
        for event, old, new, changed, label in zip(
            both.events, *sides, moved, both.labels.tolist(), strict=True
        ):
            value = event.get(name)
            if value not in values and len(values) >= _MOST_VALUES:
                value = OTHERS
            sums = values.setdefault(value, [0] * 7)
            attack = label == 1
            for i, one in enumerate(
                (True, old, new, changed, attack, attack and old, attack and new)
            ):
                sums[i] += one


def _part(name: str, value: Value | None, sums: Sequence[int]) -> Part:
    n, old, new, changed, attacks, caught_old, caught_new = sums
    return Part(
        field=name,
        value=value,
        n=n,
        old=old,
        new=new,
        changed=changed,
        attacks=attacks,
        caught_old=caught_old,
        caught_new=caught_new,
    )
