"""What a detector does on labelled rows, as figures with intervals and the method of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.random import Generator  # noqa: TID251 - the type of a parameter
from numpy.typing import NDArray

from baluarte.core.bounds import clopper_pearson_high, clopper_pearson_low
from baluarte.core.curves import (
    Curve,
    average_precision,
    coarse,
    curve,
    partial_auc,
    recall_at,
    resampled,
)
from baluarte.core.evidence import Figure
from baluarte.errors import DataError

DRAWS = 400  #: bootstrap draws
GROUPS = 4096  #: points of a curve that draws work on: bounds time and memory


def measure(
    scores: NDArray[np.int64],
    labels: NDArray[np.int8],
    bands: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    *,
    names: Sequence[str],
    max_fpr: float,
    confidence: float,
    rng: Generator,
) -> list[Figure]:
    """All figures of labelled rows, two-sided intervals at ``confidence`` each.

    Args:
        scores: (n,)
        labels: (n,) 1 attack, 0 not; both must occur.
        bands: (n,) index of each row's band.
        probabilities: (n,) in [0, 1].
        names: of the bands; a figure of a band above the first alert is named ``recall.decline``.
        max_fpr: where the partial area ends and recall is read from the curve.

    Raises:
        DataError: no attacks or no non-attacks.
    """
    attacks = int(np.count_nonzero(labels == 1))
    if not 0 < attacks < len(labels):
        raise DataError(
            f"expected attacks and non-attacks among the labelled rows, found {attacks} attacks "
            f"in {len(labels)} rows"
        )
    figures: list[Figure] = []
    for band in range(1, len(names)):
        suffix = "" if band == 1 else f".{names[band]}"
        figures += at_band(labels, bands >= band, confidence=confidence, suffix=suffix)
    figures.append(area(scores, labels, confidence=confidence))
    figures += from_curve(
        curve(scores, labels), max_fpr=max_fpr, confidence=confidence, rng=rng, n=len(labels)
    )
    figures.append(brier(probabilities, labels, confidence=confidence))
    return figures


def at_band(
    labels: NDArray[np.int8], flagged: NDArray[np.bool_], *, confidence: float, suffix: str = ""
) -> list[Figure]:
    """Recall, precision, false-alarm rate and F1 of (n,) flags.

    F1 rises with precision and with recall, so the ends of its interval are those of theirs, each
    at half the error probability.
    """
    alpha = 1 - confidence
    hit = int(np.count_nonzero(flagged & (labels == 1)))
    attacks, alerts = int(np.count_nonzero(labels == 1)), int(np.count_nonzero(flagged))
    false, others = alerts - hit, len(labels) - attacks
    figures = [
        _proportion(name + suffix, k, n, alpha)
        for name, k, n in (
            ("recall", hit, attacks),
            ("precision", hit, alerts),
            ("false_alarm_rate", false, others),
        )
    ]
    recall, precision = (
        _proportion("", hit, attacks, alpha / 2),
        _proportion("", hit, alerts, alpha / 2),
    )
    f1 = Figure(
        name="f1" + suffix,
        value=_harmonic(recall.value, precision.value),
        low=_harmonic(recall.low or 0.0, precision.low or 0.0),
        high=_harmonic(recall.high or 0.0, precision.high or 0.0),
        confidence=confidence,
        method="clopper-pearson of precision and recall together",
        n=len(labels),
    )
    return [*figures, f1]


def _proportion(name: str, k: int, n: int, alpha: float) -> Figure:
    return Figure(
        name=name,
        value=k / n if n else 0.0,
        low=clopper_pearson_low(k, n, alpha / 2),
        high=clopper_pearson_high(k, n, alpha / 2),
        confidence=1 - alpha,
        method="clopper-pearson two-sided",
        n=n,
    )


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0


def area(scores: NDArray[np.int64], labels: NDArray[np.int8], *, confidence: float) -> Figure:
    """ROC-AUC with DeLong's interval on the logit scale.

    Where DeLong's variance is zero (a perfect or hopeless ranking) the interval is Clopper-Pearson
    on as many disjoint pairs as there are, which is exact.

    Source: DeLong et al., Biometrics 44(3), 1988; Sun & Xu, IEEE SPL 21(11), 2014.
    """
    high, low = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    m, n = len(high), len(low)
    over = (low.searchsorted(high, side="left") + low.searchsorted(high, side="right")) / (2 * n)
    under = 1 - (high.searchsorted(low, side="left") + high.searchsorted(low, side="right")) / (
        2 * m
    )
    auc = float(over.mean())
    variance = 0.0
    if min(m, n) > 1:
        variance = float(over.var(ddof=1)) / m + float(under.var(ddof=1)) / n
    pairs, alpha = min(m, n), 1 - confidence
    if variance <= 0 or not 0 < auc < 1:
        concordant = round(auc * pairs)
        bounds = (
            clopper_pearson_low(concordant, pairs, alpha / 2),
            clopper_pearson_high(concordant, pairs, alpha / 2),
        )
        method = "clopper-pearson on disjoint pairs"
    else:
        z = NormalDist().inv_cdf(1 - alpha / 2)
        center, reach = math.log(auc / (1 - auc)), z * math.sqrt(variance) / (auc * (1 - auc))
        bounds = (1 / (1 + math.exp(reach - center)), 1 / (1 + math.exp(-center - reach)))
        method = "DeLong, logit"
    return Figure(
        name="roc_auc",
        value=auc,
        low=bounds[0],
        high=bounds[1],
        confidence=confidence,
        method=method,
        n=m + n,
    )


def from_curve(
    c: Curve, *, max_fpr: float, confidence: float, rng: Generator, n: int
) -> list[Figure]:
    """Average precision, partial AUC and recall at a false-positive rate; bootstrap intervals."""
    readings: dict[str, Callable[[Curve], float]] = {
        "average_precision": average_precision,
        f"partial_auc.{max_fpr:g}": lambda drawn: partial_auc(drawn, max_fpr),
        f"recall_at_fpr.{max_fpr:g}": lambda drawn: recall_at(drawn, max_fpr),
    }
    small = coarse(c, GROUPS)
    draws = [resampled(small, rng) for _ in range(DRAWS)]
    figures = []
    for name, reading in readings.items():
        values = np.array([reading(drawn) for drawn in draws])
        low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
        value = reading(c)
        figure = Figure(
            name=name,
            value=value,
            low=float(min(low, value)),
            high=float(max(high, value)),
            confidence=confidence,
            method=f"stratified bootstrap, {DRAWS} draws, percentile",
            n=n,
        )
        figures.append(figure)
    return figures


def brier(
    probabilities: NDArray[np.float64], labels: NDArray[np.int8], *, confidence: float
) -> Figure:
    """Mean squared error of the probability, with an interval for bounded values.

    Source: Maurer & Pontil, COLT 2009, theorem 4 (empirical Bernstein).
    """
    n = len(labels)
    error = np.square(probabilities - labels)
    mean, slack = float(error.mean()), math.log(4 / (1 - confidence))
    reach = 1.0
    if n > 1:
        reach = math.sqrt(2 * float(error.var(ddof=1)) * slack / n) + 7 * slack / (3 * (n - 1))
    return Figure(
        name="brier",
        value=mean,
        low=max(mean - reach, 0.0),
        high=min(mean + reach, 1.0),
        confidence=confidence,
        method="empirical Bernstein",
        n=n,
    )
