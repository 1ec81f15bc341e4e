"""Reasons of parts that are neither trees nor linear: an estimate that says its error.

The game is interventional: a column that is not known has the value it has in a background row,
and a known set of columns is worth the mean of the part's values over the sealed background rows.
For each background row and pair of permutations, columns take the event's values one after another
in the one order and in its reverse; what a column changes each time is averaged. Values are whole
score units, so the changes add up to the part's value less its base, whatever was drawn; and what
is drawn follows from the program's bytes and the row's, so that a replay draws it again.

Source: Castro, Gómez & Tejada, Computers & Operations Research 36, 2009 (sampled permutations);
Mitchell et al., JMLR 23, 2022 (antithetic pairs); Steele, Lea & Flood, OOPSLA 2014 (SplitMix64).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.model import DensePart, Program, columns_read

Rows = NDArray[np.float64]
Scores = NDArray[np.int64]
Score = Callable[[Rows], Scores]

_CELLS = 1 << 20  #: rows x columns in flight: bounds memory


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatePlan:
    """What no row changes."""

    base: int  #: mean of the part over the background, half to even
    columns: NDArray[np.int64]  #: (C,) that the part reads, ascending
    background: Rows  #: (B, C)
    n_pairs: int  #: of permutations, a background row
    worth: Scores  #: (B,) the part's values at the background rows
    seed: bytes  #: of the program and the part


def alone(program: Program, part: DensePart) -> Program:
    """The program of one part."""
    return Program(
        n_features=program.n_features, scale_bits=program.scale_bits, base=0, parts=(part,)
    )


def plan_estimate(part: DensePart, *, n_features: int, seed: bytes, score: Score) -> EstimatePlan:
    """The plan of one part.

    Args:
        seed: of the program and the part's place in it.
        score: of :func:`alone`.
    """
    columns = columns_read(part)
    n_rows, n_pairs = part.sampling.tolist()
    background = part.background.reshape(n_rows, len(columns))
    rows = np.zeros((n_rows, n_features))
    rows[:, columns] = background
    worth = score(rows)
    whole, rest = divmod(sum(worth.tolist()), n_rows)
    up = 2 * rest > n_rows or (2 * rest == n_rows and whole % 2 == 1)
    return EstimatePlan(
        base=whole + int(up),
        columns=columns,
        background=background,
        n_pairs=n_pairs,
        worth=worth,
        seed=seed,
    )


def estimate(plan: EstimatePlan, row: Rows, *, score: Score) -> tuple[Scores, Rows]:
    """(C,) reasons of an (n_features,) row, and (C,) standard errors, in score units.

    The reasons add up to the part's value less ``plan.base``. The errors are about the Shapley
    values over all rows that the background ones stand for: they hold what the drawing of
    permutations and what the choice of so few rows add.
    """
    n_columns, n_rows = len(plan.columns), len(plan.background)
    x = row[plan.columns] + 0.0  # -0.0 is drawn for as 0.0
    known = np.where(np.isnan(x), np.nan, x)
    rank = _ranks(plan, known)
    values = _values(plan, row, rank, score)
    steps = np.diff(values, axis=2)  # (pairs, 2, C) by position in the order
    changes = np.take_along_axis(steps[:, 0], rank, axis=1)
    changes += np.take_along_axis(steps[:, 1], n_columns - 1 - rank, axis=1)
    n_paths = 2 * len(rank)
    phi, rest = np.divmod(changes.sum(axis=0), n_paths)
    if n_columns:
        left = int(values[0, 0, -1]) - plan.base - int(phi.sum())
        each, more = divmod(left, n_columns)
        phi += each
        phi[np.argsort(-rest, kind="stable")[:more]] += 1
    by_row = changes.reshape(n_rows, plan.n_pairs, n_columns).sum(axis=1) / (2.0 * plan.n_pairs)
    error = by_row.std(axis=0, ddof=1) / np.sqrt(n_rows)
    return phi, error


def _ranks(plan: EstimatePlan, known: Rows) -> NDArray[np.int64]:
    """(pairs, C) place of each column in each order: columns sorted by keys drawn for them."""
    digest = hashlib.sha256(plan.seed + known.astype("<f8").tobytes()).digest()
    n_pairs, n_columns = len(plan.background) * plan.n_pairs, len(plan.columns)
    counter = np.arange(1, n_pairs * n_columns + 1, dtype=np.uint64)
    z = np.uint64(int.from_bytes(digest[:8], "little")) + counter * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    keys = (z ^ (z >> np.uint64(31))).reshape(n_pairs, n_columns)
    order = np.argsort(keys, axis=1, kind="stable")
    return np.argsort(order, axis=1, kind="stable")


def _values(plan: EstimatePlan, row: Rows, rank: NDArray[np.int64], score: Score) -> Scores:
    """(pairs, 2, C + 1) values while columns turn from the background's to the event's.

    Where both have the same value nothing turns, and the value before is the value after.
    """
    n_pairs, n_columns = rank.shape
    values = np.empty((n_pairs, 2, n_columns + 1), np.int64)
    values[:, :, 0] = np.repeat(plan.worth, plan.n_pairs)[:, None]
    own = row[plan.columns]
    same = (plan.background == own) | (np.isnan(plan.background) & np.isnan(own))
    order = np.argsort(rank, axis=1)
    turning = np.stack([order, order[:, ::-1]], axis=1)
    of_pair = np.repeat(~same, plan.n_pairs, axis=0)[:, None]
    turns = np.take_along_axis(np.broadcast_to(of_pair, turning.shape), turning, axis=2)
    needed = np.flatnonzero(turns[:, :, : max(0, n_columns - 1)].ravel())
    inner = np.zeros(turns[:, :, : max(0, n_columns - 1)].size, np.int64)
    step = max(1, _CELLS // len(row))
    for start in range(0, len(needed), step):
        at = needed[start : start + step]
        pair, way = at // (2 * (n_columns - 1)), at // (n_columns - 1) % 2
        turned = (at % (n_columns - 1) + 1)[:, None]
        place = np.where(way[:, None] == 1, n_columns - 1 - rank[pair], rank[pair])
        hybrids = np.repeat(row[None, :], len(at), axis=0)
        other = plan.background[pair // plan.n_pairs]
        hybrids[:, plan.columns] = np.where(place < turned, own, other)
        inner[at] = score(hybrids)
    values[:, :, 1:-1] = inner.reshape(n_pairs, 2, -1)
    values[:, :, -1] = score(np.ascontiguousarray(row[None, :]))[0]
    last = np.where(turns, np.arange(1, n_columns + 1), 0)
    last[:, :, n_columns - 1 :] = n_columns
    kept = np.maximum.accumulate(last, axis=2)
    values[:, :, 1:] = np.take_along_axis(values, kept, axis=2)
    return values
