"""Features with one value only."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import as_text
from baluarte.core.telling import missing_in


class Constant:
    """Notes each feature that has the same value, or none, in every event that says anything."""

    name: ClassVar[str] = "constant"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, in the contract's order; nothing with fewer than two events."""
        if events.n < 2:
            return []
        events = _saying(contract, events)
        found = []
        for field in contract.events.features:
            if field.name not in events.columns:
                continue
            column = events.columns[field.name]
            first = as_text(column[:1], field.type)[0]
            if first is None:
                same = all(text is None for text in as_text(column, field.type))
            else:
                same = bool((column == column[0]).all())
            if same:
                values: dict[str, str | int | float] = {
                    "field": field.name, "value": first if first is not None else "–",
                }  # fmt: skip
                found.append(
                    Finding(
                        check=self.name,
                        level="note",
                        field=field.name,
                        values=values,
                        fix=field.name,
                        evidence=(share_figure("same", events.n, events.n),),
                    )
                )
        return found


def _saying(contract: Contract, events: Events) -> Events:
    """The events that have a value in any feature; all where none has."""
    says = np.zeros(events.n, dtype=bool)
    for field in contract.events.features:
        if field.name in events.columns and not says.all():
            says |= ~missing_in(events.columns[field.name])
    return events if says.all() or says.sum() < 2 else events.take(says)
