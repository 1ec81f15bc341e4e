"""Rehearse: the gates and figures on the tuning rows, free of any look; and faithfulness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator  # noqa: TID251 - the type of a parameter
from numpy.typing import NDArray

from baluarte.core.bands import Bands
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Figure, GateResult
from baluarte.core.labels import as_text
from baluarte.core.metrics import measure
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.promise_value import costs
from baluarte.core.proof_rows import ProofRows
from baluarte.core.shares import false_alarm_rate
from baluarte.ports import GatePlugin, Matrix

Times = NDArray[np.float64]
TimeEvents = Callable[[Evaluator, Matrix], Times]
"""Measures the milliseconds that scoring one event takes, each row of (n, d) alone: (n,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Figures and gates of some rows."""

    figures: tuple[Figure, ...]
    gates: tuple[GateResult, ...]


def judged_rows(
    contract: Contract,
    bands: Bands,
    events: Events,
    *,
    labels: NDArray[np.int8],
    scores: NDArray[np.int64],
    latency_ms: Times,
) -> ProofRows:
    """Rows as gates see them, with the fields that gates go by and what mistakes cost."""
    missed, false_alarm = costs(contract, events)
    by = {gate.by for gate in contract.gates if gate.by is not None}
    return ProofRows(
        scores=scores,
        labels=labels,
        bands=bands.decide(scores),
        segments={
            name: np.array(as_text(events.columns[name], contract.events[name].type), dtype=object)
            for name in sorted(by)
            if name in events.columns
        },
        latency_ms=latency_ms,
        cost_missed=missed,
        cost_false_alarm=false_alarm,
    )


def judge(
    contract: Contract, gates: Mapping[str, GatePlugin], rows: ProofRows, *, alpha: float
) -> tuple[GateResult, ...]:
    """The answers of all gates of the contract, each at the whole error probability.

    A candidate passes only if all gates pass, and a bad one breaks at least one promise: it gets
    through that promise's gate with probability at most ``alpha``, however many others there are.

    Source: Berger, Technometrics 24(4), 1982, intersection-union tests.
    """
    return tuple(
        result
        for gate in contract.gates
        for result in gates[gate.name].judge(gate, contract, rows, alpha=alpha)
    )


def figures_of(
    contract: Contract, bands: Bands, rows: ProofRows, *, rng: Generator
) -> tuple[Figure, ...]:
    """All figures of labelled rows; none where a class is missing."""
    attacks = int(np.count_nonzero(rows.labels == 1))
    if not 0 < attacks < len(rows.labels):
        return ()
    return tuple(
        measure(
            rows.scores,
            rows.labels,
            rows.bands,
            bands.probability(rows.scores),
            names=bands.names,
            max_fpr=false_alarm_rate(contract),
            confidence=contract.objective.confidence,
            rng=rng,
        )
    )


def faithfulness(
    *, margin: NDArray[np.float64], scores: NDArray[np.int64], scale_bits: int, bands: Bands
) -> tuple[dict[str, float | int | str], NDArray[np.int64]]:
    """The program against the library's own output on the same rows.

    Returns:
        Figures by name, and the numbers of rows that the library would have put in another band.
    """
    own = scores * 2.0**-scale_bits
    difference = np.abs(own - margin)
    cuts = np.array(bands.thresholds, dtype=np.float64) * 2.0**-scale_bits
    changed = np.flatnonzero(cuts.searchsorted(margin, side="left") != bands.decide(scores))
    figures: dict[str, float | int | str] = {
        "rows": len(scores),
        "largest_difference": float(difference.max(initial=0.0)),
        "largest_margin": float(np.abs(margin).max(initial=0.0)),
        "changed_decisions": len(changed),
        "score_unit": 2.0**-scale_bits,
    }
    return figures, changed
