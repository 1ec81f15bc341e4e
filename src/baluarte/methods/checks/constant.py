"""Features with one value only."""

from __future__ import annotations

from typing import ClassVar

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import as_text


class Constant:
    """Notes each feature that has the same value, or none, in every event."""

    name: ClassVar[str] = "constant"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, in the contract's order; nothing with fewer than two events."""
        if events.n < 2:
            return []
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
                    )
                )
        return found
