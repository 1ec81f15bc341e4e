"""Features that are filled in for attacks and empty for the rest, or the other way round.

Such a field is mostly written after the fact: a chargeback's date, an analyst's note. A value that
stands for a missing one, such as -1 or "unknown", is compared in the same way.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import ALPHA, by_chance, chance_figure, share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding, Level, Picture
from baluarte.core.labels import attacks
from baluarte.core.telling import missing_in
from baluarte.methods.checks.placeholders import stand_ins

BLOCKS = 0.9
WARNS = 0.5
NOTES = 0.1
FEWEST = 20  #: labelled events of a class


class MissingTells:
    """Blocks where the shares differ by .9 or more, warns from .5, notes from .1.

    Only where chance alone shows as much in any of the features at most once in a hundred times.
    Values that stand for a missing one are a question of their own: two systems that write a
    missing value each in its own way are told apart by it.
    """

    name: ClassVar[str] = "missing_tells"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one of each kind a feature, the most telling first."""
        labels = attacks(contract, events)
        if min((labels == 1).sum(), (labels == 0).sum()) < FEWEST:
            return []
        fields = [f for f in contract.events.features if f.name in events.columns]
        empty = [(f.name, None, ~missing_in(events.columns[f.name])) for f in fields]
        stood = [(f.name, stand_ins(events.columns[f.name], f.type)) for f in fields]
        written = [(name, value, mask) for name, told in stood if told for value, mask in [told]]
        questions = [*empty, *written]
        asked = (_compared(*question, labels, len(questions)) for question in questions)
        found = [entry for entry in asked if entry is not None]
        return [finding for _, finding in sorted(found, key=lambda entry: -entry[0])]


def _compared(
    name: str,
    value: str | None,
    there: NDArray[np.bool_],
    labels: NDArray[np.int8],
    questions: int,
) -> tuple[float, Finding] | None:
    """How far the shares of attacks and of the rest differ that are ``there``, and the finding.

    Args:
        value: what is there instead of a missing value; None where any value is.
    """
    hits, rest = labels == 1, labels == 0
    n_hits, n_rest = int(hits.sum()), int(rest.sum())
    in_hits, in_rest = int(there[hits].sum()), int(there[rest].sum())
    shares = (in_hits / n_hits, in_rest / n_rest)
    difference = abs(shares[0] - shares[1])
    if difference < NOTES:
        return None
    table = (in_hits, in_hits + in_rest, n_hits, n_hits + n_rest)
    chance = by_chance(*(np.array([count]) for count in table))
    if chance * questions > ALPHA:
        return None
    of = "filled" if value is None else "written"
    values: dict[str, str | int | float] = {
        "field": name, f"{of}_attacks": shares[0], f"{of}_rest": shares[1],
    }  # fmt: skip
    if value is not None:
        values["value"] = value
    return difference, Finding(
        check="missing_tells" if value is None else "missing_tells.written",
        level=_level(difference),
        field=name,
        values=values,
        fix=name,
        evidence=(
            share_figure(f"{of}_attacks", in_hits, n_hits),
            share_figure(f"{of}_rest", in_rest, n_rest),
            chance_figure(chance, questions),
        ),
        picture=Picture(name=of, labels=("attacks", "rest"), values=shares),
    )


def _level(difference: float) -> Level:
    return "block" if difference >= BLOCKS else "warn" if difference >= WARNS else "note"
