"""Events that say nothing: no feature has a value."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.telling import missing_in

MANY = 0.01


class EmptyRows:
    """Notes any, warns over one in a hundred; where all are empty the volume of data is none."""

    name: ClassVar[str] = "empty_rows"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one."""
        columns = [
            events.columns[f.name] for f in contract.events.features if f.name in events.columns
        ]
        if not columns or not events.n:
            return []
        empty = np.ones(events.n, dtype=bool)
        for column in columns:
            empty &= missing_in(column)
        n = int(empty.sum())
        if n == 0:
            return []
        figure = share_figure("empty", n, events.n)
        return [
            Finding(
                check=self.name,
                level="warn" if n > MANY * events.n else "note",
                values={"n": n},
                evidence=(figure,),
            )
        ]
