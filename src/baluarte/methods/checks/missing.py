"""Features that are mostly empty."""

from __future__ import annotations

from typing import ClassVar

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.telling import missing_in

MOSTLY = 0.5
SOME = 0.05


class Missing:
    """Warns over half, notes over one in twenty; an empty feature is the constant check's."""

    name: ClassVar[str] = "missing"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, the emptiest first."""
        shares = {}
        for field in contract.events.features:
            if field.name in events.columns and events.n:
                shares[field.name] = float(missing_in(events.columns[field.name]).mean())
        return [
            Finding(
                check=self.name,
                level="warn" if share > MOSTLY else "note",
                field=name,
                values={"field": name, "share": share},
                fix=name if share > MOSTLY else None,
                evidence=(share_figure("missing", round(share * events.n), events.n),),
            )
            for name, share in sorted(shares.items(), key=lambda entry: -entry[1])
            if SOME < share < 1
        ]
