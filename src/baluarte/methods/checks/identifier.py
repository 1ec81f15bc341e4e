"""Features that are different in nearly every event: names of events, not properties."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.telling import missing_in

NEARLY_ALL = 0.99
FEWEST = 200  #: events from which being different means something


class Identifier:
    """Warns of categories and whole numbers that are different in 99 % of events or more.

    A number with fractions may well be different in all events, and a text says something by its
    form; neither is looked at.
    """

    name: ClassVar[str] = "identifier"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, in the contract's order."""
        found = []
        for field in contract.events.features:
            if field.type not in ("category", "integer") or field.name not in events.columns:
                continue
            column = events.columns[field.name]
            known = column[~missing_in(column)]
            if len(known) < FEWEST:
                continue
            distinct = len(set(known.tolist()) if known.dtype == object else np.unique(known))
            share = distinct / len(known)
            if share >= NEARLY_ALL:
                found.append(
                    Finding(
                        check=self.name,
                        level="warn",
                        field=field.name,
                        values={"field": field.name, "share": share},
                        fix=field.name,
                    )
                )
        return found
