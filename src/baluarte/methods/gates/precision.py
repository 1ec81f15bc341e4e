"""The share of alerts that are attacks is at least the promise, by its exact lower bound."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from baluarte.core.contract import Contract, Gate
from baluarte.core.evidence import GateResult
from baluarte.core.judging import budgets, by_segment, judge_rate, planned_truth, rate_needed
from baluarte.core.proof_rows import ProofRows
from baluarte.errors import ContractError


class Precision:
    """``min`` is the precision asked for above the lowest band.

    Without it each band with a budget ``min_precision`` is judged on the rows in it or above. The
    proof rows must have the share of attacks that the detector will see. Whether the rows are
    enough is told by their attacks: a detector that keeps its promise has no more alerts than
    attacks over precision, and the number of alerts itself would say something about the rows.
    """

    name: ClassVar[str] = "precision"

    def judge(
        self, gate: Gate, contract: Contract, rows: ProofRows, *, alpha: float
    ) -> list[GateResult]:
        """One result a band and segment; see :class:`baluarte.ports.GatePlugin`."""
        limits = list(_limits(gate, contract))
        segments = by_segment(gate, dict(rows.segments), len(rows.labels))
        share = alpha / (len(limits) * len(segments))
        attacks = rows.labels == 1
        results = []
        for band, name, limit in limits:
            flagged = rows.bands >= band
            for segment, inside in segments:
                place = [part for part in (name if len(limits) > 1 else None, segment) if part]
                n_attacks = int(np.count_nonzero(attacks & inside))
                result = judge_rate(
                    self.name,
                    figure="precision",
                    hits=int(np.count_nonzero(flagged & attacks & inside)),
                    n=int(np.count_nonzero(flagged & inside)),
                    limit=limit,
                    alpha=share,
                    segment="/".join(place) or None,
                    missing_rows=_attacks_needed(limit, share) - n_attacks,
                )
                results.append(result)
        return results

    def needed(self, gate: Gate, contract: Contract, *, alpha: float) -> tuple[int, int]:
        """Positives for power .8 at the planned truth; in each segment with ``by``.

        Raises:
            ContractError: neither the gate nor a band says which precision is asked for.
        """
        limits = list(_limits(gate, contract))
        return max(_attacks_needed(limit, alpha / len(limits)) for _, _, limit in limits), 0


def _attacks_needed(limit: float, alpha: float) -> int:
    return math.ceil(rate_needed(limit, alpha=alpha) * planned_truth(limit))


def _limits(gate: Gate, contract: Contract) -> Iterator[tuple[int, str, float]]:
    """Band index, its name and the limit of its precision."""
    if gate.min is not None:
        yield 1, contract.bands[1].name, gate.min
        return
    found = False
    for index, name, budget in budgets(contract):
        if budget.kind == "min_precision":
            found = True
            yield index, name, budget.value
    if not found:
        raise ContractError(
            "gate precision has nothing to judge: expected min in the gate, or a budget "
            "min_precision",
            where="gates.precision",
            hint="Write min into the gate, or remove it.",
        )
