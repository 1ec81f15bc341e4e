"""Events without a label: never used, and never counted as harmless."""

from __future__ import annotations

from typing import ClassVar

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding, Level
from baluarte.core.survey import survey_of

MANY = 0.5


class Unlabelled:
    """Blocks if no event has a label, warns over half, notes any."""

    name: ClassVar[str] = "unlabelled"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one; none without labels in the contract."""
        whole = survey_of(contract, events).whole
        if contract.label is None or not whole.n:
            return []
        n = whole.counts[2]
        if n == 0:
            return []
        share = n / whole.n
        values: dict[str, str | int | float] = {"n": n, "share": share}
        figure = share_figure("unlabelled", n, whole.n)
        level: Level = "block" if n == whole.n else "warn" if share > MANY else "note"
        return [Finding(check=self.name, level=level, values=values, evidence=(figure,))]
