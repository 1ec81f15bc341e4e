"""Features that are weights of the sample, not properties of the event."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.chance import count_figure
from baluarte.core.column_names import plain, tokens
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Figure, Finding

NAMES = frozenset({"fnlwgt", "wgt", "pweight", "iweight", "fweight"})
OF_THE_SAMPLE = frozenset({"sample", "sampling", "survey", "final", "case", "class", "importance"})


class Weights:
    """Warns of numbers named as sampling weights."""

    name: ClassVar[str] = "weights"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, in the contract's order."""
        return [
            Finding(
                check=self.name,
                level="warn",
                field=field.name,
                values={"field": field.name},
                fix=field.name,
                evidence=_figures(events.columns[field.name]),
            )
            for field in contract.events.features
            if field.name in events.columns
            and field.type in ("number", "integer")
            and _is_weight(field.name)
        ]


def _figures(column: Column) -> tuple[Figure, ...]:
    """How many weights there are, and the middle one: few events weigh 1 where they are weights."""
    known = column[~np.isnan(column)]
    n = len(known)
    return (
        count_figure("different", len(np.unique(known)), n),
        *((Figure(name="median", value=float(np.median(known)), n=n),) if n else ()),
    )


def _is_weight(name: str) -> bool:
    words = tokens(name)
    return bool({plain(name), *words} & NAMES) or (
        bool(words & {"weight", "wgt"}) and bool(words & OF_THE_SAMPLE)
    )
