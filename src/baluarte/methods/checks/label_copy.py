"""Features that repeat the label, or come so near that they may be written after the fact."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import auc_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Finding, Picture
from baluarte.core.labels import as_text, attacks
from baluarte.core.noisy_copy import noisy_copy
from baluarte.core.schema import FieldType
from baluarte.core.telling import filled, told_alone

COPY = 0.9995
NEAR = 0.99
NEAR_OF_FEW = 0.93  #: where the column has few values, as a verdict has
FEW = 10  #: values
MISSING_SAYS_IT = 0.5  #: the check of missing values speaks from this difference on


class LabelCopy:
    """Blocks at a ROC-AUC of .9995 and more from the field alone, warns from .99.

    A column of at most ten values is warned of from .93: honest measurements that tell as much take
    many values, a copy of the label with a few errors takes as few as the label. Of more values it
    is warned where they are of two kinds, and the errors come anywhere alike
    (:mod:`baluarte.core.noisy_copy`).
    """

    name: ClassVar[str] = "label_copy"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, the most telling first."""
        labels = attacks(contract, events)
        found = []
        for field in contract.events.features:
            if field.name not in events.columns:
                continue
            column = events.columns[field.name]
            told = told_alone(column, labels)
            if told is None:
                continue
            picture = _shares(column, labels, field.type)
            noisy = None
            if told.auc < NEAR and (picture is None or told.auc < NEAR_OF_FEW):
                noisy = None if picture is not None else noisy_copy(column, labels)
                if noisy is None:
                    continue
            shown = told if noisy is None else noisy
            shares = filled(column, labels)
            if shares is not None and abs(shares.attacks - shares.rest) >= MISSING_SAYS_IT:
                continue
            if told.auc >= COPY:
                check = "label_copy.copy"
            else:
                check = "label_copy.near" if told.auc >= NEAR else "label_copy.noisy"
                check = check if noisy is None else "label_copy.scattered"
            finding = Finding(
                check=check,
                level="block" if check == "label_copy.copy" else "warn",
                field=field.name,
                values={"field": field.name, "auc": round(shown.auc, 4)},
                fix=field.name,
                evidence=(auc_figure(shown.auc, shown.n_attacks, shown.n_rest),),
                picture=picture,
            )
            found.append((shown.auc, finding))
        ranked = sorted(found, key=lambda entry: (entry[1].level != "block", -entry[0]))
        return [finding for _, finding in ranked]


def _shares(column: Column, labels: NDArray[np.int8], kind: FieldType) -> Picture | None:
    """The share of attacks at each value, None where the values are more than a few."""
    known = labels >= 0
    texts = np.array([text if text is not None else "–" for text in as_text(column, kind)])
    distinct, group = np.unique(texts[known], return_inverse=True)
    if len(distinct) > FEW:
        return None
    hits = np.bincount(group, weights=labels[known] == 1) / np.bincount(group)
    return Picture(
        name="attacks",
        labels=tuple(str(value)[:40] for value in distinct),
        values=tuple(float(share) for share in hits),
    )
