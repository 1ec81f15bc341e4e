"""The score of today's system, as a rival on the same rows: evidence before anything is switched.

A bare score has no threshold that could be compared, so it gets one by the same rule, from the same
rows and under the same budget as the candidate's own.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator  # noqa: TID251 - the type of a parameter
from numpy.typing import NDArray

from baluarte.core.contract import Contract
from baluarte.core.curves import curve
from baluarte.core.evalues import log_e_discordant
from baluarte.core.event import Events
from baluarte.core.evidence import Figure
from baluarte.core.labels import attacks
from baluarte.core.metrics import area, at_band, from_curve
from baluarte.core.paired import Ranking, gains, renamed
from baluarte.core.promise_value import costs
from baluarte.core.proof_rows import ProofRows
from baluarte.core.shares import false_alarm_rate
from baluarte.core.split import Part
from baluarte.core.threshold_search import ProofSize, ScoredRows
from baluarte.core.thresholds import fit_thresholds
from baluarte.errors import ContractError, DataError

_SHOWN = ("recall", "precision", "false_alarm_rate")  #: figures at the threshold


def against_legacy(
    contract: Contract,
    events: Events,
    parts: NDArray[np.uint8],
    judged: ProofRows,
    *,
    part: Part,
    rng: Generator,
) -> tuple[Figure, ...]:
    """Figures of the legacy score (``legacy.…``) and of what the candidate gains (``gain.…``).

    None without the field, without labels of both classes, or where every score is missing. A row
    without a legacy score ranks below all others: the old system had nothing to say of it.

    Args:
        events: all that the candidate was trained from.
        parts: (n,) the part of each.
        judged: the candidate's answers on the rows of ``part``, in order.
    """
    ranks = legacy_ranks(contract, events)
    n_attacks = int(np.count_nonzero(judged.labels == 1))
    if ranks is None or not 0 < n_attacks < len(judged.labels):
        return ()
    own = np.flatnonzero(parts == part)
    confidence, max_fpr = contract.objective.confidence, false_alarm_rate(contract)
    scores, labels = ranks[own], judged.labels
    shown = [
        area(scores, labels, confidence=confidence),
        *from_curve(
            curve(scores, labels), max_fpr=max_fpr, confidence=confidence, rng=rng, n=len(own)
        ),
        Figure(name="missing", value=float((scores == 0).mean()), n=len(own)),
    ]
    threshold = _threshold(contract, events, parts, ranks)
    alerts = np.zeros(len(own), dtype=bool) if threshold is None else scores > threshold
    compared = gains(
        Ranking(scores=judged.scores, alerts=judged.bands > 0),
        Ranking(scores=scores, alerts=alerts),
        labels,
        max_fpr=max_fpr,
        confidence=confidence,
        rng=rng,
    )
    if threshold is None:  # nothing is said of alerts that no budget allows
        compared = [one for one in compared if one.name not in _AT_THRESHOLD]
    else:
        at = at_band(labels, alerts, confidence=confidence)
        shown = [*(one for one in at if one.name in _SHOWN), *shown]
        compared += _pairs(judged, alerts)
    return (*renamed(shown, "legacy"), *compared)


_AT_THRESHOLD = frozenset({"gain.recall", "gain.false_alarm_rate"})


def legacy_ranks(contract: Contract, events: Events) -> NDArray[np.int64] | None:
    """(n,) ranks of the legacy score from 1 up, 0 where it is missing; None where all are."""
    field = contract.events.by_role("legacy_score")
    if field is None or contract.label is None or field.name not in events.columns:
        return None
    column = np.asarray(events.columns[field.name], dtype=np.float64)
    there = ~np.isnan(column)
    if not there.any():
        return None
    ranks = np.zeros(events.n, dtype=np.int64)
    ranks[there] = np.unique(column[there], return_inverse=True)[1] + 1
    return ranks


def _threshold(
    contract: Contract, events: Events, parts: NDArray[np.uint8], ranks: NDArray[np.int64]
) -> int | None:
    """The cut of the first alert band, as a candidate of these scores would get it."""
    labels = attacks(contract, events)
    missed, false_alarm = costs(contract, events)
    rows, proof = np.flatnonzero(parts == Part.THRESHOLD), parts == Part.PROOF
    try:
        thresholds, _ = fit_thresholds(
            contract,
            threshold=ScoredRows(
                scores=ranks[rows],
                labels=labels[rows],
                cost_missed=missed[rows],
                cost_false_alarm=false_alarm[rows],
            ),
            grid=ranks[parts == Part.CALIBRATE],
            proof=ProofSize(
                negatives=int(np.count_nonzero(labels[proof] != 1)), rows=int(proof.sum())
            ),
        )
    except (ContractError, DataError):  # no threshold of this score keeps the budget
        return None
    return thresholds[0]


def _pairs(judged: ProofRows, alerts: NDArray[np.bool_]) -> list[Figure]:
    """Rows that only one of the two gets right, and how much that says."""
    attack = judged.labels == 1
    right, rival = (judged.bands > 0) == attack, alerts == attack
    wins, losses = int(np.sum(right & ~rival)), int(np.sum(rival & ~right))
    n = len(attack)
    return [
        Figure(name="legacy.wins", value=float(wins), n=n),
        Figure(name="legacy.losses", value=float(losses), n=n),
        Figure(
            name="legacy.log_e",
            value=log_e_discordant(wins, losses),
            low=math.log(1.0 / 0.05),
            method="mixture martingale on discordant pairs; low is what .05 asks",
            n=wins + losses,
        ),
    ]
