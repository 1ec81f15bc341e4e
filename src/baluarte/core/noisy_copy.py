"""Whether a column is the label with errors, in however many values it is written.

Its values, or what they have in common, fall into two kinds: those of attacks and those of the
rest. In a copy with errors these come anywhere alike. An honest measurement that tells as much errs
where its values overlap, and nowhere else. Kinds are told on one half of the rows, errors counted
on the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.event import Column
from baluarte.core.telling import bins_of, one_half

MAX_ERROR = 0.08  #: share of either class on the other's side
FEWEST_ERRORS = 12  #: from which it can be told where they come
FEWEST_VALUES = 4  #: of either kind; fewer are looked at as they are
PRIOR = 2.0  #: rows of the usual mix that each value starts with
UNEVEN = 3.5  #: standard deviations of the errors' spread that chance explains
MOST_BORDERS = 4  #: between kinds that are ranges of numbers
REPEATED = 8  #: rows a value, on average, that a number needs to be a code
_LETTERS = re.compile(r"[^a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyCopy:
    """What the two kinds say as a verdict: its ROC-AUC, and the rows that it was judged on."""

    auc: float
    n_attacks: int
    n_rest: int


def noisy_copy(column: Column, labels: NDArray[np.int8]) -> NoisyCopy | None:
    """The copy that a column is, None if it is none.

    Args:
        labels: (n,) 1 attack, 0 not, -1 unknown (left out).
    """
    rows = np.flatnonzero(labels >= 0)
    hits = labels[rows] == 1
    first = one_half(rows, hits)
    for bins, fewest in _forms(column[rows]):
        found = _verdict(bins, hits, first, fewest)
        if found is not None:
            return found
    return None


def _forms(column: Column) -> Iterator[tuple[NDArray[np.int64], int]]:
    """(n,) the values, and what several of them may have in common; the fewest of either kind."""
    if column.dtype != object:
        yield bins_of(column), FEWEST_VALUES
        codes = np.unique(column, return_inverse=True)[1].astype(np.int64)
        if len(column) >= REPEATED * (int(codes.max(initial=0)) + 1):
            yield codes, FEWEST_VALUES
        return
    yield bins_of(column), FEWEST_VALUES
    texts = ["" if value is None else value.casefold() for value in column.tolist()]
    for part in (lambda text: _LETTERS.sub(" ", text).strip(), lambda text: text[:1]):
        table = {text: part(text) for text in set(texts)}
        yield bins_of(np.array([table[text] for text in texts], dtype=object)), 1


def _verdict(
    bins: NDArray[np.int64], hits: NDArray[np.bool_], first: NDArray[np.bool_], fewest: int
) -> NoisyCopy | None:
    n = int(bins.max(initial=0)) + 1
    usual = float(hits.mean())
    of_hits = np.bincount(bins[first & hits], minlength=n) + PRIOR * usual
    of_rest = np.bincount(bins[first & ~hits], minlength=n) + PRIOR * (1 - usual)
    attack = of_hits / of_hits.sum() > of_rest / of_rest.sum()
    judged_hits = np.bincount(bins[~first & hits], minlength=n)
    judged_rest = np.bincount(bins[~first & ~hits], minlength=n)
    n_hits, n_rest = int(judged_hits.sum()), int(judged_rest.sum())
    if not n_hits or not n_rest:
        return None
    missed = float(judged_hits[~attack].sum()) / n_hits
    false = float(judged_rest[attack].sum()) / n_rest
    if max(missed, false) > MAX_ERROR:
        return None
    seen = judged_hits + judged_rest > 0
    sides = ((judged_hits, seen & ~attack), (judged_rest, seen & attack))
    if any(int(side.sum()) < fewest for _, side in sides):
        return None
    errors = sum(int(wrong[side].sum()) for wrong, side in sides)
    if errors < FEWEST_ERRORS:
        return None
    rows = judged_hits + judged_rest
    inner = _inner(seen, attack) if fewest > 1 else seen
    if any(_unevenness(k[s & inner], rows[s & inner]) > UNEVEN for k, s in sides):
        return None
    return NoisyCopy(auc=1 - (missed + false) / 2, n_attacks=n_hits, n_rest=n_rest)


def _unevenness(errors: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
    """How far the errors' spread over values is from that of equal shares, in its deviations.

    Source: Pearson, Philosophical Magazine 50(302), 1900 (the statistic); its variance is that of a
    squared standardised binomial count, 2 + (1 - 6pq) / npq each.
    """
    p = float(errors.sum() / max(rows.sum(), 1))
    if p in (0.0, 1.0):
        return 0.0
    q = 1 - p
    squares = (errors - rows * p) ** 2 / (rows * p * q)
    variance = 2 + (1 - 6 * p * q) / (rows * p * q)
    return float((squares.sum() - len(rows) + 1) / np.sqrt(variance.sum()))


def _inner(seen: NDArray[np.bool_], attack: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(bins,) those that don't lie at a border between kinds, where there are few borders.

    A bin of numbers at a border holds numbers of both kinds.
    """
    at = np.flatnonzero(seen)
    borders = np.flatnonzero(attack[at[1:]] != attack[at[:-1]])
    inner = seen.copy()
    if len(borders) <= MOST_BORDERS:
        inner[at[borders]] = inner[at[borders + 1]] = False
    return inner
