"""Features that moved between the earliest and the latest third of the events."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import attacks
from baluarte.core.moved import distance, distance_figure, moved_picture
from baluarte.core.survey import time_order

NOTES = 0.15  #: distance
WARNS = 0.3
TIMES = 2.0  #: as far as the halves of either third are apart
FEWEST = 900


class Drift:
    """Warns of a distance of .3 and more, notes .15; also where the share of attacks moved.

    Rows that follow each other are alike, so a distance counts only if it is twice that
    between the halves of either third. Without a time there is nothing to compare.
    """

    name: ClassVar[str] = "drift"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature and one about the attacks, the worst first."""
        order = time_order(contract, events)
        if order is None or events.n < FEWEST:
            return []
        time = contract.events.by_role("time")
        times = events.columns[time.name] if time is not None else order
        if len(np.unique(times[~np.isnan(times)])) < 3:
            return []
        third = events.n // 3
        early, late = order[:third], order[-third:]
        found = []
        for field in contract.events.features:
            if field.name not in events.columns or field.type == "time":
                continue
            column = events.columns[field.name]
            apart = distance(column[early], column[late])
            if apart < NOTES:
                continue
            halves = (np.array_split(part, 2) for part in (early, late))
            within = max(distance(column[a], column[b]) for a, b in halves)
            if apart < TIMES * within:
                continue
            finding = Finding(
                check="drift.feature",
                level="warn" if apart >= WARNS else "note",
                field=field.name,
                values={"field": field.name, "distance": apart},
                fix=field.name if field.role == "feature" else None,
                evidence=(distance_figure(apart, third, third),),
                picture=moved_picture("early_late", column[early], column[late]),
            )
            found.append((apart, finding))
        ranked = [finding for _, finding in sorted(found, key=lambda entry: -entry[0])]
        return sorted([*ranked, *_share(contract, events, order)], key=lambda f: f.level == "note")


def _share(contract: Contract, events: Events, order: np.ndarray) -> list[Finding]:
    """Whether the share of attacks moved: noted where the exact intervals do not meet."""
    labels = attacks(contract, events)[order]
    thirds = [part[part >= 0] for part in np.array_split(labels, 3)]
    early, late = thirds[0], thirds[-1]
    if not len(early) or not len(late):
        return []
    figures = [
        share_figure(name, int((part == 1).sum()), len(part))
        for name, part in (("early", early), ("late", late))
    ]
    low, high = sorted(figures, key=lambda figure: figure.value)
    if (low.high or 0.0) >= (high.low or 0.0) or high.value < 1.25 * low.value:
        return []
    values: dict[str, str | int | float] = {"early": figures[0].value, "late": figures[1].value}
    return [Finding(check="drift.attacks", level="note", values=values, evidence=tuple(figures))]
