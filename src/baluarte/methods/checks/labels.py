"""Whether the contract's label values are those of the data: a mistyped one names no event."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import as_text

MAX_SHOWN = 5


class Labels:
    """Blocks if none of the listed values occurs, warns if one doesn't, notes what goes unlisted.

    With two values there is nothing unlisted to note.
    """

    name: ClassVar[str] = "labels"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a listed value that never occurs, and one about values that are not listed."""
        label = contract.label
        if label is None or label.field not in events.columns:
            return []
        texts = as_text(events.columns[label.field], contract.events[label.field].type)
        counts = Counter(text for text in texts if text is not None)
        if not counts:
            return []
        listed = label.positive or label.negative
        absent = [value for value in listed if value not in counts]
        found = [
            Finding(
                check="labels.absent",
                level="block" if len(absent) == len(listed) else "warn",
                field=label.field,
                values={"field": label.field, "value": value, "found": _shown(counts)},
            )
            for value in absent
        ]
        unlisted = Counter({text: n for text, n in counts.items() if text not in listed})
        if len(counts) > 2 and unlisted:
            values: dict[str, str | int | float] = {
                "field": label.field,
                "n": len(counts),
                "what": "not_attack" if label.positive else "attack",
                "found": _shown(unlisted),
            }
            found.append(
                Finding(check="labels.unlisted", level="note", field=label.field, values=values)
            )
        return found


def _shown(counts: Counter[str]) -> str:
    most = [text for text, _ in counts.most_common(MAX_SHOWN)]
    return ", ".join(most) + (" …" if len(counts) > MAX_SHOWN else "")
