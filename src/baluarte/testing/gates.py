"""What every gate must do, whatever it measures.

    check_gate(MyGate(), gate, contract)

A gate passes on the bound, tells missing rows by the number of rows alone, and never gets more
generous when a look may spend less.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from baluarte.core.contract import Contract, Gate
from baluarte.core.evidence import GateResult
from baluarte.core.proof_rows import ProofRows
from baluarte.ports import GatePlugin
from baluarte.testing.expect import expect

MANY = 20_000  #: rows of each class that are enough for any of the conformance's limits


def proof_rows(
    positives: int,
    negatives: int,
    *,
    missed: int = 0,
    false_alarms: int = 0,
    latency_ms: float = 0.1,
    cost_missed: float = 1.0,
    segment: Callable[[int], str] = lambda row: "ab"[row % 2],
) -> ProofRows:
    """Rows of two bands with stated mistakes; 20,000 measured times; a field ``segment``.

    Args:
        missed: positives below the alert.
        false_alarms: negatives in it.
        segment: of the row with this number.
    """
    n = positives + negatives
    labels = np.zeros(n, dtype=np.int8)
    labels[:positives] = 1
    bands = labels.astype(np.int64)
    bands[:missed] = 0
    bands[positives : positives + false_alarms] = 1
    times = np.full(MANY, latency_ms) if n else np.empty(0)
    return ProofRows(
        scores=bands * 1_000,
        labels=labels,
        bands=bands,
        segments={"segment": np.array([segment(row) for row in range(n)], dtype=np.object_)},
        latency_ms=times,
        cost_missed=np.full(n, cost_missed),
        cost_false_alarm=np.ones(n),
    )


def check_gate(plugin: GatePlugin, gate: Gate, contract: Contract) -> None:
    """Run the whole conformance suite.

    Args:
        gate: with limits that a faultless detector keeps and a hopeless one breaks.

    Raises:
        AssertionError: what the plug-in got wrong.
    """
    perfect = proof_rows(MANY, MANY)
    hopeless = proof_rows(MANY, MANY, missed=MANY, false_alarms=MANY, latency_ms=1e6)

    def judged(rows: ProofRows, alpha: float = 0.03) -> list[GateResult]:
        return plugin.judge(gate, contract, rows, alpha=alpha)

    expect(
        {result.verdict for result in judged(perfect)} == {"pass"}, "a faultless detector passes"
    )
    expect({result.verdict for result in judged(hopeless)} == {"fail"}, "a hopeless one fails")
    none = judged(proof_rows(0, 0))
    expect({result.verdict for result in none} == {"not_enough_data"}, "no rows are too few")
    expect(all(result.needed > 0 for result in none), "it says how many rows are missing")
    for rows in (perfect, hopeless):
        for result in judged(rows):
            expect(result.gate == plugin.name, "a result names its gate")
            expect(result.figure.n > 0, "a figure says how many rows it stands on")
            expect(bool(result.figure.method), "a figure names its method")
            expect(result.bound is not None, "there is a bound")
            expect(result.figure.confidence is not None, "the bound has a confidence")
            expect(
                result.bound in (result.figure.low, result.figure.high),
                "the bound is an end of the interval",
            )
    _needed_follows_from_sizes(judged)
    _generosity_falls_with_alpha(judged)
    positives, negatives = plugin.needed(gate, contract, alpha=0.03)
    more = plugin.needed(gate, contract, alpha=0.003)
    expect(0 <= positives <= more[0], "a smaller error probability takes more positives")
    expect(0 <= negatives <= more[1], "and more negatives")


def _needed_follows_from_sizes(judged: Callable[[ProofRows], list[GateResult]]) -> None:
    for size in (1, 30, 300):
        answers = {
            tuple(result.needed for result in judged(rows))
            for rows in (
                proof_rows(size, size),
                proof_rows(size, size, missed=size),
                proof_rows(size, size, false_alarms=size),
            )
        }
        expect(len(answers) == 1, "rows still missing are told by the number of rows alone")


def _generosity_falls_with_alpha(judged: Callable[[ProofRows, float], list[GateResult]]) -> None:
    for share in (0.001, 0.004, 0.01, 0.03, 0.1):
        wrong = round(share * MANY)
        rows = proof_rows(MANY, MANY, missed=wrong, false_alarms=wrong)
        passed = [
            all(result.verdict == "pass" for result in judged(rows, alpha))
            for alpha in (0.05, 0.005, 0.0005)
        ]
        expect(passed == sorted(passed, reverse=True), "a look that may spend less passes no more")
