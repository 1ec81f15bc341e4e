"""The share of attacks that are flagged is at least the promise, by its exact lower bound."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from baluarte.core.contract import Contract, Gate
from baluarte.core.evidence import GateResult
from baluarte.core.judging import by_segment, judge_rate, limit_of, rate_needed
from baluarte.core.proof_rows import ProofRows


class Recall:
    """``min`` is the recall asked for; without it the objective's ``min_recall``.

    An attack counts as caught in any band above the lowest. With ``by`` every segment must pass,
    and the look's error probability is shared equally by the segments, so that their bounds hold
    together.
    """

    name: ClassVar[str] = "recall"

    def judge(
        self, gate: Gate, contract: Contract, rows: ProofRows, *, alpha: float
    ) -> list[GateResult]:
        """One result, or one a segment; see :class:`baluarte.ports.GatePlugin`."""
        limit = self._limit(gate, contract)
        caught, attacks = rows.bands > 0, rows.labels == 1
        segments = by_segment(gate, dict(rows.segments), len(rows.labels))
        return [
            judge_rate(
                self.name,
                figure="recall",
                hits=int(np.count_nonzero(caught & attacks & inside)),
                n=int(np.count_nonzero(attacks & inside)),
                limit=limit,
                alpha=alpha / len(segments),
                segment=segment,
            )
            for segment, inside in segments
        ]

    def needed(self, gate: Gate, contract: Contract, *, alpha: float) -> tuple[int, int]:
        """Positives for power .8 at the planned truth; in each segment with ``by``."""
        return rate_needed(self._limit(gate, contract), alpha=alpha), 0

    def _limit(self, gate: Gate, contract: Contract) -> float:
        return limit_of(gate.min, contract.objective.min_recall, gate=gate, key="min")
