"""Turn scores into outcomes, points and probabilities: the one place where a threshold is applied.

Everything is read from three sealed tables. Outcomes and points are integer look-ups; a probability
is one linear interpolation in float64, by the same operations for one score and for many.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from functools import cached_property
from itertools import pairwise
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.calibration import Knots
from baluarte.core.contract import Points
from baluarte.core.decision import MAX_SCORE
from baluarte.core.native import native
from baluarte.errors import TrustError

NATIVE = native("_bands")  #: None where it was not built
N_CUTS = 999  #: points are the number of cuts at or below a score, so 0-999
ALWAYS = -MAX_SCORE  #: a cut that every score reaches
NEVER = MAX_SCORE + 1  #: a cut that no score reaches


class Bands(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """The sealed tables that turn one integer score into outcome, points and probability.

    Attributes:
        names: outcomes from the lowest; an event is in the highest one whose threshold its score is
            strictly above.
        thresholds: in score units, ascending, one fewer than names.
        knot_scores: where the probability is known, strictly ascending.
        knot_probabilities: strictly ascending with them, in (0, 1).
        point_cuts: 999 scores, ascending; points are how many of them a score reaches.
        calibration: how the table was made of labelled rows, or ``quantile``: without labels the
            probability is only the share of calibration rows at or below the score.
    """

    names: tuple[str, ...]
    thresholds: tuple[int, ...]
    knot_scores: tuple[int, ...]
    knot_probabilities: tuple[float, ...]
    point_cuts: tuple[int, ...]
    calibration: Literal["isotonic", "platt", "beta", "quantile"]
    format: Literal["baluarte-bands/1"] = "baluarte-bands/1"

    @cached_property
    def _thresholds(self) -> NDArray[np.int64]:
        return np.array(self.thresholds, dtype=np.int64)

    @cached_property
    def _cuts(self) -> NDArray[np.int64]:
        return np.array(self.point_cuts, dtype=np.int64)

    @cached_property
    def _knots(self) -> Knots:
        return Knots(
            scores=np.array(self.knot_scores, dtype=np.int64),
            probabilities=np.array(self.knot_probabilities, dtype=np.float64),
        )

    def decide(self, scores: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) index of the band of each score: the number of thresholds strictly below it."""
        return self._thresholds.searchsorted(scores, side="left").astype(np.int64)

    def points(self, scores: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) 0-999."""
        return self._cuts.searchsorted(scores, side="right").astype(np.int64)

    def probability(self, scores: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) probability of attack, or of a lower score where ``calibration`` is ``quantile``."""
        return _interpolate(self._knots, scores)

    def read(
        self, scores: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """(n,) bands, points and probabilities of scores."""
        if NATIVE is None:
            return self.decide(scores), self.points(scores), self.probability(scores)
        n = len(scores)
        bands, points, probability = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n)
        NATIVE.read(
            scores, self._thresholds, self._cuts, self._knots.scores, self._knots.probabilities,
            bands, points, probability,
        )  # fmt: skip
        return bands, points, probability

    def decide_one(self, score: int) -> tuple[int, int, float]:
        """Band, points and probability of one score: what the columns give, without arrays."""
        band = bisect_left(self.thresholds, score)
        points = bisect_right(self.point_cuts, score)
        scores, p = self.knot_scores, self.knot_probabilities
        i = bisect_right(scores, score)
        if i == 0:
            return band, points, p[0]
        if i == len(scores):
            return band, points, p[-1]
        share = float(score - scores[i - 1]) / float(scores[i] - scores[i - 1])
        return band, points, p[i - 1] + (p[i] - p[i - 1]) * share


def _interpolate(knots: Knots, scores: NDArray[np.int64]) -> NDArray[np.float64]:
    s, p = knots.scores, knots.probabilities
    if len(s) == 1:
        return np.full(len(scores), p[0])
    inside = np.clip(scores, s[0], s[-1])
    i = np.clip(s.searchsorted(inside, side="right"), 1, len(s) - 1)
    share = (inside - s[i - 1]).astype(np.float64) / (s[i] - s[i - 1]).astype(np.float64)
    between = p[i - 1] + (p[i] - p[i - 1]) * share
    return np.where(scores >= s[-1], p[-1], between)


def point_cuts(knots: Knots, meaning: Points) -> tuple[int, ...]:
    """The 999 scores at which points change, so that equal probability is equal points.

    Args:
        meaning: the odds at the anchor and the points that double them; the same in every version.
    """
    points = np.arange(1, N_CUTS + 1, dtype=np.float64)
    log_odds = math.log(meaning.anchor_odds) + (
        points - meaning.anchor
    ) / meaning.double_odds * math.log(2)
    goal = 1 / (1 + np.exp(-log_odds))
    s, p = knots.scores, knots.probabilities
    i = np.clip(p.searchsorted(goal, side="left"), 1, max(len(p) - 1, 1))
    if len(p) > 1:
        share = (goal - p[i - 1]) / (p[i] - p[i - 1])
        cuts = np.ceil(s[i - 1] + share * (s[i] - s[i - 1]))
        cuts = np.clip(cuts, ALWAYS, NEVER)
    else:
        cuts = np.zeros(N_CUTS)
    cuts[goal <= p[0]] = ALWAYS
    cuts[goal > p[-1]] = NEVER
    return tuple(np.maximum.accumulate(cuts.astype(np.int64)).tolist())


def dumps(bands: Bands) -> bytes:
    """The sealed bytes: JSON with sorted keys."""
    return msgspec.json.encode(bands, order="sorted")


def loads(data: bytes) -> Bands:
    """Bands from their sealed bytes, checked in full.

    Raises:
        TrustError: not the bytes that :func:`dumps` makes, or tables that break a rule.
    """
    try:
        bands = msgspec.json.decode(data, type=Bands)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TrustError(f"expected the tables of bands, found: {error}", where="bands") from None
    fault = _fault(bands)
    if fault is None and dumps(bands) != data:
        fault = "expected canonical JSON (sorted keys, no spaces, shortest numbers), found another"
    if fault is not None:
        raise TrustError(fault, where="bands")
    return bands


def _fault(bands: Bands) -> str | None:
    """The first rule that the tables break, in words."""
    names, thresholds, cuts = bands.names, bands.thresholds, bands.point_cuts
    scores, p = bands.knot_scores, bands.knot_probabilities
    rules = (
        (len(names) >= 2 and len(set(names)) == len(names), "names: at least two, all different"),
        (len(thresholds) == len(names) - 1, "thresholds: one fewer than names"),
        (_ascending(thresholds, ALWAYS - 1, MAX_SCORE), "thresholds: ascending, in score range"),
        (len(scores) == len(p) >= 1, "knots: as many scores as probabilities, at least one"),
        (_ascending(scores, -MAX_SCORE, MAX_SCORE, strictly=True), "knot scores: ascending"),
        (_ascending(p, 0.0, 1.0, strictly=True), "knot probabilities: ascending, in [0, 1]"),
        (len(cuts) == N_CUTS and _ascending(cuts, ALWAYS, NEVER), "point cuts: 999, ascending"),
    )
    return next((f"bands break the rule {text}" for holds, text in rules if not holds), None)


def _ascending(
    values: tuple[int, ...] | tuple[float, ...], low: float, high: float, *, strictly: bool = False
) -> bool:
    inside = all(low <= value <= high for value in values)
    return inside and all(a < b if strictly else a <= b for a, b in pairwise(values))
