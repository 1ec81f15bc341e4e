"""Entities: on both sides of the split by time, without any attack, or with fewer rows than others.

What is learnt of an entity is tested on it where it stands on both sides.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Figure, Finding, Picture
from baluarte.core.split import Part
from baluarte.core.survey import Survey, Whole, survey_of

MOST = 1_000  #: entities up to which each is looked at by itself
LONG = 100  #: rows an entity from which one without attacks is odd
NEARLY = 0.01  #: how near the median's length the others are
SHORT = 0.05  #: how far from it one is short
MAX_SHOWN = 12


class Entities:
    """Notes each of the three. A split by entity has none on two sides; by time it may have many.

    Entities are looked at one by one where there are at most a thousand, of a hundred rows or more.
    """

    name: ClassVar[str] = "entities"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one of each; none without an entity."""
        entity = contract.events.by_role("entity")
        seen = survey_of(contract, events)
        if entity is None or seen.whole.facts.entities is None or not seen.whole.n:
            return []
        found = []
        split = seen.whole.split
        if (
            split is not None
            and split.evidence.how == "time"
            and split.evidence.entities_on_two_sides
        ):
            n = split.evidence.entities_on_two_sides
            fit = seen.whole.facts.entities[split.rows(Part.FIT)]
            figure = share_figure("on_two_sides", n, max(len(np.unique(fit)), n))
            finding = _note("entities.two_sides", entity.name, figure, n=n)
            found.append(msgspec.structs.replace(finding, fix="split"))
        keys, group = np.unique(seen.whole.facts.entities, return_inverse=True)
        if 1 < len(keys) <= MOST and len(group) >= LONG * len(keys):
            found += self._quiet(seen.whole, entity.name, group)
            found += self._short(seen, entity.name, keys, group)
        return found

    def _quiet(self, whole: Whole, field: str, group: NDArray[np.int64]) -> list[Finding]:
        hits = np.bincount(group, weights=whole.labels == 1)
        known = np.bincount(group, weights=whole.labels >= 0)
        quiet = (hits == 0) & (known >= LONG)
        if not quiet.any() or quiet.all() or not hits.any():
            return []
        n = int(quiet.sum())
        figure = share_figure("quiet", n, len(quiet))
        return [_note("entities.quiet", field, figure, n=n, of=len(quiet))]

    def _short(
        self, seen: Survey, field: str, keys: NDArray[np.uint64], group: NDArray[np.int64]
    ) -> list[Finding]:
        rows = np.bincount(group)
        usual = float(np.median(rows))
        alike = np.abs(rows - usual) <= NEARLY * usual
        short = rows < (1 - SHORT) * usual
        if alike.mean() <= 0.5 or not short.any():
            return []
        facts = seen.whole.facts
        assert facts.entities is not None  # noqa: S101 - asked for only where there are entities
        names = dict(
            zip(facts.entities[seen.kept].tolist(), seen.columns[field].tolist(), strict=True)
        )
        times = seen.whole.n / len(group)  # of the rows kept
        least = np.argsort(rows, kind="stable")[:MAX_SHOWN]
        named = [str(names.get(int(keys[at]), "–")) for at in least]
        picture = Picture(
            name="rows", labels=tuple(named), values=tuple(float(rows[at] * times) for at in least)
        )
        values: dict[str, str | int | float] = {
            "field": field, "n": int(short.sum()), "of": len(rows), "usual": round(usual * times),
            "example": named[0], "rows": round(rows[least[0]] * times),
        }  # fmt: skip
        return [
            Finding(
                check="entities.short",
                level="note",
                field=field,
                values=values,
                evidence=(share_figure("short", int(short.sum()), len(rows)),),
                picture=picture,
            )
        ]


def _note(check: str, field: str, figure: Figure, **values: int) -> Finding:
    told: dict[str, str | int | float] = {"field": field, **values}
    return Finding(check=check, level="note", field=field, values=told, evidence=(figure,))
