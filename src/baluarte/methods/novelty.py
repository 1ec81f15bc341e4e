"""How unusual the numeric columns of an event are together, though each alone may look usual.

Each number becomes the normal score of its mid-rank among the cuts of its channel (missing: 0), so
tails and units don't matter; then Σ⁻¹ of those scores gives the Mahalanobis distance and, column by
column, the residual of what the other columns explain.

Normal scores and Σ⁻¹ are rounded once to fixed point, so that every product and sum is a whole
number below 2**53: exact in float64, whatever order a linear-algebra library adds in.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import NDArray

MAX_COLUMNS = 64  #: columns the novelty looks at: the first ones that vary
SHRINK = 0.05  #: share of the identity in the correlation matrix, so that it inverts
SCORE_UNIT = 2.0**-8  #: of normal scores
BLOCK = (
    128  #: rows multiplied at once: small enough for the cache, and for BLAS to start no threads
)
PRECISION_UNIT = 2.0**-10  #: of the entries of Σ⁻¹, which are at most 1 / SHRINK


class Novelty(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sealed model: which columns, their normal scores by level, and the precision matrix.

    A value's level is the number of its channel's cuts that are at least the value.
    """

    columns: tuple[int, ...]
    levels: tuple[tuple[int, ...], ...]  #: normal score by level in units, one tuple a column
    precision: tuple[tuple[int, ...], ...]  #: (c, c) inverse of the shrunk correlation matrix


def fit_novelty(
    columns: Sequence[int], levels: Sequence[NDArray[np.int64]], n_levels: Sequence[int]
) -> Novelty | None:
    """The model of (n,) levels of each column; None with fewer than two columns that vary.

    Args:
        levels: one array a column, -1 where the value is missing.
        n_levels: how many levels each column has.
    """
    kept: list[int] = []
    tables: list[tuple[int, ...]] = []
    scores: list[NDArray[np.int64]] = []
    for column, level, size in zip(columns, levels, n_levels, strict=True):
        table = _normal_scores(np.bincount(level[level >= 0], minlength=size))
        z = np.where(level >= 0, table[level], 0)
        if float(z.std()) > 0 and len(kept) < MAX_COLUMNS:
            kept.append(column)
            tables.append(tuple(table.tolist()))
            scores.append(z)
    if len(kept) < 2:
        return None
    correlation = np.corrcoef(np.array(scores))
    shrunk = (1 - SHRINK) * correlation + SHRINK * np.eye(len(kept))
    precision = np.rint(np.linalg.inv(shrunk) / PRECISION_UNIT).astype(np.int64)
    return Novelty(
        columns=tuple(kept), levels=tuple(tables), precision=tuple(map(tuple, precision.tolist()))
    )


def _normal_scores(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Normal scores, in units, of the mid-ranks of levels; level 0 is the highest values."""
    total = max(int(counts.sum()), 1)
    # Level k holds values that k cuts are at least: many cuts above means a low value.
    below = total - np.cumsum(counts)
    mid = np.clip((below + 0.5 * counts) / total, 0.5 / total, 1 - 0.5 / total)
    normal = NormalDist()
    return np.array([round(normal.inv_cdf(float(p)) / SCORE_UNIT) for p in mid], dtype=np.int64)


class NoveltyScores:
    """Computes the two scores; arrays of the model, made once."""

    def __init__(self, model: Novelty) -> None:
        self._tables = [np.array(table, dtype=np.float64) for table in model.levels]
        self._precision = np.array(model.precision, dtype=np.float64)
        diagonal = np.diag(self._precision) * PRECISION_UNIT
        self._scale = SCORE_UNIT * PRECISION_UNIT / np.sqrt(diagonal)

    def scores(
        self, levels: Sequence[NDArray[np.uint8]], missing: Sequence[NDArray[np.bool_]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n,) Mahalanobis distance squared and (n,) largest partial residual.

        Args:
            levels: of the model's columns, one (n,) array each.
            missing: whether each value is missing; its normal score is 0.
        """
        c, n = len(levels), len(levels[0])
        blocks = -(-n // BLOCK)
        z = np.zeros((c, blocks * BLOCK))
        for row, (table, level, absent) in enumerate(
            zip(self._tables, levels, missing, strict=True)
        ):
            table.take(level, out=z[row, :n], mode="clip")
            z[row, :n][absent] = 0.0
        z_blocks = z.reshape(c, blocks, BLOCK).transpose(1, 0, 2)
        u = self._precision @ z_blocks  # (blocks, c, BLOCK)
        distance = np.einsum("bij,bij->bj", u, z_blocks).ravel()[:n]
        np.abs(u, out=u)
        u *= self._scale[:, None]
        unit = SCORE_UNIT * SCORE_UNIT * PRECISION_UNIT
        return distance * unit, u.max(axis=1).ravel()[:n]
