"""Whether the contract's label values are those of the data: a mistyped one names no event."""

from __future__ import annotations

import re
from collections import Counter
from difflib import get_close_matches
from typing import ClassVar

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract, Label
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import as_text

MAX_SHOWN = 5
_NUMBER = re.compile(r"-?\d+", re.ASCII)


class Labels:
    """Blocks if none of the listed values occurs, warns if one doesn't, notes what goes unlisted.

    With two values there is nothing unlisted to note. Where the labels are numbers and the attack
    is the lower one, that is noted.
    """

    name: ClassVar[str] = "labels"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a listed value that never occurs, and what is odd about the others."""
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
                fix=_instead(value, counts, listed),
                evidence=(share_figure("so_labelled", 0, counts.total()),),
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
                Finding(
                    check="labels.unlisted",
                    level="note",
                    field=label.field,
                    values=values,
                    evidence=(share_figure("unlisted", unlisted.total(), counts.total()),),
                )
            )
        return [*found, *_coded(label, counts)]


def _coded(label: Label, counts: Counter[str]) -> list[Finding]:
    """That a lower number means attack, as -1 and 1 are easily taken for the opposite."""
    if len(counts) != 2 or not all(_NUMBER.fullmatch(text) for text in counts):
        return []
    low, high = sorted(counts, key=float)
    low_is_attack = low in label.positive if label.positive else high in label.negative
    if not low_is_attack:
        return []
    values: dict[str, str | int | float] = {"field": label.field, "value": low, "other": high}
    return [
        Finding(
            check="labels.coded",
            level="note",
            field=label.field,
            values=values,
            evidence=(share_figure("so_labelled", counts[low], counts.total()),),
        )
    ]


def _instead(value: str, counts: Counter[str], listed: tuple[str, ...]) -> str | None:
    """The cure where a value of the data is nearly the one that was listed; None without."""
    others = {_bare(text): text for text in counts if text not in listed}
    near = get_close_matches(_bare(value), others, n=1, cutoff=0.8)
    return f"label:{value}={others[near[0]]}" if near and "=" not in value else None


def _bare(text: str) -> str:
    """A label without what is easily mistyped: spaces, case, a full stop."""
    return text.strip().rstrip(".").casefold()


def _shown(counts: Counter[str]) -> str:
    most = [text for text, _ in counts.most_common(MAX_SHOWN)]
    return ", ".join(most) + (" …" if len(counts) > MAX_SHOWN else "")
