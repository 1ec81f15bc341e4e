"""What a linear model does to columns: the terms it stores, applies and compiles.

Every term owns a range of weights and gives each row exactly one of them, times a value: a number
gives its standardised value or its missing flag, a table the bin or category that the row is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.draft import DraftLinear
from baluarte.methods.libraries import library
from baluarte.ports import Matrix

_TAIL = 0.001  #: share of the rows that is clipped on each side of a number


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberTerm:
    """Clip, centre, scale; weights: the value's, then the missing flag's."""

    column: int
    low: float
    high: float
    center: float
    scale: float

    n_weights = 2

    def slot(self, x: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Which weight and which value, of shape (n,) each."""
        missing = np.isnan(x)
        z = (np.minimum(np.maximum(x, self.low), self.high) - self.center) / self.scale
        return missing.astype(np.int64), np.where(missing, 1.0, z)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTerm:
    """The bin of a number or a category's code; weights: each entry's, then the missing flag's."""

    column: int
    n_entries: int
    cuts: tuple[float, ...]  #: none: the column holds codes

    @property
    def n_weights(self) -> int:
        """One an entry, and the missing flag's."""
        return self.n_entries + 1

    def slot(self, x: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Which weight and which value, of shape (n,) each; a code never seen has value 0."""
        missing = np.isnan(x)
        if self.cuts:
            entry = np.searchsorted(np.array(self.cuts), x, side="right")
            known = np.ones(len(x), dtype=bool)
        else:
            code = np.where(missing, 0.0, x)
            known = (code >= 0) & (code < self.n_entries)
            entry = np.where(known, code, 0.0).astype(np.int64)
        return np.where(missing, self.n_entries, entry), (known | missing).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """All terms of a linear model over ``n_features`` columns."""

    n_features: int
    numbers: tuple[NumberTerm, ...]
    tables: tuple[TableTerm, ...]

    @property
    def _all(self) -> tuple[NumberTerm | TableTerm, ...]:
        return (*self.numbers, *self.tables)

    @property
    def n_weights(self) -> int:
        """Weights of all terms together."""
        return sum(term.n_weights for term in self._all)

    def slots(self, X: Matrix) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """For each row and term the weight's index and the value, of shape (n, terms) each."""
        terms = self._all
        index = np.zeros((len(X), len(terms)), dtype=np.int32)
        value = np.zeros((len(X), len(terms)))
        start = 0
        for k, term in enumerate(terms):
            own, value[:, k] = term.slot(X[:, term.column])
            index[:, k] = own + start
            start += term.n_weights
        return index, value

    def draft(self, weights: NDArray[np.float64], means: NDArray[np.float64]) -> DraftLinear:
        """The terms with their weights.

        Args:
            weights: (n_weights,) on the margin's scale.
            means: (n_weights,) mean of each weight's value over the fit rows.
        """
        share = weights * means
        pairs = weights[: 2 * len(self.numbers)].reshape(-1, 2)
        sizes = np.array([term.n_weights for term in self.tables], dtype=np.int64)
        first = 2 * len(self.numbers) + np.cumsum(sizes) - sizes
        entries = [
            weights[at : at + term.n_entries] for at, term in zip(first, self.tables, strict=True)
        ]
        n_cuts = [len(term.cuts) for term in self.tables]
        return DraftLinear(
            column=np.array([term.column for term in self.numbers], dtype=np.int32),
            center=np.array([term.center for term in self.numbers]),
            scale=np.array([term.scale for term in self.numbers]),
            low=np.array([term.low for term in self.numbers]),
            high=np.array([term.high for term in self.numbers]),
            weight=pairs[:, 0].copy(),
            missing=pairs[:, 1].copy(),
            mean=share[: 2 * len(self.numbers)].reshape(-1, 2).sum(axis=1),
            table_column=np.array([term.column for term in self.tables], dtype=np.int32),
            table_start=np.concatenate([[0], np.cumsum(sizes - 1)]).astype(np.int32),
            table_value=np.concatenate([np.zeros(0), *entries]),
            cut_start=np.concatenate([[0], np.cumsum(n_cuts)]).astype(np.int32),
            cut=np.array([cut for term in self.tables for cut in term.cuts], dtype=np.float64),
            table_missing=weights[first + sizes - 1],
            table_other=np.zeros(len(self.tables)),
            table_mean=np.array(
                [share[at : at + size].sum() for at, size in zip(first, sizes, strict=True)]
            ),
        )


def terms_of(X: Matrix, categorical: tuple[bool, ...], *, bins: int) -> Terms:
    """The terms for these fit rows; a column that says nothing gets none."""
    numbers: list[NumberTerm] = []
    tables: list[TableTerm] = []
    for j, category in enumerate(categorical):
        x = X[:, j]
        seen = np.sort(x[np.isfinite(x)])
        if category:
            if len(seen):
                tables.append(TableTerm(column=j, n_entries=int(seen[-1]) + 1, cuts=()))
            continue
        if not len(seen) or (seen[0] == seen[-1] and not np.isnan(x).any()):
            continue
        numbers.append(_number(j, seen))
        cuts = seen[(np.arange(1, bins) * len(seen)) // bins]
        cuts = np.unique(cuts[cuts > seen[0]])
        if len(cuts):
            entries = len(cuts) + 1
            tables.append(TableTerm(column=j, n_entries=entries, cuts=tuple(cuts.tolist())))
    return Terms(n_features=X.shape[1], numbers=tuple(numbers), tables=tuple(tables))


def _number(column: int, seen: NDArray[np.float64]) -> NumberTerm:
    """A number's clipping range, centre and scale from its sorted finite values."""
    low, high = seen[int(_TAIL * len(seen))], seen[-1 - int(_TAIL * len(seen))]
    if low == high:  # all but the tails is one value
        low, high = seen[0], seen[-1]
    clipped = np.minimum(np.maximum(seen, low), high)
    spread = float(clipped.std())
    return NumberTerm(
        column=column,
        low=float(low),
        high=float(high),
        center=float(clipped.mean()),
        scale=spread if np.isfinite(spread) and spread > 0.0 else 1.0,
    )


def sparse_design(terms: Terms, X: Matrix) -> Any:
    """The treated columns as a SciPy CSR matrix of shape (n, weights)."""
    index, value = terms.slots(X)
    starts = np.arange(0, index.size + 1, max(index.shape[1], 1))
    return library("scipy.sparse").csr_matrix(
        (value.ravel(), index.ravel(), starts), shape=(len(X), terms.n_weights)
    )
