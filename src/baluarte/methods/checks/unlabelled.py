"""Events without a label: never used, and never counted as harmless."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import UNKNOWN, attacks

MANY = 0.5


class Unlabelled:
    """Blocks if no event has a label, warns over half, notes any."""

    name: ClassVar[str] = "unlabelled"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one; none without labels in the contract."""
        if contract.label is None or events.n == 0:
            return []
        n = int(np.count_nonzero(attacks(contract, events) == UNKNOWN))
        if n == 0:
            return []
        share = n / events.n
        values: dict[str, str | int | float] = {"n": n, "share": share}
        if n == events.n:
            return [Finding(check=self.name, level="block", values=values)]
        return [Finding(check=self.name, level="warn" if share > MANY else "note", values=values)]
