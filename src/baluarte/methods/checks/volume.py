"""Whether there are events at all, and enough for bounds that say something."""

from __future__ import annotations

from typing import ClassVar

from baluarte.core.chance import count_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.survey import survey_of

FEW = 2_000


class Volume:
    """Blocks without events; warns below 2,000."""

    name: ClassVar[str] = "volume"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one."""
        n = survey_of(contract, events).whole.n
        if n == 0:
            figure = count_figure("events", 0, 0)
            return [Finding(check="volume.none", level="block", evidence=(figure,))]
        if n < FEW:
            figures = (count_figure("events", n, n), count_figure("events_wanted", FEW, n))
            values: dict[str, str | int | float] = {"n": n}
            return [Finding(check="volume.few", level="warn", values=values, evidence=figures)]
        return []
