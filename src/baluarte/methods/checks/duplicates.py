"""Events that repeat an earlier one in everything but id and time."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.split import Part, repeats_rule
from baluarte.core.survey import Whole, survey_of

MANY = 0.1
MANY_ACROSS = 0.01


class Duplicates:
    """Warns if more than a tenth of the events repeat another, notes any.

    Where the split is by time, equal events may stand on both sides of it: the copies among the
    held-out rows are counted, and warned of from one in a hundred. Where not all rows are kept,
    there are at least as many: a copy counts where its original is kept, too.
    """

    name: ClassVar[str] = "duplicates"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one about all events, and one about copies across the split."""
        whole = survey_of(contract, events).whole
        n = whole.groups.n_repeats()
        if n == 0:
            return []
        share = n / whole.n
        values: dict[str, str | int | float] = {"n": n, "share": share}
        found = [
            Finding(
                check="duplicates.all",
                level="warn" if share > MANY else "note",
                values=values,
                fix=None if repeats_rule(contract) == "once" else "repeats:once",
                evidence=(share_figure("copies", n, whole.n),),
            )
        ]
        return sorted([*found, *_across(whole)], key=lambda finding: finding.level == "note")


def _across(whole: Whole) -> list[Finding]:
    if whole.split is None:
        return []
    fit, proof = (whole.split.rows(part) for part in (Part.FIT, Part.PROOF))
    n = int(np.isin(whole.repeats[proof], whole.repeats[fit]).sum())
    if n == 0:
        return []
    share = n / len(proof)
    return [
        Finding(
            check="duplicates.across",
            level="warn" if share > MANY_ACROSS else "note",
            values={"n": n, "share": share},
            fix="repeats:apart",
            evidence=(share_figure("copies", n, len(proof)),),
        )
    ]
