"""Events without a label: never used, and never counted as harmless."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding, Level
from baluarte.core.labels import UNKNOWN
from baluarte.core.survey import survey_of

MANY = 0.5


class Unlabelled:
    """Blocks if no event has a label, warns over half, notes any."""

    name: ClassVar[str] = "unlabelled"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one; none without labels in the contract."""
        labels = survey_of(contract, events).whole.labels
        if contract.label is None or not len(labels):
            return []
        n = int(np.count_nonzero(labels == UNKNOWN))
        if n == 0:
            return []
        share = n / len(labels)
        values: dict[str, str | int | float] = {"n": n, "share": share}
        figure = share_figure("unlabelled", n, len(labels))
        level: Level = "block" if n == len(labels) else "warn" if share > MANY else "note"
        return [Finding(check=self.name, level=level, values=values, evidence=(figure,))]
