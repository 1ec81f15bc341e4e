"""Features that only say when: they rise with time, and tomorrow they are out of range."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Figure, Finding
from baluarte.core.survey import survey_of, time_order
from baluarte.core.telling import missing_in

RISES = 0.98  #: rank correlation with time of what never goes back
ALWAYS = 0.999  #: share of an entity's steps that go the same way
FEWEST = 200


class Clock:
    """Warns of numbers that never fall as time goes on, or never rise, but for one step in 1,000.

    Also of numbers that rise (or fall) from nearly every event of an entity to its next one, by
    time or, without times, by the order of the file: they say how old the entity is.
    """

    name: ClassVar[str] = "clock"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, in the contract's order."""
        order = time_order(contract, events)
        time = contract.events.by_role("time")
        steps = _steps(contract, events, order)
        found = []
        for field in contract.events.features:
            if field.type not in ("number", "integer") or field.name not in events.columns:
                continue
            column = events.columns[field.name]
            if order is not None and time is not None:
                times = np.asarray(events.columns[time.name], dtype=np.float64)
                correlation = abs(_rank_correlation(times, column))
                if correlation >= RISES and _never_back(column[order]):
                    found.append(
                        _finding("clock.time", field.name, "rank_correlation", correlation)
                    )
                    continue
            share = _one_way(column, steps)
            if share >= ALWAYS:
                found.append(_finding("clock.entity", field.name, "one_way", share))
        return found


def _finding(check: str, field: str, figure: str, value: float) -> Finding:
    return Finding(
        check=check,
        level="warn",
        field=field,
        values={"field": field},
        fix=field,
        evidence=(Figure(name=figure, value=value),),
    )


def _steps(
    contract: Contract, events: Events, order: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Rows and the same entity's next rows; None without an entity or with few such steps."""
    entity = contract.events.by_role("entity")
    if entity is None or entity.name not in events.columns:
        return None
    facts = survey_of(contract, events)
    keys = facts.whole.facts.entities
    if keys is None:
        return None
    keys = keys[facts.kept]
    known = np.flatnonzero(~missing_in(events.columns[entity.name]))
    rows = (np.arange(events.n) if order is None else order)[:]
    rows = rows[np.isin(rows, known)]
    rows = rows[np.argsort(keys[rows], kind="stable")]
    same = keys[rows[1:]] == keys[rows[:-1]]
    return (rows[:-1][same], rows[1:][same]) if same.sum() >= FEWEST else None


def _never_back(column: NDArray[np.float64]) -> bool:
    change = np.diff(column)
    change = change[~np.isnan(change)]
    return bool(max((change >= 0).mean(), (change <= 0).mean()) >= ALWAYS)


def _one_way(
    column: NDArray[np.float64], steps: tuple[NDArray[np.int64], NDArray[np.int64]] | None
) -> float:
    """The share of an entity's steps that rise, or that fall, whichever is more."""
    if steps is None:
        return 0.0
    change = column[steps[1]] - column[steps[0]]
    change = change[~np.isnan(change)]
    if len(change) < FEWEST:
        return 0.0
    return float(max((change > 0).mean(), (change < 0).mean()))


def _rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's rank correlation where both are known; 0 where it says nothing.

    Source: Spearman, American Journal of Psychology 15(1), 1904.
    """
    known = ~(np.isnan(a) | np.isnan(b))
    if known.sum() < FEWEST:
        return 0.0
    ranks = [_average_ranks(values[known]) for values in (a, b)]
    x, y = (rank - rank.mean() for rank in ranks)
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / size if size else 0.0


def _average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, level, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[level]
