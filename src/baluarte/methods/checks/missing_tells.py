"""Features that are filled in for attacks and empty for the rest, or the other way round.

Such a field is mostly written after the fact: a chargeback's date, an analyst's note.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.chance import ALPHA, by_chance, chance_figure, share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding, Picture
from baluarte.core.labels import attacks
from baluarte.core.telling import missing_in

BLOCKS = 0.9
WARNS = 0.5
NOTES = 0.1
FEWEST = 20  #: labelled events of a class


class MissingTells:
    """Blocks where the shares differ by .9 or more, warns from .5, notes from .1.

    Only where chance alone shows as much in any of the features at most once in a hundred times.
    """

    name: ClassVar[str] = "missing_tells"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, the most telling first."""
        labels = attacks(contract, events)
        hits, rest = labels == 1, labels == 0
        n_hits, n_rest = int(hits.sum()), int(rest.sum())
        if min(n_hits, n_rest) < FEWEST:
            return []
        names = [f.name for f in contract.events.features if f.name in events.columns]
        found = []
        for name in names:
            there = ~missing_in(events.columns[name])
            in_hits, in_rest = int(there[hits].sum()), int(there[rest].sum())
            difference = abs(in_hits / n_hits - in_rest / n_rest)
            if difference < NOTES:
                continue
            table = (in_hits, in_hits + in_rest, n_hits, n_hits + n_rest)
            chance = by_chance(*(np.array([count]) for count in table))
            if chance * len(names) > ALPHA:
                continue
            finding = Finding(
                check=self.name,
                level="block"
                if difference >= BLOCKS
                else "warn"
                if difference >= WARNS
                else "note",
                field=name,
                values={
                    "field": name,
                    "filled_attacks": in_hits / n_hits,
                    "filled_rest": in_rest / n_rest,
                },
                fix=name,
                evidence=(
                    share_figure("filled_attacks", in_hits, n_hits),
                    share_figure("filled_rest", in_rest, n_rest),
                    chance_figure(chance, len(names)),
                ),
                picture=Picture(
                    name="filled",
                    labels=("attacks", "rest"),
                    values=(in_hits / n_hits, in_rest / n_rest),
                ),
            )
            found.append((difference, finding))
        return [finding for _, finding in sorted(found, key=lambda entry: -entry[0])]
