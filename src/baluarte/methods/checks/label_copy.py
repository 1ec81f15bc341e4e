"""Features that repeat the label, or come so near that they may be written after the fact."""

from __future__ import annotations

from typing import ClassVar

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.core.labels import attacks
from baluarte.core.telling import auc_alone, filled

COPY = 0.9995
NEAR = 0.99
MISSING_SAYS_IT = 0.5  #: the check of missing values speaks from this difference on


class LabelCopy:
    """Blocks at a ROC-AUC of .9995 and more from the field alone, warns from .99."""

    name: ClassVar[str] = "label_copy"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, the most telling first."""
        labels = attacks(contract, events)
        found = []
        for field in contract.events.features:
            if field.name not in events.columns:
                continue
            column = events.columns[field.name]
            auc = auc_alone(column, labels)
            if auc is None or auc < NEAR:
                continue
            shares = filled(column, labels)
            if shares is not None and abs(shares.attacks - shares.rest) >= MISSING_SAYS_IT:
                continue
            is_copy = auc >= COPY
            finding = Finding(
                check="label_copy.copy" if is_copy else "label_copy.near",
                level="block" if is_copy else "warn",
                field=field.name,
                values={"field": field.name, "auc": round(auc, 4)},
                fix=field.name,
            )
            found.append((auc, finding))
        return [finding for _, finding in sorted(found, key=lambda entry: -entry[0])]
