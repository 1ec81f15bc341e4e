"""Events that are equal in every feature and differ in the label: the limit of any detector."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import ATTACK, NOT
from baluarte.core.survey import survey_of

MANY = 0.01


class Contradictions:
    """Warns over one event in a hundred, notes any."""

    name: ClassVar[str] = "contradictions"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one; it counts the events of every group of equals that has both labels."""
        whole = survey_of(contract, events).whole
        if not whole.counts[0] or not whole.counts[1]:
            return []
        groups = whole.groups
        _, group = np.unique(groups.features, return_inverse=True)
        hits = np.bincount(group, weights=groups.counts * (groups.labels == ATTACK))
        rest = np.bincount(group, weights=groups.counts * (groups.labels == NOT))
        n = groups.estimate(int((hits + rest)[(hits > 0) & (rest > 0)].sum()))
        if n == 0:
            return []
        return [
            Finding(
                check=self.name,
                level="warn" if n > MANY * whole.n else "note",
                values={"n": n},
                evidence=(share_figure("contradictory", n, whole.n),),
            )
        ]
