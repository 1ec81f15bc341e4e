"""Events that repeat an earlier one in everything but id and time."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.row_keys import row_keys

MANY = 0.1


class Duplicates:
    """Warns if more than a tenth of the events repeat another, notes any."""

    name: ClassVar[str] = "duplicates"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one."""
        names = [f.name for f in contract.events.fields if f.role not in ("id", "time", "ignored")]
        keys = row_keys(events, names)
        n = events.n - len(np.unique(keys))
        if n == 0:
            return []
        share = n / events.n
        values: dict[str, str | int | float] = {"n": n, "share": share}
        return [Finding(check=self.name, level="warn" if share > MANY else "note", values=values)]
