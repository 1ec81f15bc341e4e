"""Two rankings of the same labelled rows: their difference, with intervals that know of the pairs.

Rows that both get right or both get wrong say nothing of the difference, and what they share (an
easy row is easy for both) makes it far surer than two intervals side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.random import Generator  # noqa: TID251 - the type of a parameter
from numpy.typing import NDArray

from baluarte.core.curves import Curve, average_precision, partial_auc, recall_at
from baluarte.core.evidence import Figure

DRAWS = 400  #: bootstrap draws
_MANY_ROWS, _FEW_DRAWS = 100_000, 100  #: above so many rows fewer draws say as much
_HALVINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """One way to rank rows: (n,) scores, of which only the order counts, and (n,) alerts."""

    scores: NDArray[Any]
    alerts: NDArray[np.bool_]


def gains(
    ours: Ranking,
    theirs: Ranking,
    labels: NDArray[np.int8],
    *,
    max_fpr: float,
    confidence: float,
    rng: Generator,
) -> list[Figure]:
    """What ours has over theirs, each figure two-sided at ``confidence``.

    Args:
        labels: (n,) 1 attack, 0 not; both must occur.
        max_fpr: where recall and the partial area are read from the curve.
    """
    attack = labels == 1
    return [
        _share("gain.recall", ours.alerts[attack], theirs.alerts[attack], confidence),
        _share("gain.false_alarm_rate", ours.alerts[~attack], theirs.alerts[~attack], confidence),
        _area(ours.scores, theirs.scores, attack, confidence),
        *_curves(ours.scores, theirs.scores, attack, max_fpr, confidence, rng),
    ]


def share_difference(wins: int, losses: int, n: int, *, confidence: float) -> tuple[float, float]:
    """Interval for the difference of two shares of the same n rows.

    Args:
        wins: rows that only ours flags.
        losses: rows that only theirs flags.

    Source: Tango, Statistics in Medicine 17(8), 1998, equations 10 to 12: the score interval.

    >>> low, high = share_difference(9, 2, 44, confidence=0.95)
    >>> round(low, 3), round(high, 3)
    (0.013, 0.312)
    """
    if n == 0:
        return -1.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = (wins - losses) / n

    def reach(outer: float, wanted: float) -> float:
        inner = middle
        for _ in range(_HALVINGS):
            tried = (inner + outer) / 2
            if abs(_tango(wins, losses, n, tried)) <= wanted:
                inner = tried
            else:
                outer = tried
        return inner

    return reach(-1.0, z), reach(1.0, z)


def _tango(wins: int, losses: int, n: int, difference: float) -> float:
    a = 2.0 * n
    b = -wins - losses + (2 * n - wins + losses) * difference
    c = -losses * difference * (1 - difference)
    only_theirs = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * (2 * only_theirs + difference * (1 - difference))
    off = wins - losses - n * difference
    if variance <= 0:
        return 0.0 if off == 0 else math.copysign(math.inf, off)
    return off / math.sqrt(variance)


def _share(
    name: str, ours: NDArray[np.bool_], theirs: NDArray[np.bool_], confidence: float
) -> Figure:
    wins, losses = int(np.sum(ours & ~theirs)), int(np.sum(theirs & ~ours))
    low, high = share_difference(wins, losses, len(ours), confidence=confidence)
    return Figure(
        name=name,
        value=(wins - losses) / max(len(ours), 1),
        low=low,
        high=high,
        confidence=confidence,
        method="Tango, paired",
        n=len(ours),
    )


def _area(
    ours: NDArray[Any], theirs: NDArray[Any], attack: NDArray[np.bool_], confidence: float
) -> Figure:
    """The difference of the areas under both ROC curves.

    Source: DeLong et al., Biometrics 44(3), 1988.
    """
    over, under = (
        first - second
        for first, second in zip(_placed(ours, attack), _placed(theirs, attack), strict=True)
    )
    m, n = len(over), len(under)
    value, variance = float(over.mean()), 0.0
    if min(m, n) > 1:
        variance = float(over.var(ddof=1)) / m + float(under.var(ddof=1)) / n
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    reach, method = z * math.sqrt(variance), "DeLong, paired"
    if variance <= 0:  # no pair differs: as many disjoint pairs bound how often one would
        reach = share_difference(0, 0, min(m, n), confidence=confidence)[1]
        method = "Tango on disjoint pairs"
    return Figure(
        name="gain.roc_auc",
        value=value,
        low=max(value - reach, -1.0),
        high=min(value + reach, 1.0),
        confidence=confidence,
        method=method,
        n=m + n,
    )


def _placed(
    scores: NDArray[Any], attack: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each attack the share of others below it, for each other the share of attacks above."""
    high, low = scores[attack], scores[~attack]
    by_high, by_low = np.sort(high), np.sort(low)
    below = by_low.searchsorted(high, side="left") + by_low.searchsorted(high, side="right")
    above = by_high.searchsorted(low, side="left") + by_high.searchsorted(low, side="right")
    return below / (2 * len(low)), 1 - above / (2 * len(high))


def _curves(  # noqa: PLR0917 - two rankings and what is read from them
    ours: NDArray[Any],
    theirs: NDArray[Any],
    attack: NDArray[np.bool_],
    max_fpr: float,
    confidence: float,
    rng: Generator,
) -> list[Figure]:
    """Differences read from both curves; one draw of rows serves both of them."""
    readings: dict[str, Callable[[Curve], float]] = {
        "average_precision": average_precision,
        f"partial_auc.{max_fpr:g}": lambda drawn: partial_auc(drawn, max_fpr),
        f"recall_at_fpr.{max_fpr:g}": lambda drawn: recall_at(drawn, max_fpr),
    }
    first, second = _Ordered.of(ours, attack), _Ordered.of(theirs, attack)
    once = np.ones(len(attack))

    def read(weights: NDArray[np.float64]) -> list[float]:
        a, b = first.curve(weights), second.curve(weights)
        return [reading(a) - reading(b) for reading in readings.values()]

    n_draws = DRAWS if len(attack) <= _MANY_ROWS else _FEW_DRAWS
    drawn = np.array([read(_redrawn(attack, rng)) for _ in range(n_draws)])
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(drawn, ends, axis=0)
    return [
        Figure(
            name=f"gain.{name}",
            value=value,
            low=float(min(low[k], value)),
            high=float(max(high[k], value)),
            confidence=confidence,
            method=f"paired stratified bootstrap, {n_draws} draws, percentile",
            n=len(attack),
        )
        for k, (name, value) in enumerate(zip(readings, read(once), strict=True))
    ]


@dataclass(frozen=True, slots=True)
class _Ordered:
    """Rows from the highest score down, and where a score ends."""

    order: NDArray[np.int64]
    ends: NDArray[np.int64]
    attack: NDArray[np.bool_]  #: in that order

    @classmethod
    def of(cls, scores: NDArray[Any], attack: NDArray[np.bool_]) -> _Ordered:
        order = np.argsort(scores, kind="stable")[::-1]
        ordered = scores[order]
        ends = np.flatnonzero(np.concatenate((ordered[1:] != ordered[:-1], [True])))
        return cls(order, ends, attack[order])

    def curve(self, weights: NDArray[np.float64]) -> Curve:
        """The curve where each row counts so many times."""
        own = weights[self.order]
        return Curve(
            attacks=np.cumsum(np.where(self.attack, own, 0.0))[self.ends],
            others=np.cumsum(np.where(self.attack, 0.0, own))[self.ends],
        )


def _redrawn(attack: NDArray[np.bool_], rng: Generator) -> NDArray[np.float64]:
    """How often each row is drawn, as many attacks and others as there are."""
    weights = np.zeros(len(attack))
    for rows in (np.flatnonzero(attack), np.flatnonzero(~attack)):
        weights[rows] = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
    return weights


def renamed(figures: Sequence[Figure], prefix: str) -> list[Figure]:
    """The figures under names that begin with a prefix."""
    return [
        Figure(
            name=f"{prefix}.{one.name}",
            value=one.value,
            low=one.low,
            high=one.high,
            confidence=one.confidence,
            method=one.method,
            n=one.n,
        )
        for one in figures
    ]
