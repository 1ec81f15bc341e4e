"""Features that are different in nearly every event: names of events, not properties.

An identifier that ranks the attacks was given after the fact, or the attacks come from a source of
their own; that is looked at for the field that is declared as the event's id, too.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import ALPHA, auc_by_chance, auc_figure, share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Figure, Finding, Level
from baluarte.core.labels import attacks
from baluarte.core.schema import Field
from baluarte.core.survey import time_order
from baluarte.core.telling import Told, missing_in, told_alone

NEARLY_ALL = 0.99
FEWEST = 200  #: events from which being different means something
TELLS = 0.6  #: ROC-AUC of its order, its length or how it begins
SAYS_IT = 0.95
_ASKED = 3  #: questions an identifier


class Identifier:
    """Warns of categories and whole numbers that are different in 99 % of events or more.

    A number with fractions may well be different in all events, and a text says something by its
    form; neither is looked at. Where the order of an identifier, its length or its first characters
    rank attacks over the rest with ROC-AUC .95 or more, it blocks if it is a feature; from .6 on it
    is warned of, or noted if it is the id.
    """

    name: ClassVar[str] = "identifier"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most two a field, the worst first."""
        labels = attacks(contract, events)
        order = time_order(contract, events)
        fields = [f for f in contract.events.fields if _looked_at(f) and f.name in events.columns]
        found = []
        for field in fields:
            column = events.columns[field.name]
            known = ~missing_in(column)
            if known.sum() < FEWEST:
                continue
            values = column[known]
            distinct = len(set(values.tolist()) if values.dtype == object else np.unique(values))
            share = distinct / len(values)
            if share < NEARLY_ALL:
                continue
            if field.is_feature:
                told: dict[str, str | int | float] = {"field": field.name, "share": share}
                figure = share_figure("different_values", distinct, len(values))
                found.append(_finding("identifier.unique", "warn", field, told, (figure,)))
            best = _best(column, labels)
            if best is None or best.auc < TELLS or _follows(column, order):
                continue
            if auc_by_chance(best.auc, best.n_attacks, best.n_rest) * _ASKED * len(fields) > ALPHA:
                continue
            found.append(_tells(field, best))
        return sorted(found, key=lambda finding: ("block", "warn", "note").index(finding.level))


def _tells(field: Field, best: Told) -> Finding:
    level: Level = "block" if best.auc >= SAYS_IT else "warn"
    values: dict[str, str | int | float] = {"field": field.name, "auc": round(best.auc, 4)}
    figure = auc_figure(best.auc, best.n_attacks, best.n_rest)
    return _finding(
        "identifier.tells", level if field.is_feature else "note", field, values, (figure,)
    )


def _finding(
    check: str,
    level: Level,
    field: Field,
    values: dict[str, str | int | float],
    evidence: tuple[Figure, ...] = (),
) -> Finding:
    return Finding(
        check=check,
        level=level,
        field=field.name,
        values=values,
        fix=field.name if field.is_feature else None,
        evidence=evidence,
    )


def _looked_at(field: Field) -> bool:
    return field.role == "id" or (field.is_feature and field.type in ("category", "integer"))


def _best(column: Column, labels: NDArray[np.int8]) -> Told | None:
    """What tells most: the identifier's order, its length, or its first characters."""
    if column.dtype != object:
        return told_alone(column, labels)
    texts = ["" if value is None else value for value in column.tolist()]
    _, rank = np.unique(np.array(texts), return_inverse=True)
    lengths = np.array([len(text) for text in texts], dtype=np.float64)
    begins = np.array([text[:3] for text in texts], dtype=object)
    told = [told_alone(c, labels) for c in (rank.astype(np.float64), lengths, begins)]
    return max((t for t in told if t is not None), key=lambda t: t.auc, default=None)


def _follows(column: Column, order: NDArray[np.int64] | None) -> bool:
    """Whether a number does nothing but rise with time; the check of clocks says that."""
    if order is None or column.dtype == object:
        return False
    return bool((np.diff(column[order]) >= 0).mean() > NEARLY_ALL)
