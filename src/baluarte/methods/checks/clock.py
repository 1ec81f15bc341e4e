"""Features that only say when: they rise with time, and tomorrow they are out of range."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding

RISES = 0.999  #: rank correlation with time
FEWEST = 200


class Clock:
    """Warns of numbers whose rank correlation with the event's time is .999 or more."""

    name: ClassVar[str] = "clock"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, in the contract's order; none without a time."""
        time = contract.events.by_role("time")
        if time is None or time.name not in events.columns:
            return []
        times = np.asarray(events.columns[time.name], dtype=np.float64)
        found = []
        for field in contract.events.features:
            if field.type not in ("number", "integer") or field.name not in events.columns:
                continue
            if abs(_rank_correlation(times, events.columns[field.name])) >= RISES:
                found.append(
                    Finding(
                        check=self.name,
                        level="warn",
                        field=field.name,
                        values={"field": field.name},
                        fix=field.name,
                    )
                )
        return found


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
