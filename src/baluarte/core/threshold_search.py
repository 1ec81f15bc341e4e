"""What a search for a threshold is given, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.bands import ALWAYS
from baluarte.core.contract import Budget, Contract
from baluarte.core.evidence import Figure
from baluarte.errors import ContractError, DataError

EVERYTHING = ALWAYS - 1  #: a threshold that every score is above


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRows:
    """Rows that a threshold or a table may be chosen on, scored by the sealed program.

    Costs are of one event each, in the contract's unit, and only needed under ``max_cost``.
    """

    scores: NDArray[np.int64]  #: (n,)
    labels: NDArray[np.int8] | None  #: (n,) 1 attack, 0 not; None where there are no labels
    cost_missed: NDArray[np.float64] | None = None  #: (n,) cost if the event is an attack, let pass
    cost_false_alarm: NDArray[np.float64] | None = None  #: (n,) cost if it is none, flagged

    @property
    def negatives(self) -> NDArray[np.int64]:
        """Scores of the rows that are no attack; without labels, of all rows."""
        return self.scores if self.labels is None else self.scores[self.labels == 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofSize:
    """What the proof rows will hold: the threshold is planned to pass its gate there."""

    negatives: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One band's search for a threshold."""

    contract: Contract
    band: str
    budget: Budget
    confidence: float  #: of this band alone
    rows: ScoredRows
    grid: NDArray[np.int64]  #: calibration scores, sorted: candidates for the tested budgets
    proof: ProofSize
    alpha_gate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Thresholds that keep the budget, ascending, or all from the lowest up where ``rising``."""

    certified: NDArray[np.int64]
    rising: bool  #: any higher threshold keeps the budget too
    figures: tuple[Figure, ...]


def figure_name(search: Search, what: str) -> str:
    """The name of a figure in the evidence of a band's threshold."""
    return f"{search.band}.threshold.{what}"


def labelled(search: Search) -> NDArray[np.int8]:
    """The labels of the threshold rows.

    Raises:
        ContractError: there are none.
    """
    if search.rows.labels is None:
        raise ContractError(
            f"{search.budget.kind} needs labelled rows; found none",
            where="objective",
            hint="Without labels use max_fpr or max_alerts_per_day.",
        )
    return search.rows.labels


def tail_candidates(grid: NDArray[np.int64], *, least: float, size: int) -> NDArray[np.int64]:
    """Distinct candidates from the strictest down; the shares of rows above grow geometrically.

    Args:
        grid: (n,) sorted scores.
        least: share of rows above the strictest candidate, in [0, 1]; at least one row is.
    """
    if len(grid) == 0:
        raise DataError("expected calibration rows to take candidate thresholds from, found none")
    shares = np.geomspace(max(least, 1 / len(grid)), 1, size)
    ranks = np.clip(np.ceil((1 - shares) * len(grid)).astype(np.int64) - 1, 0, len(grid) - 1)
    return np.unique(grid[ranks])[::-1]
