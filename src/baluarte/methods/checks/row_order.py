"""Whether the order of the file says which events are attacks: sorted, or joined from two files."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from msgspec import UnsetType

from baluarte.core.chance import ALPHA, auc_by_chance, auc_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding, Picture
from baluarte.core.survey import survey_of, time_order
from baluarte.core.telling import told_alone

NOTES = 0.6
WARNS = 0.75
PIECES = 20
BY_TIME = 0.99  #: of the steps of the file; then its order is that of time


class RowOrder:
    """Warns where the row's place ranks attacks with ROC-AUC .75 or more, notes from .6.

    A file in the order of time is passed over: there the place says no more than the time does. It
    is no more than noted where the contract says by what the split goes: then no row's place
    decides its part, whatever becomes of the file.
    """

    name: ClassVar[str] = "row_order"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one."""
        whole = survey_of(contract, events).whole
        labels = whole.labels
        order = time_order(contract, events)
        if order is not None and events.n > 1 and (np.diff(order) > 0).mean() >= BY_TIME:
            return []
        told = told_alone(np.arange(len(labels), dtype=np.float64), labels)
        if told is None or told.auc < NOTES:
            return []
        if auc_by_chance(told.auc, told.n_attacks, told.n_rest) > ALPHA:
            return []
        rules = contract.split
        pinned = not isinstance(rules, UnsetType) and not isinstance(rules.by, UnsetType)
        how = "stratum" if whole.split is None else whole.split.evidence.how
        pieces = [piece for piece in np.array_split(labels, PIECES) if (piece >= 0).any()]
        picture = Picture(
            name="attacks",
            labels=tuple(f"{at + 1}/{len(pieces)}" for at in range(len(pieces))),
            values=tuple(float((p == 1).sum() / (p >= 0).sum()) for p in pieces),
        )
        return [
            Finding(
                check="row_order.kept" if pinned else self.name,
                level="warn" if told.auc >= WARNS and not pinned else "note",
                values={"auc": round(told.auc, 4)},
                fix=None if pinned else f"split:{how}",
                evidence=(auc_figure(told.auc, told.n_attacks, told.n_rest),),
                picture=picture,
            )
        ]
