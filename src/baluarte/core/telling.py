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

    The shares are counted on one half of the labelled rows and judged on the other, so that a
    column of many values gets nothing for having many. The halves are drawn by a hash of the row's
    number: every second row of a class would have the same share of attacks as its neighbours in
    any stretch of the file, and a column that goes with the row's place would seem to tell. None
    with too few rows of a class.

    Args:
        column: (n,) canonical; missing is a value like others.
        attack: (n,) 1 attack, 0 not, -1 unknown (left out).
    """
    rows = np.flatnonzero(attack >= 0)
    if len(rows) > MAX_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, MAX_ROWS).astype(np.int64)]
    hits = attack[rows] == 1
    first = one_half(rows, hits)
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


def one_half(rows: NDArray[np.int64], hits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) whether a row is in the first half: half of each class, by a hash of its number.

    Source: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    x = rows.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    first = np.zeros(len(rows), dtype=np.bool_)
    for of_class in (np.flatnonzero(hits), np.flatnonzero(~hits)):
        drawn = of_class[np.argsort(x[of_class], kind="stable")]
        first[drawn[: len(drawn) // 2]] = True
    return first


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
