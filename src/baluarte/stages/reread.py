"""Reread: an event as one version read it, as another version reads it.

What both read alike is taken as it is, a field of another type is converted, and what the other one
did not keep, or computed by another rule, is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from baluarte.core.contract import Contract
from baluarte.core.event import Values
from baluarte.core.event_value import Convert, ValueRefusedError, converter
from baluarte.core.schema import Field

GapKind = Literal["lacks", "window", "type", "unreadable", "unknown"]
Gaps = Counter[tuple[str, GapKind]]  #: by field: of how many events


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a version reads the events of another: which fields it can't take as they are."""

    kinds: Mapping[str, GapKind] = field(default_factory=dict)
    convert: Mapping[str, Convert] = field(default_factory=dict)  #: of another type

    def read(self, event: Values, gaps: Gaps) -> Values:
        """The values as the version reads them; the event itself where nothing differs."""
        if not self.kinds:
            return event
        values = dict(event)
        for name, kind in self.kinds.items():
            value = values.pop(name, None)
            if kind != "type":
                gaps[name, kind] += 1
            elif value is not None:
                try:
                    values[name] = self.convert[name](value)
                    gaps[name, kind] += 1
                except ValueRefusedError:
                    gaps[name, "unreadable"] += 1
        return values


def reading_of(asked: Contract, decided: Contract) -> Reading:
    """How one contract's version reads events that another's has read."""
    features = asked.events.features
    found = {field.name: _gap_of(field, asked, decided) for field in features}
    kinds: dict[str, GapKind] = {name: kind for name, kind in found.items() if kind is not None}
    convert = {f.name: converter(f) for f in features if kinds.get(f.name) == "type"}
    return Reading(kinds=kinds, convert=convert)


def reading_of_unknown(asked: Contract, there: Iterable[str]) -> Reading:
    """The same where nobody knows any more how the event was read: what is there is taken."""
    present = set(there)
    lost = [field.name for field in asked.events.features if field.name not in present]
    return Reading(kinds=dict.fromkeys(lost, "unknown"))


def _gap_of(wanted: Field, asked: Contract, decided: Contract) -> GapKind | None:
    """Why a field can't be taken from records as it is; None where it can."""
    if wanted.name not in decided.events:
        return "lacks"
    kept = decided.events[wanted.name]
    if kept.role == "ignored":
        return "lacks"
    if "derived" in (wanted.role, kept.role):
        rules = [
            ([w for w in c.windows if w.name == wanted.name], c.history) for c in (asked, decided)
        ]
        return None if rules[0] == rules[1] else "window"
    return None if kept.type == wanted.type else "type"
