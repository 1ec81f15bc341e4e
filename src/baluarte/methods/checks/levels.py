"""Features whose level is each entity's own: pooled, they say who, not what."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import count_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Figure, Finding, Picture
from baluarte.core.survey import survey_of

BETWEEN = 0.5  #: share of the ranks' variance that lies between entities
OFTEN = 0.25  #: of the numeric features, that is warned of
MOST = 1_000  #: entities
FEWEST_ROWS = 50  #: an entity
MAX_SHOWN = 8


class Levels:
    """Warns if entities explain half the ranks' variance of a quarter of the features, else notes.

    One finding for all of them: the cure is a scale of its own for each entity, before pooling, or
    a split by entity, so that knowing who is no help in the proof; then it is noted.
    """

    name: ClassVar[str] = "levels"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one; none without an entity of at most a thousand values."""
        seen = survey_of(contract, events)
        entity = contract.events.by_role("entity")
        if entity is None or seen.whole.facts.entities is None or not events.n:
            return []
        keys, group = np.unique(seen.whole.facts.entities[seen.kept], return_inverse=True)
        if not 1 < len(keys) <= MOST or events.n < FEWEST_ROWS * len(keys):
            return []
        numeric = [
            f.name
            for f in contract.events.features
            if f.type in ("number", "integer") and f.name in events.columns
        ]
        shares = {name: _between(events.columns[name], group) for name in numeric}
        high = sorted((n for n in numeric if shares[n] >= BETWEEN), key=lambda n: -shares[n])
        if not high:
            return []
        shown = tuple(high[:MAX_SHOWN])
        values: dict[str, str | int | float] = {
            "field": entity.name, "n": len(high), "of": len(numeric),
            "examples": ", ".join(shown[:4]) + (" …" if len(high) > 4 else ""),
        }  # fmt: skip
        split = seen.whole.split
        apart = split is not None and split.evidence.how == "entity"
        picture = Picture(
            name="between", labels=shown, values=tuple(shares[name] for name in shown)
        )
        return [
            Finding(
                check=self.name,
                level="warn" if len(high) >= OFTEN * len(numeric) and not apart else "note",
                field=entity.name,
                values=values,
                fix=None if apart else "split",
                evidence=(
                    Figure(name="between_entities", value=shares[high[0]], n=events.n),
                    count_figure("levelled", len(high), len(numeric)),
                ),
                picture=picture,
            )
        ]


def _between(column: NDArray[np.float64], group: NDArray[np.int64]) -> float:
    """The share of the variance of the ranks that lies between the groups (eta squared)."""
    known = ~np.isnan(column)
    _, level, counts = np.unique(column[known], return_inverse=True, return_counts=True)
    if len(counts) < 3:
        return 0.0
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[level]
    centred = ranks - ranks.mean()
    n = np.bincount(group[known])
    sums = np.bincount(group[known], weights=centred)
    return float((sums[n > 0] ** 2 / n[n > 0]).sum() / (centred**2).sum())
