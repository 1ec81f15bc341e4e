"""How many rows each part of the split needs, solved from what the contract must certify."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from baluarte.core.bounds import chosen_alpha, look_alpha
from baluarte.core.contract import Contract
from baluarte.core.judging import rate_needed
from baluarte.errors import DataError

HELD_OUT = ("tune", "calibrate", "threshold", "proof")  #: in the order of time; fit comes before

#: Largest share of the rows that a held-out part may take, so that fit keeps most of them.
_CAPS = {"tune": 0.01, "calibrate": 0.015, "threshold": 0.06, "proof": 0.08}
#: The same where only these let the budget be certified.
_WIDER_CAPS = {"tune": 0.01, "calibrate": 0.015, "threshold": 0.07, "proof": 0.1}
#: The same for new rows of a retraining, where old rows fit as well.
_CAPS_OF_NEW_ROWS = {"tune": 0.04, "calibrate": 0.04, "threshold": 0.26, "proof": 0.30}
_THRESHOLD_FLOOR = 0.3  #: share that the threshold may take where it can't be set with fewer rows
_PROOF_REACH = 0.22  #: share that the proof may take where that lets its first look decide
_ROOM = 1.1  #: classes are shared out by chance: a little more than the least

_TUNE = (2_000, 200)  #: negatives and positives that steady a choice between candidates
_CALIBRATE = (1_000, 150)  #: likewise a table of probabilities
_FIGURES = 150  #: positives that make the proof's figures worth reading without a recall promise
# A threshold loses recall to its own uncertainty: with 60/α threshold and 100/α proof negatives it
# is chosen for α′ of about .74 α (core/bounds, chosen_alpha, at the first look).
_THRESHOLD_PER_RATE, _PROOF_PER_RATE = 60, 100
_PLANNED_LOOK = 2  #: proof rows should still decide at the second look


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """One held-out part: what it should have, and the share of the rows it gets."""

    part: str
    wanted_negatives: int
    wanted_positives: int
    share: float
    enough: bool  #: whether the share reaches what is wanted


def solve_shares(
    contract: Contract,
    *,
    n_negatives: int,
    n_positives: int,
    others_fit: bool = False,
    apart: tuple[int, int] | None = None,
) -> tuple[Share, ...]:
    """The held-out parts' shares, of attacks and of other rows alike.

    Without labels all rows count as negatives.

    Args:
        others_fit: there are further rows to fit on, so these may mostly set thresholds and prove.
        apart: negatives and positives of proof events of their own: then no row here proves.

    Raises:
        DataError: no rows.
    """
    if n_negatives + n_positives == 0:
        raise DataError("expected events to train on, found none")
    rate = false_alarm_rate(contract)
    proving = None if apart is None else apart[0]
    certifying = [
        c for c in (_CAPS, _WIDER_CAPS) if _certifies(contract, rate, n_negatives, c, proving)
    ]
    caps = dict(_CAPS_OF_NEW_ROWS if others_fit else (certifying or [_CAPS])[0])
    if n_negatives:
        bands = max(len(contract.bands) - 1, 1)
        delta = (1.0 - contract.objective.confidence) / bands
        least = _ROOM * math.log(delta) / math.log1p(-rate)
        caps["threshold"] = max(caps["threshold"], min(least / n_negatives, _THRESHOLD_FLOOR))
    if certifying and not others_fit and apart is None:
        negatives, positives = _proof_needed(contract, rate, look=1)
        for least, n in ((negatives, n_negatives), (positives, n_positives)):
            share = _ROOM * least / n if n else 0.0
            if share <= _PROOF_REACH:
                caps["proof"] = max(caps["proof"], share)
    proof_negatives, proof_positives = _proof_needed(contract, rate, look=_PLANNED_LOOK)
    wanted = {
        "tune": _TUNE,
        "calibrate": _CALIBRATE,
        "threshold": (round(_THRESHOLD_PER_RATE / rate), 0),
        "proof": (
            max(proof_negatives, round(_PROOF_PER_RATE / rate)),
            max(proof_positives, _FIGURES),
        ),
    }
    shares = []
    for part in HELD_OUT:
        negatives, positives = wanted[part]
        if part == "proof" and apart is not None:
            there = apart[0] >= negatives and apart[1] >= positives
            shares.append(
                Share(
                    part=part,
                    wanted_negatives=negatives,
                    wanted_positives=positives,
                    share=0.0,
                    enough=there,
                )
            )
            continue
        asked = max(
            negatives / n_negatives if n_negatives else 0.0,
            positives / n_positives if n_positives else 0.0,
        )
        shares.append(
            Share(
                part=part,
                wanted_negatives=negatives,
                wanted_positives=positives if n_positives else 0,
                share=min(asked, caps[part]),
                enough=asked <= caps[part],
            )
        )
    return tuple(shares)


def needs_no_attacks(contract: Contract) -> bool:
    """Whether thresholds are set by rows that are no attack alone: every budget is ``max_fpr``."""
    budgets = [contract.objective.budget, *(band.budget for band in contract.bands)]
    return contract.label is not None and all(
        budget is None or budget.kind == "max_fpr" for budget in budgets
    )


def false_alarm_rate(contract: Contract) -> float:
    """The rate at which the contract's tightest budget lets negatives alert, for planning.

    Exact for ``max_fpr`` and, with few attacks, for ``max_alerts_per_day``; the other two budgets
    depend on the scores and are planned for as one false alarm in a hundred.
    """
    rates = [_rate(contract, band.budget.kind, band.budget.value) for band in contract.bands
             if band.budget is not None]  # fmt: skip
    rates.append(_rate(contract, contract.objective.budget.kind, contract.objective.budget.value))
    return min(rates)


def _rate(contract: Contract, kind: str, value: float) -> float:
    if kind == "max_fpr":
        return value
    if kind == "max_alerts_per_day" and contract.objective.events_per_day:
        return min(max(value / contract.objective.events_per_day, 1e-6), 0.5)
    return 0.01


def _certifies(
    contract: Contract,
    rate: float,
    n_negatives: int,
    caps: Mapping[str, float],
    proving: int | None,
) -> bool:
    """Whether these shares allow a threshold that is planned to pass its gate.

    Args:
        proving: negatives of proof events of their own.
    """
    try:
        chosen = chosen_alpha(
            max_fpr=rate,
            n_cal=int(caps["threshold"] * n_negatives),
            n_proof=int(caps["proof"] * n_negatives) if proving is None else proving,
            confidence=contract.objective.confidence,
            alpha_gate=look_alpha(1.0 - contract.objective.confidence, 1),
        )
    except DataError:
        return False
    return chosen is not None


def _proof_needed(contract: Contract, rate: float, *, look: int) -> tuple[int, int]:
    """Negatives and positives with which the proof's gates have power at a look."""
    alpha = look_alpha(1.0 - contract.objective.confidence, look)
    recall = contract.objective.min_recall
    positives = 0 if recall is None else rate_needed(recall, alpha=alpha)
    return rate_needed(rate, alpha=alpha, below=True), positives
