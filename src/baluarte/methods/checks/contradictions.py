"""Events that are equal in every feature and differ in the label: the limit of any detector."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import ATTACK, NOT, attacks
from baluarte.core.row_keys import row_keys

MANY = 0.01


class Contradictions:
    """Warns over one event in a hundred, notes any."""

    name: ClassVar[str] = "contradictions"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one; it counts the events of every group of equals that has both labels."""
        labels = attacks(contract, events)
        if not (labels == ATTACK).any() or not (labels == NOT).any():
            return []
        keys = row_keys(events, [field.name for field in contract.events.features])
        _, group = np.unique(keys, return_inverse=True)
        hits = np.bincount(group, weights=labels == ATTACK)
        rest = np.bincount(group, weights=labels == NOT)
        n = int((hits + rest)[(hits > 0) & (rest > 0)].sum())
        if n == 0:
            return []
        many = n > MANY * events.n
        return [Finding(check=self.name, level="warn" if many else "note", values={"n": n})]
