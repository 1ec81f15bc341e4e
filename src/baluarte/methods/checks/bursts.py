"""Attacks that come in runs of one entity: a split that tears such a run apart tests on its rest.

A stolen card stays stolen for days, a failing engine fails to its end. Looked at are the declared
entity and every category that names so many things that it may be one.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import ALPHA, by_chance, chance_figure, share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding, Picture
from baluarte.core.row_keys import Keys, row_keys
from baluarte.core.schema import Field
from baluarte.core.survey import Survey, survey_of, time_order
from baluarte.core.telling import missing_in

NAMES_THINGS = 200  #: values from which a category may name entities
FEWEST = 20  #: attacks that have an event of the same entity before them
LIFT = 3.0  #: how much more often an attack follows an attack
_NEVER = 0.9  #: of the events that aren't attacks after an attack


class Bursts:
    """Notes runs that the split keeps together or cuts by time; warns of those that it would tear.

    An attack must follow an attack of the same entity at least three times as often as it comes at
    all, or an event that is none must follow an attack in under one case in ten.
    """

    name: ClassVar[str] = "bursts"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a field, the worst first; none without labels."""
        seen = survey_of(contract, events)
        names = _entities(contract, events)
        order = time_order(contract, events)
        rows = np.arange(events.n) if order is None else order
        labels = seen.whole.labels[seen.kept]
        found = []
        for name in names:
            known = rows[~missing_in(events.columns[name])[rows]]
            before, after = _pairs(row_keys(events, [name]), labels, known)
            finding = self._finding(contract, seen, name, before, after, len(names))
            if finding is not None:
                found.append(finding)
        return sorted(found, key=lambda finding: finding.level == "note")

    def _finding(  # noqa: PLR0917 - the parts of one finding
        self,
        contract: Contract,
        seen: Survey,
        name: str,
        before: NDArray[np.int8],
        after: NDArray[np.int8],
        tests: int,
    ) -> Finding | None:
        marked = before == 1
        hits, n, all_hits = (
            int((after[marked] == 1).sum()),
            int(marked.sum()),
            int((after == 1).sum()),
        )
        if n < FEWEST or all_hits < FEWEST or all_hits == len(after):
            return None
        share, base = hits / n, all_hits / len(after)
        if share < LIFT * base and (1 - share) > (1 - _NEVER) * (1 - base):
            return None
        counts = (np.array([count]) for count in (hits, n, all_hits, len(after)))
        chance = by_chance(*counts)
        if chance * tests > ALPHA:
            return None
        how = seen.whole.split.evidence.how if seen.whole.split is not None else None
        entity = contract.events.by_role("entity")
        is_entity = entity is not None and entity.name == name
        kept = how == "time" or (how == "entity" and is_entity)
        return Finding(
            check="bursts.kept" if kept else "bursts.torn",
            level="note" if kept else "warn",
            field=name,
            values={"field": name, "share": share, "base": base},
            fix=None if kept else _cure(name, entity),
            evidence=(
                share_figure("after_an_attack", hits, n),
                share_figure("base", all_hits, len(after)),
                chance_figure(chance, tests),
            ),
            picture=Picture(name="attacks", labels=("after_attack", "any"), values=(share, base)),
        )


def _cure(name: str, entity: Field | None) -> str | None:
    if entity is None:
        return f"entity:{name}"
    return "split" if entity.name == name else None


def _entities(contract: Contract, events: Events) -> list[str]:
    """The declared entity, and categories of many values that come again and again."""
    names = []
    for field in contract.events.fields:
        if field.name not in events.columns or not events.n:
            continue
        if field.role == "entity":
            names.append(field.name)
        elif field.is_feature and field.type in ("category", "ip"):
            known = [value for value in events.columns[field.name].tolist() if value is not None]
            if NAMES_THINGS <= len(set(known)) <= len(known) / 2:
                names.append(field.name)
    return names


def _pairs(
    keys: Keys, labels: NDArray[np.int8], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """The labels of events and of the same entity's next ones, where both are known."""
    rows = rows[labels[rows] >= 0]
    rows = rows[np.argsort(keys[rows], kind="stable")]
    same = keys[rows[1:]] == keys[rows[:-1]]
    return labels[rows[:-1][same]], labels[rows[1:][same]]
