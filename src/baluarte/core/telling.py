"""How much one column alone says about the label, measured on rows held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.event import Column

MAX_ROWS = 100_000  #: rows looked at, evenly spaced
MAX_BINS = 256
MIN_OF_A_CLASS = 20  #: in each half, below which nothing is said
_PRIOR = 1.0  #: rows of the average share that each bin starts with


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a column alone says: its ROC-AUC, and the rows that it was judged on."""

    auc: float
    n_attacks: int
    n_rest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """Shares of attacks and of the rest in which a column has a value."""

    attacks: float
    rest: float


def filled(column: Column, attack: NDArray[np.int8]) -> Filled | None:
    """In which share of each class a column is filled; None with too few labelled rows."""
    there = ~missing_in(column)
    hits, rest = attack == 1, attack == 0
    if min(hits.sum(), rest.sum()) < MIN_OF_A_CLASS:
        return None
    return Filled(attacks=float(there[hits].mean()), rest=float(there[rest].mean()))


def auc_alone(column: Column, attack: NDArray[np.int8]) -> float | None:
    """ROC-AUC of the column alone; see :func:`told_alone`."""
    told = told_alone(column, attack)
    return None if told is None else told.auc


def told_alone(column: Column, attack: NDArray[np.int8]) -> Told | None:
    """What the column alone says: its values ranked by their share of attacks.

    The shares are counted on every second labelled row and judged on the others, so that a column
    of many values gets nothing for having many. None with too few rows of a class.

    Args:
        column: (n,) canonical; missing is a value like others.
        attack: (n,) 1 attack, 0 not, -1 unknown (left out).
    """
    rows = np.flatnonzero(attack >= 0)
    if len(rows) > MAX_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, MAX_ROWS).astype(np.int64)]
    hits = attack[rows] == 1
    # Every second row of each class, so that an alternating order can't empty a half.
    ordinal = np.where(hits, np.cumsum(hits), np.cumsum(~hits))
    first = ordinal % 2 == 0
    smallest = min((hits & first).sum(), (~hits & first).sum())
    if smallest < MIN_OF_A_CLASS:
        return None
    bins = bins_of(column[rows])
    n_bins = int(bins.max()) + 1
    seen_hits = np.bincount(bins[hits & first], minlength=n_bins)
    seen_rest = np.bincount(bins[~hits & first], minlength=n_bins)
    average = seen_hits.sum() / first.sum()
    share = (seen_hits + _PRIOR * average) / (seen_hits + seen_rest + _PRIOR)
    judged_hits = np.bincount(bins[hits & ~first], minlength=n_bins)
    judged_rest = np.bincount(bins[~hits & ~first], minlength=n_bins)
    return Told(
        auc=_auc(share, judged_hits, judged_rest),
        n_attacks=int(judged_hits.sum()),
        n_rest=int(judged_rest.sum()),
    )


def missing_in(column: Column) -> NDArray[np.bool_]:
    """(n,) where a canonical column has no value."""
    if column.dtype == object:
        return np.fromiter((v is None for v in column.tolist()), dtype=np.bool_, count=len(column))
    return np.isnan(column)


def bins_of(column: Column) -> NDArray[np.int64]:
    """A bin for each value: distinct values their own, many numbers in steps of equal size."""
    if column.dtype == object:
        codes: dict[str | None, int] = {}
        values = column.tolist()
        return np.array([codes.setdefault(v, len(codes)) for v in values], dtype=np.int64)
    known = column[~np.isnan(column)]
    distinct = np.unique(known)
    if len(distinct) > MAX_BINS:
        distinct = np.unique(np.quantile(known, np.linspace(0, 1, MAX_BINS), method="lower"))
    bins = np.searchsorted(distinct, column, side="right")
    return np.where(np.isnan(column), len(distinct) + 1, bins).astype(np.int64)


def _auc(share: NDArray[np.float64], hits: NDArray[np.int64], rest: NDArray[np.int64]) -> float:
    """Probability that an attack's share is above another event's, a tie counting half."""
    _, level = np.unique(share, return_inverse=True)
    hits_at = np.bincount(level, weights=hits)
    rest_at = np.bincount(level, weights=rest)
    below = np.cumsum(rest_at) - rest_at
    return float((hits_at * (below + rest_at / 2)).sum() / (hits_at.sum() * rest_at.sum()))
