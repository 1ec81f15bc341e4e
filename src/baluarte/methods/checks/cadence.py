"""Series that are sampled at even steps, but not everywhere: instants twice, other steps."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Figure, Finding
from baluarte.core.survey import survey_of

EVEN = 0.8  #: share of an entity's steps that are its usual one
MOST_SERIES = 0.5  #: share of the rows in series that are even
FEWEST = 200
_SECOND_US = 1e6


class Cadence:
    """Notes repeated instants and uneven steps, where most rows are of evenly sampled series."""

    name: ClassVar[str] = "cadence"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one of each; none without an entity and a time."""
        facts = survey_of(contract, events).whole.head
        entity = contract.events.by_role("entity")
        if facts.times is None or facts.entities is None or entity is None:
            return []
        known = np.flatnonzero(~np.isnan(facts.times) & ~facts.nobody)
        rows = known[np.lexsort((facts.times[known], facts.entities[known]))]
        same = facts.entities[rows[1:]] == facts.entities[rows[:-1]]
        steps = (facts.times[rows[1:]] - facts.times[rows[:-1]])[same]
        series = facts.entities[rows[1:]][same]
        if len(steps) < FEWEST:
            return []
        usual, even = _usual_steps(series, steps)
        if even.mean() < MOST_SERIES:
            return []
        repeats = int((steps == 0).sum())
        found = []
        if 0 < repeats < len(steps) / 10:
            figure = share_figure("twice", repeats, len(steps))
            found.append(_note("cadence.repeats", entity.name, (figure,), n=repeats))
        common = _most_common(usual[even])
        others = int((usual[even] != common).sum())
        odd = int((steps[even] != usual[even]).sum()) - int((steps[even] == 0).sum())
        if others or odd > 0:
            odd, step = max(odd, 0), common / _SECOND_US
            figures = (
                share_figure("other_steps", others, len(steps)),
                share_figure("uneven", odd, len(steps)),
            )
            told = _note("cadence.uneven", entity.name, figures, step=step, n=others, odd=odd)
            found.append(told)
        return found


def _note(check: str, field: str, figures: tuple[Figure, ...], **values: float) -> Finding:
    told: dict[str, str | int | float] = {"field": field, **values}
    return Finding(check=check, level="note", field=field, values=told, evidence=figures)


def _usual_steps(
    series: NDArray[np.uint64], steps: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(steps,) the usual step of each one's series, and whether that series is even."""
    usual, even = np.empty(len(steps)), np.zeros(len(steps), dtype=bool)
    starts = np.flatnonzero(np.r_[True, series[1:] != series[:-1]])
    for start, stop in zip(starts, np.r_[starts[1:], len(series)], strict=True):
        of_one = steps[start:stop]
        most = _most_common(of_one)
        usual[start:stop] = most
        even[start:stop] = bool(len(of_one) >= 20 and (of_one == most).mean() >= EVEN)
    return usual, even


def _most_common(values: NDArray[np.float64]) -> float:
    distinct, counts = np.unique(values, return_counts=True)
    return float(distinct[np.argmax(counts)]) if len(distinct) else 0.0
