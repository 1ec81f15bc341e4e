"""Values that stand for a missing one: question marks, "unknown", -999, 99999."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Finding

WORDS = frozenset({
    "?", "??", "???", "-", "--", ".", "n/a", "#n/a", "na", "n.a.", "nan", "null", "(null)", "none",
    "nil", "unknown", "undefined", "missing", "not available", "not applicable", "desconocido",
    "sin dato", "s/d",
})  # fmt: skip
BELOW = (-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0)  #: where all others are 0 or more
ABOVE = (9999.0, 99999.0, 999999.0, 9999999.0)  #: where it is far beyond all others
FAR = 2.0
FEWEST_VALUES = 20  #: different values from which one alone outside stands out
MANY = 0.2


class Placeholders:
    """Notes each, and warns where over a fifth of the events have it."""

    name: ClassVar[str] = "placeholders"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, the most frequent first."""
        found = []
        for field in contract.events.features:
            if field.name not in events.columns or not events.n:
                continue
            column = events.columns[field.name]
            if field.type in ("category", "text"):
                shown, n = _word(column)
            elif field.type in ("number", "integer"):
                shown, n = _number(column)
            else:
                continue
            if n == 0:
                continue
            values: dict[str, str | int | float] = {
                "field": field.name, "value": shown, "n": n, "share": n / events.n,
            }  # fmt: skip
            finding = Finding(
                check=self.name,
                level="warn" if n > MANY * events.n else "note",
                field=field.name,
                values=values,
                evidence=(share_figure("placeholder", n, events.n),),
            )
            found.append((n, finding))
        return [finding for _, finding in sorted(found, key=lambda entry: -entry[0])]


def _word(column: Column) -> tuple[str, int]:
    counts: dict[str, int] = {}
    for value in column.tolist():
        if value is not None and value.strip().lower() in WORDS:
            counts[value] = counts.get(value, 0) + 1
    if not counts:
        return "", 0
    return max(counts, key=lambda value: counts[value]), sum(counts.values())


def _number(column: Column) -> tuple[str, int]:
    distinct, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    if len(distinct) < FEWEST_VALUES:
        return "", 0
    if distinct[0] in BELOW and distinct[1] >= 0 and counts[0] > 1:
        return f"{distinct[0]:.0f}", int(counts[0])
    if distinct[-1] in ABOVE and distinct[-1] > FAR * distinct[-2] and counts[-1] > 1:
        return f"{distinct[-1]:.0f}", int(counts[-1])
    return "", 0
