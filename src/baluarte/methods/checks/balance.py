"""How rare attacks are: one class only, very few, or more than there will be."""

from __future__ import annotations

from typing import ClassVar

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.survey import survey_of

RARE = 0.002
MAJORITY = 0.5


class Balance:
    """Blocks where one class is absent; warns under 0.2 %, notes over half."""

    name: ClassVar[str] = "balance"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one; none without labels in the contract."""
        if contract.label is None:
            return []
        negatives, positives, _ = survey_of(contract, events).whole.counts
        n = positives + negatives
        if n == 0:
            return []
        share, figure = positives / n, share_figure("attacks", positives, n)
        if positives == 0 or negatives == 0:
            what = "negatives" if positives == 0 else "positives"
            said: dict[str, str | int | float] = {"what": what}
            return [
                Finding(check="balance.one_class", level="block", values=said, evidence=(figure,))
            ]
        if share < RARE:
            values: dict[str, str | int | float] = {
                "positives": positives, "n": n, "share": share,
            }  # fmt: skip
            return [Finding(check="balance.rare", level="warn", values=values, evidence=(figure,))]
        if share > MAJORITY:
            told: dict[str, str | int | float] = {"share": share}
            return [
                Finding(check="balance.majority", level="note", values=told, evidence=(figure,))
            ]
        return []
