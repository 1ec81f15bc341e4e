"""Prove: one look at the sealed proof rows, and one answer.

A look is spent before anything is seen. After a pass all figures are evidence; after anything else
the verdict alone leaves, so that whoever tries again and again passes a bad candidate at most as
often as the contract's confidence allows, over all tries together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.random import Generator  # noqa: TID251 - the type of a parameter
from numpy.typing import NDArray

from baluarte.core.bands import Bands
from baluarte.core.bounds import look_alpha
from baluarte.core.candidate import Candidate
from baluarte.core.decision import ActRecord
from baluarte.core.encode import Encoder
from baluarte.core.evalues import log_e_discordant
from baluarte.core.event import Events
from baluarte.core.evidence import Evidence, Figure, Verdict
from baluarte.core.judging import blind
from baluarte.core.labels import attacks
from baluarte.core.program.evaluate import Evaluator
from baluarte.core.program.model import Program
from baluarte.core.split import Part
from baluarte.errors import BaluarteError
from baluarte.ports import Clock, GatePlugin, LedgerShard, Matrix, Registry
from baluarte.stages.legacy import against_legacy
from baluarte.stages.rehearse import TimeEvents, figures_of, judge, judged_rows


class LookCost(msgspec.Struct, frozen=True, kw_only=True):
    """What the next look at a holdout costs."""

    look: int  #: its number, from 1
    alpha: float  #: error probability it spends
    spent: float  #: by the looks before it
    total: float  #: of all looks together: 1 - the contract's confidence


class Champion(msgspec.Struct, frozen=True, kw_only=True):
    """The version that decides now, to be compared on the same proof rows."""

    encoder: Encoder
    program: Program
    bands: Bands


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one look.

    Attributes:
        evidence: what may be sealed: with gates and figures only after a pass.
        needed: the most rows that a gate's planned pass still lacks.
        cost: what the look spent.
    """

    verdict: Verdict
    evidence: Evidence
    needed: int
    cost: LookCost


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvingTools:
    """What the wiring hands to proving."""

    gates: Mapping[str, GatePlugin]  #: by name, all that the contract names
    registry: Registry
    ledger: LedgerShard
    clock: Clock
    time_events: TimeEvents
    rng: Generator  #: for the intervals that are resampled


def look_cost(candidate: Candidate, registry: Registry) -> LookCost:
    """What proving this candidate would cost, before anyone decides to."""
    return _cost(candidate, registry.looks(candidate.holdout) + 1)


def prove(
    candidate: Candidate,
    events: Events,
    *,
    digest: str,
    actor: str,
    tools: ProvingTools,
    champion: Champion | None = None,
) -> Proof:
    """Spend a look and judge the candidate on its proof rows.

    Args:
        events: those that the candidate was trained from, all of them.
        digest: of the candidate.

    Raises:
        DataError: these are other events.
        OutsideError: the look can't be recorded; then nothing was looked at.
    """
    rows = candidate.rows(Part.PROOF, events)
    at = tools.clock.now_us()
    cost = _spend(candidate, digest=digest, actor=actor, at=at, tools=tools)
    own = events.take(rows)
    X = candidate.encoder.encode(own)
    labels = np.maximum(attacks(candidate.contract, own), 0).astype(np.int8)
    evaluator = Evaluator(candidate.program)
    scores = evaluator.score(X, threads=candidate.contract.learner.threads)
    judged = judged_rows(
        candidate.contract,
        candidate.bands,
        own,
        labels=labels,
        scores=scores,
        latency_ms=tools.time_events(evaluator, X),
    )
    results = judge(candidate.contract, tools.gates, judged, alpha=cost.alpha)
    answer = blind(results)
    figures: tuple[Figure, ...] = ()
    if answer.verdict == "pass":
        figures = figures_of(candidate.contract, candidate.bands, judged, rng=tools.rng)
        figures += against_legacy(
            candidate.contract, events, candidate.parts, judged, part=Part.PROOF, rng=tools.rng
        )
        if champion is not None:
            figures += _comparison(champion, own, labels=labels, alerts=judged.bands > 0)
    evidence = Evidence(
        verdict=answer.verdict,
        gates=answer.results,
        figures=figures,
        rehearsal=candidate.training.rehearsal,
        faithfulness=candidate.training.faithfulness | _same_bits(candidate.program, X, scores),
        look=cost.look,
        holdout=candidate.holdout,
        at=at,
        certificate=candidate.training.certificate,
    )
    return Proof(verdict=answer.verdict, evidence=evidence, needed=answer.needed, cost=cost)


def _cost(candidate: Candidate, look: int) -> LookCost:
    total = 1.0 - candidate.contract.objective.confidence
    return LookCost(
        look=look,
        alpha=look_alpha(total, look),
        spent=sum(look_alpha(total, i) for i in range(1, look)),
        total=total,
    )


def _spend(
    candidate: Candidate, *, digest: str, actor: str, at: int, tools: ProvingTools
) -> LookCost:
    """Record the look where it counts and where everyone can see it, before it happens."""
    detector = candidate.contract.name
    look = tools.registry.spend_look(
        candidate.holdout, detector=detector, actor=actor, at=at, candidate=digest
    )
    cost = _cost(candidate, look)
    act = ActRecord(
        at=at,
        act="look",
        actor=actor,
        detector=detector,
        details={
            "look": look,
            "alpha": cost.alpha,
            "holdout": candidate.holdout,
            "candidate": digest,
        },
    )
    tools.ledger.append([msgspec.json.encode(act)])
    tools.ledger.commit()
    return cost


def _same_bits(
    program: Program, X: Matrix, scores: NDArray[np.int64]
) -> dict[str, float | int | str]:
    """The compiled kernel against the NumPy evaluator, on every proof row.

    Raises:
        BaluarteError: they differ, which is our bug: nothing may be sealed.
    """
    try:
        compiled = Evaluator(program, kernel="c").score(X)
    except RuntimeError:
        return {"same_bits": "no compiled kernel here to compare with"}
    plain = Evaluator(program, kernel="numpy").score(X)
    different = int(np.count_nonzero((compiled != plain) | (compiled != scores)))
    if different:
        raise BaluarteError(
            f"the compiled kernel and the NumPy evaluator differ on {different} of {len(X)} rows",
            hint="Please report it; BALUARTE_KERNEL=numpy is the reference.",
        )
    return {"same_bits": "C = NumPy", "same_bits_rows": len(X)}


def _comparison(
    champion: Champion, events: Events, *, labels: NDArray[np.int8], alerts: NDArray[np.bool_]
) -> tuple[Figure, ...]:
    """The champion on the same rows, and the pairs where only one of the two is right."""
    scores = Evaluator(champion.program).score(champion.encoder.encode(events))
    theirs = champion.bands.decide(scores) > 0
    attack = labels == 1
    right, rival = alerts == attack, theirs == attack
    wins, losses = int(np.sum(right & ~rival)), int(np.sum(rival & ~right))
    n = len(labels)

    def share(hits: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
        return float(np.sum(hits & of) / max(int(of.sum()), 1))

    return (
        Figure(name="champion.recall", value=share(theirs, attack), n=int(attack.sum())),
        Figure(
            name="champion.false_alarm_rate", value=share(theirs, ~attack), n=int((~attack).sum())
        ),
        Figure(name="discordant.wins", value=float(wins), n=n),
        Figure(name="discordant.losses", value=float(losses), n=n),
        Figure(
            name="discordant.log_e",
            value=log_e_discordant(wins, losses),
            low=math.log(1.0 / 0.05),
            method="mixture martingale on discordant pairs; low is what .05 asks",
            n=wins + losses,
        ),
    )
