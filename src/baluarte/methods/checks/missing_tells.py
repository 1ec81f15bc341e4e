"""Features that are filled in for attacks and empty for the rest, or the other way round.

Such a field is mostly written after the fact: a chargeback's date, an analyst's note.
"""

from __future__ import annotations

from typing import ClassVar

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import attacks
from baluarte.core.telling import filled

BLOCKS = 0.9
WARNS = 0.5


class MissingTells:
    """Blocks where the shares differ by .9 or more, warns from .5."""

    name: ClassVar[str] = "missing_tells"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, the most telling first."""
        labels = attacks(contract, events)
        found = []
        for field in contract.events.features:
            if field.name not in events.columns:
                continue
            shares = filled(events.columns[field.name], labels)
            if shares is None or abs(shares.attacks - shares.rest) < WARNS:
                continue
            difference = abs(shares.attacks - shares.rest)
            finding = Finding(
                check=self.name,
                level="block" if difference >= BLOCKS else "warn",
                field=field.name,
                values={
                    "field": field.name,
                    "filled_attacks": shares.attacks,
                    "filled_rest": shares.rest,
                },
                fix=field.name,
            )
            found.append((difference, finding))
        return [finding for _, finding in sorted(found, key=lambda entry: -entry[0])]
