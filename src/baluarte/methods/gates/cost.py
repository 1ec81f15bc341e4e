"""The mean cost of an event is at most the promise, by an upper bound that fits any costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.contract import Contract, Gate
from baluarte.core.cost_bound import events_needed, mean_high, most_of, spent
from baluarte.core.evidence import Figure, GateResult
from baluarte.core.judging import budgets, by_segment, verdict
from baluarte.core.proof_rows import ProofRows
from baluarte.errors import ContractError


class Cost:
    """``max`` is the mean cost of an event, decided by the lowest threshold.

    Without it each band with a budget ``max_cost`` is judged as if alerts began there. A missed
    attack and a false alarm cost what the objective says; the proof rows must have the share of
    attacks that the detector will see.
    """

    name: ClassVar[str] = "cost"

    def judge(
        self, gate: Gate, contract: Contract, rows: ProofRows, *, alpha: float
    ) -> list[GateResult]:
        """One result a band and segment; see :class:`baluarte.ports.GatePlugin`."""
        most, limits = most_of(contract), list(_limits(gate, contract))
        segments = by_segment(gate, dict(rows.segments), len(rows.labels))
        share = alpha / (len(limits) * len(segments))
        wrong = spent(rows.labels, rows.cost_missed, rows.cost_false_alarm, most=most)
        results = []
        for band, name, limit in limits:
            cost = np.where((rows.bands >= band) == (rows.labels == 0), wrong, 0.0)
            for segment, inside in segments:
                place = [part for part in (name if len(limits) > 1 else None, segment) if part]
                results.append(
                    _judged(cost[inside], limit, most, share, segment="/".join(place) or None)
                )
        return results

    def needed(self, gate: Gate, contract: Contract, *, alpha: float) -> tuple[int, int]:
        """Events for power .8 at the planned truth, told as negatives, which nearly all are.

        Raises:
            ContractError: neither the gate nor a band says which cost is asked for.
        """
        most, limits = most_of(contract), list(_limits(gate, contract))
        each = [events_needed(v, most=most, alpha=alpha / len(limits)) for _, _, v in limits]
        return 0, max(each)


def _judged(
    cost: NDArray[np.float64], limit: float, most: float, alpha: float, *, segment: str | None
) -> GateResult:
    n = len(cost)
    bound = mean_high(cost, most=most, alpha=alpha)
    missing = max(events_needed(limit, most=most, alpha=alpha) - n, 1 if n == 0 else 0)
    return GateResult(
        gate=Cost.name,
        verdict=verdict(passes=n > 0 and bound <= limit, missing_rows=missing),
        limit=limit,
        figure=Figure(
            name="mean_cost",
            value=float(cost.mean()) if n else 0.0,
            high=bound,
            confidence=1 - alpha,
            method="empirical Bernstein, one-sided",
            n=n,
        ),
        bound=bound,
        segment=segment,
        needed=max(missing, 0),
    )


def _limits(gate: Gate, contract: Contract) -> Iterator[tuple[int, str, float]]:
    """Band index, its name and the limit of the mean cost."""
    if gate.max is not None:
        yield 1, contract.bands[1].name, gate.max
        return
    found = False
    for index, name, budget in budgets(contract):
        if budget.kind == "max_cost":
            found = True
            yield index, name, budget.value
    if not found:
        raise ContractError(
            "gate cost has nothing to judge: expected max in the gate, or a budget max_cost",
            where="gates.cost",
            hint="Write max into the gate, or remove it.",
        )
