"""Events are flagged no more often than the budget, by the exact upper bound of the rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from baluarte.core.contract import Contract, Gate
from baluarte.core.evidence import GateResult
from baluarte.core.judging import budgets, by_segment, judge_rate, rate_needed
from baluarte.core.proof_rows import ProofRows
from baluarte.errors import ContractError


class FalseAlarms:
    """``max`` is the tolerated share of non-attacks above the lowest band.

    Without it each band's own budget is judged: ``max_fpr`` on the rows that are no attack,
    ``max_alerts_per_day`` on all rows, as a share of the events of a day. With several bands, or
    with ``by``, all must pass, and the look's error probability is shared equally by them.
    """

    name: ClassVar[str] = "false_alarms"

    def judge(
        self, gate: Gate, contract: Contract, rows: ProofRows, *, alpha: float
    ) -> list[GateResult]:
        """One result a band and segment; see :class:`baluarte.ports.GatePlugin`."""
        limits = list(_limits(gate, contract))
        segments = by_segment(gate, dict(rows.segments), len(rows.labels))
        results = []
        for band, name, limit, of_all in limits:
            counted = np.ones(len(rows.labels), np.bool_) if of_all else rows.labels == 0
            flagged = (rows.bands >= band) & counted
            for segment, inside in segments:
                place = [part for part in (name if len(limits) > 1 else None, segment) if part]
                result = judge_rate(
                    self.name,
                    figure="alert_rate" if of_all else "false_alarm_rate",
                    hits=int(np.count_nonzero(flagged & inside)),
                    n=int(np.count_nonzero(counted & inside)),
                    limit=limit,
                    alpha=alpha / (len(limits) * len(segments)),
                    below=True,
                    segment="/".join(place) or None,
                )
                results.append(result)
        return results

    def needed(self, gate: Gate, contract: Contract, *, alpha: float) -> tuple[int, int]:
        """Negatives (rows, under ``max_alerts_per_day``) for power .8; in each segment with ``by``.

        Raises:
            ContractError: neither the gate nor a band says how many false alarms are tolerated.
        """
        limits = list(_limits(gate, contract))
        share = alpha / len(limits)
        return 0, max(rate_needed(limit, alpha=share, below=True) for _, _, limit, _ in limits)


def _limits(gate: Gate, contract: Contract) -> Iterator[tuple[int, str, float, bool]]:
    """Band index, its name, the limit of its rate, and whether the rate is of all rows."""
    if gate.max is not None:
        yield 1, contract.bands[1].name, gate.max, False
        return
    found = False
    for index, name, budget in budgets(contract):
        per_day = contract.objective.events_per_day
        if budget.kind == "max_fpr":
            found = True
            yield index, name, budget.value, False
        elif budget.kind == "max_alerts_per_day" and per_day:
            found = True
            yield index, name, min(budget.value / per_day, 1.0), True
    if not found:
        raise ContractError(
            "gate false_alarms has nothing to judge: expected max in the gate, or a budget max_fpr "
            "or max_alerts_per_day",
            where="gates.false_alarms",
            hint="Write max into the gate, or remove it.",
        )
