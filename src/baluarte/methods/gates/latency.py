"""Scoring one event takes at most the promised time at the 99th percentile, by an exact bound."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.bounds import fewest_negatives, smallest_rank
from baluarte.core.contract import Contract, Gate
from baluarte.core.evidence import Figure, GateResult
from baluarte.core.judging import limit_of, verdict
from baluarte.core.proof_rows import ProofRows

SLOWEST_SHARE = 0.01  #: of events that may take longer than the promise


class Latency:
    """``max`` is the p99 in milliseconds; without it the objective's ``max_latency_ms``.

    The bound is an order statistic of the measured times: it is above the true 99th percentile with
    the look's confidence, whatever the distribution of the times.

    Source: Conover, Practical Nonparametric Statistics, section 3.2 (bounds on quantiles).
    """

    name: ClassVar[str] = "latency"

    def judge(
        self, gate: Gate, contract: Contract, rows: ProofRows, *, alpha: float
    ) -> list[GateResult]:
        """One result: times belong to no segment."""
        limit = self._limit(gate, contract)
        times = np.sort(rows.latency_ms)
        least = fewest_negatives(SLOWEST_SHARE, 1 - alpha)
        bound = None
        if len(times) >= least:
            rank = smallest_rank(len(times), max_fpr=SLOWEST_SHARE, confidence=1 - alpha)
            bound = float(times[rank - 1])
        figure = Figure(
            name="latency_p99_ms",
            value=float(np.quantile(times, 1 - SLOWEST_SHARE)) if len(times) else 0.0,
            high=bound,
            confidence=1 - alpha,
            method="order statistic, distribution-free",
            n=len(times),
        )
        passes = bound is not None and bound <= limit
        return [
            GateResult(
                gate=self.name,
                verdict=verdict(passes=passes, missing_rows=least - len(times)),
                limit=limit,
                figure=figure,
                bound=bound,
                needed=max(least - len(times), 0),
            )
        ]

    def needed(
        self,
        gate: Gate,
        contract: Contract,
        *,
        alpha: float,  # noqa: ARG002 - the port's; times are no rows
    ) -> tuple[int, int]:
        """None: the times are measured for the proof, as many as the bound takes."""
        self._limit(gate, contract)
        return 0, 0

    def _limit(self, gate: Gate, contract: Contract) -> float:
        return limit_of(gate.max, contract.objective.max_latency_ms, gate=gate, key="max")
