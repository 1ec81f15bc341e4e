"""From scores to probabilities: a strictly increasing table, smooth inside isotonic plateaus."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEP = 0.25  #: largest difference in log-odds between neighbouring knots
MAX_KNOTS = 512
MAX_STRETCH = math.log(10)  #: log-odds a table may grow beyond the outermost blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Knots:
    """A table from score to probability, to be read by linear interpolation."""

    scores: NDArray[np.int64]  #: (k,) strictly ascending
    probabilities: NDArray[np.float64]  #: (k,) strictly ascending, in (0, 1)


def isotonic(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The increasing sequence nearest to ``values`` in weighted squares.

    Args:
        values: (n,).
        weights: (n,) above zero.

    Returns:
        (b,) strictly increasing block values, and (b,) where each block starts.

    >>> isotonic(np.array([1.0, 3.0, 2.0, 4.0]), np.ones(4))[0].tolist()
    [1.0, 2.5, 4.0]

    Source: Ayer et al., Annals of Mathematical Statistics 26(4), 1955, pool adjacent violators.
    """
    means: list[float] = []
    sizes: list[float] = []
    starts: list[int] = []
    for start, (mean, size) in enumerate(zip(values.tolist(), weights.tolist(), strict=True)):
        means.append(mean)
        sizes.append(size)
        starts.append(start)
        while len(means) > 1 and means[-2] >= means[-1]:
            upper, upper_size = means.pop(), sizes.pop()
            starts.pop()
            total = sizes[-1] + upper_size
            means[-1] += (upper - means[-1]) * (upper_size / total)
            sizes[-1] = total
    return np.array(means), np.array(starts, dtype=np.int64)


def calibrate(scores: NDArray[np.int64], labels: NDArray[np.int8]) -> Knots:
    """Isotonic calibration of labelled rows.

    Each block of the isotonic fit gives its mean score the probability ``(hits + 1/2) / (n + 1)``
    (Krichevsky-Trofimov), so that no block claims certainty; between blocks the log-odds are
    linear, so that a plateau still orders its events.

    Args:
        scores: (n,) n at least 1.
        labels: (n,) 1 attack, 0 not.
    """
    unique, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    hits = np.bincount(inverse, weights=labels, minlength=len(unique))
    n = counts.astype(np.float64)
    _, starts = isotonic(hits / n, n)
    block_hits, block_n = np.add.reduceat(hits, starts), np.add.reduceat(n, starts)
    block_scores = np.add.reduceat(unique * n, starts) / block_n
    # The half hit of a small block can break the order again: a second pass restores it.
    p, again = isotonic((block_hits + 0.5) / (block_n + 1), block_n)
    sizes = np.add.reduceat(block_n, again)
    centers = np.add.reduceat(block_scores * block_n, again) / sizes
    return table(centers, np.log(p / (1 - p)), int(unique[0]), int(unique[-1]))


def rank_table(scores: NDArray[np.int64]) -> Knots:
    """Without labels: the share of the rows at or below a score, which is no probability of attack.

    Args:
        scores: (n,) n at least 1.
    """
    unique, counts = np.unique(scores, return_counts=True)
    share = (np.cumsum(counts) - 0.5 * counts) / len(scores)  # mid-ranks, in (0, 1)
    log_odds = np.log(share / (1 - share))
    _, kept = np.unique(np.floor(log_odds / STEP), return_index=True)
    return table(unique[kept].astype(np.float64), log_odds[kept], int(unique[0]), int(unique[-1]))


def table(
    centers: NDArray[np.float64], log_odds: NDArray[np.float64], lowest: int, highest: int
) -> Knots:
    """Knots through the centres, stretched to the outermost scores by the mean slope.

    Args:
        centers: (k,) scores, strictly ascending.
        log_odds: (k,) at the centres, never falling.
        lowest: score that the table reaches down to; ``highest`` up to.
    """
    if len(centers) > 1:
        slope = (log_odds[-1] - log_odds[0]) / (centers[-1] - centers[0])
        below = min(MAX_STRETCH, slope * (centers[0] - lowest))
        above = min(MAX_STRETCH, slope * (highest - centers[-1]))
        centers = np.concatenate(([lowest], centers, [highest]))
        log_odds = np.concatenate(([log_odds[0] - below], log_odds, [log_odds[-1] + above]))
    step = max(STEP, (log_odds[-1] - log_odds[0]) / (MAX_KNOTS / 2))
    pieces = np.maximum(np.ceil(np.diff(log_odds) / step), 1).astype(np.int64)
    position = np.concatenate(
        [i + np.arange(m) / m for i, m in enumerate(pieces)] + [[len(pieces)]]
    )
    at = np.arange(len(centers))
    # The mean of scores near 2**53 may be rounded to one beyond them.
    whole = np.rint(np.interp(position, at, centers))
    scores = np.clip(whole, lowest, highest).astype(np.int64)
    odds = np.interp(position, at, log_odds)
    keep = np.concatenate(([True], (np.diff(scores) > 0)))
    scores, p = scores[keep], 1 / (1 + np.exp(-odds[keep]))
    rising = np.concatenate(([True], np.diff(np.maximum.accumulate(p)) > 0))
    scores, p = scores[rising], p[rising]
    if len(scores) > MAX_KNOTS:
        chosen = np.unique(np.linspace(0, len(scores) - 1, MAX_KNOTS).round().astype(np.int64))
        scores, p = scores[chosen], p[chosen]
    return Knots(scores=scores, probabilities=p)
