"""Whether there are events at all, and enough for bounds that say something."""

from __future__ import annotations

from typing import ClassVar

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding

FEW = 2_000


class Volume:
    """Blocks without events; warns below 2,000."""

    name: ClassVar[str] = "volume"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:  # noqa: ARG002 - the port's
        """At most one."""
        if events.n == 0:
            return [Finding(check="volume.none", level="block")]
        if events.n < FEW:
            return [Finding(check="volume.few", level="warn", values={"n": events.n})]
        return []
